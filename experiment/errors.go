package experiment

import (
	"fmt"

	"melo.example/melo/internal/buildinfo"
)

// Notice is shown with every result.
const Notice = buildinfo.Notice

// SettingError reports a setting that is invalid, or incompatible with base, data or machine.
type SettingError struct {
	Setting string // spelled as on the command line: "lora-plus"
	Problem string // "0, expected a positive number"
}

// Error returns the message with the name of the setting.
func (e *SettingError) Error() string { return "experiment: " + e.Setting + " " + e.Problem }

// Flag returns the message with the name of the command-line flag.
func (e *SettingError) Flag() string { return "--" + e.Setting + " " + e.Problem }

// setting returns a SettingError.
func setting(name, format string, args ...any) error {
	return &SettingError{Setting: name, Problem: fmt.Sprintf(format, args...)}
}

// InputError is an error in external input: data, a base, an adapter, the files of an earlier run.
type InputError struct{ Err error }

// Error returns the message of Err.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *InputError) Unwrap() error { return e.Err }

// badInput wraps err as an InputError; nil stays nil.
func badInput(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{err}
}

// OtherRunError reports a folder that contains a run with other data or settings.
type OtherRunError struct{ Err error }

// Error names the first difference.
func (e *OtherRunError) Error() string { return e.Err.Error() + ": give another folder" }

// Unwrap returns Err.
func (e *OtherRunError) Unwrap() error { return e.Err }

// UnfinishedError reports the checkpoint of an interrupted run, which must be resumed or discarded first.
type UnfinishedError struct{ Checkpoint string }

// Error names the checkpoint.
func (e *UnfinishedError) Error() string {
	return e.Checkpoint + ": an interrupted run: resume it, or restart to start over"
}

// NoSplitError reports that the requested split is not available: the data names no splits, and it is not the
// data that the adapter was trained on, whose split could be reproduced. Every image can be evaluated with the
// split "all".
type NoSplitError struct{ Data, Split, Adapter string }

// Error names data, split and adapter.
func (e *NoSplitError) Error() string {
	return fmt.Sprintf("%s: names no %s split, and is not (or no longer) the data that %s was trained on, whose split could be made again",
		e.Data, e.Split, e.Adapter)
}
