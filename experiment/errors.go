package experiment

import (
	"fmt"

	"melo.example/melo/internal/buildinfo"
)

// Notice stands wherever a result is shown.
const Notice = buildinfo.Notice

// SettingError is a setting that cannot be, or that does not fit base, data or machine.
type SettingError struct {
	Setting string // in the spelling of the command line: "lora-plus"
	Problem string // "0, expected a positive number"
}

// Error names the setting.
func (e *SettingError) Error() string { return "experiment: " + e.Setting + " " + e.Problem }

// Flag is Error in the words of the command line.
func (e *SettingError) Flag() string { return "--" + e.Setting + " " + e.Problem }

// setting makes a SettingError.
func setting(name, format string, args ...any) error {
	return &SettingError{Setting: name, Problem: fmt.Sprintf(format, args...)}
}

// InputError is an error that something from outside has caused: data, a base, an adapter, the files of an earlier run.
type InputError struct{ Err error }

// Error is that of Err.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *InputError) Unwrap() error { return e.Err }

// badInput marks err as caused from outside; nil stays nil.
func badInput(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{err}
}

// OtherRunError is a folder that holds a run on other data or with other settings.
type OtherRunError struct{ Err error }

// Error names the first thing that differs.
func (e *OtherRunError) Error() string { return e.Err.Error() + ": give another folder" }

// Unwrap returns Err.
func (e *OtherRunError) Unwrap() error { return e.Err }

// UnfinishedError is the checkpoint of an interrupted run in the place of a new one: it is to be resumed or given up.
type UnfinishedError struct{ Checkpoint string }

// Error names the checkpoint.
func (e *UnfinishedError) Error() string {
	return e.Checkpoint + ": an interrupted run: resume it, or restart to start over"
}

// NoSplitError is data without the split that was asked for: its author names none, and it is not what the adapter was
// trained on, whose split could be made again. Every image can be evaluated with the split "all".
type NoSplitError struct{ Data, Split, Adapter string }

// Error names all three.
func (e *NoSplitError) Error() string {
	return fmt.Sprintf("%s: names no %s split, and is not (or no longer) the data that %s was trained on, whose split could be made again",
		e.Data, e.Split, e.Adapter)
}
