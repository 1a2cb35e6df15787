package main

import (
	"context"
	"errors"
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
    3    bad input data: a file that is missing, damaged or does not fit
    130  interrupted`

// failure is an error with the exit status that it leads to.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// badInput marks err as caused by data from outside; nil stays nil.
func badInput(err error) error { return withStatus(exitBadInput, err) }

// usage marks err as a command line that cannot be.
func usage(err error) error { return withStatus(exitUsage, err) }

func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &failure{status, err}
}

// exitStatus returns the status that err leads to. The innermost mark decides, and an interrupt that
// surfaces as an error of some reader or writer is still an interrupt.
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
	return status
}
