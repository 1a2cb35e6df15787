package main

import (
	"context"
	"errors"

	"melo.example/melo/experiment"
)

// Exit statuses, as documented in the help of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitBadInput    = 3
	exitInterrupted = 130
)

// exitHelp ends the help text of every command.
const exitHelp = `

EXIT STATUS

    0    done
    1    failed (for example, the output could not be written)
    2    wrong usage
    3    bad input data: a file is missing, damaged or does not match
    130  interrupted`

// failure is an error with its exit status.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// badInput marks err as caused by input data. nil stays nil.
func badInput(err error) error { return withStatus(exitBadInput, err) }

// usage marks err as caused by an invalid command line.
func usage(err error) error { return withStatus(exitUsage, err) }

func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &failure{status, err}
}

// exitStatus returns the exit status for err. The innermost mark decides, except that an interrupt which
// surfaces as an error of some reader or writer still counts as an interrupt.
func exitStatus(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	status := exitFailed
	for f := (*failure)(nil); errors.As(err, &f); err = f.err {
		status = f.status
	}
	if s, ok := statusOf(err); ok {
		return s
	}
	return status
}

// statusOf returns the exit status of errors whose type implies it.
func statusOf(err error) (int, bool) {
	var input *experiment.InputError
	var setting *experiment.SettingError
	var other *experiment.OtherRunError
	switch {
	case errors.As(err, &input):
		return exitBadInput, true
	case errors.As(err, &setting), errors.As(err, &other):
		return exitUsage, true
	}
	return 0, false
}

// asFlag rewrites an error about a setting so that it names the flag.
func asFlag(err error) error {
	if e := (*experiment.SettingError)(nil); errors.As(err, &e) {
		return errors.New(e.Flag())
	}
	return err
}
