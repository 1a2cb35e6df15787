package serve

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"melo.example/melo/lora/answer"
)

// ErrUnknownAdapter is wrapped by errors about names and versions that do not exist, or that an operator has
// unloaded.
var ErrUnknownAdapter = errors.New("unknown adapter")

// ErrDraining is returned for requests that arrive during shutdown.
var ErrDraining = errors.New("serve: the server is shutting down")

// UnknownError reports an adapter that does not exist or is unloaded.
type UnknownError struct {
	Name, Version string // as requested
	Reason        string // such as "unloaded"; may be empty
}

// Error names the adapter and the reason.
func (e *UnknownError) Error() string {
	msg := fmt.Sprintf("serve: unknown adapter %.100q", full(e.Name, e.Version))
	if e.Reason != "" {
		msg += ": " + e.Reason
	}
	return msg
}

// Unwrap returns ErrUnknownAdapter.
func (e *UnknownError) Unwrap() error { return ErrUnknownAdapter }

// BrokenError reports that an adapter exists but is refused: its file is damaged, belongs to another base or
// fails its self-test.
type BrokenError struct {
	Name string
	Path string
	Err  error
}

// Error names the adapter and what is wrong.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("serve: adapter %.100q is refused: %v", e.Name, e.Err)
}

// Unwrap returns what is wrong.
func (e *BrokenError) Unwrap() error { return e.Err }

// OverloadError reports that the queue is full, or that the answer would come after the request's deadline.
type OverloadError struct {
	RetryAfter time.Duration // estimated time until there is room
}

// Error says when to try again.
func (e *OverloadError) Error() string {
	return fmt.Sprintf("serve: overloaded, try again in %v", e.RetryAfter.Round(time.Millisecond))
}

// AnswerError reports that an adapter has no answer to an input: a result is not finite, or the input is
// refused because it is unlike the training images (a fit.UnlikeError).
type AnswerError struct {
	Name string // of the adapter
	Err  error
}

// Error names the adapter and the output.
func (e *AnswerError) Error() string { return fmt.Sprintf("serve: adapter %.100q: %v", e.Name, e.Err) }

// Unwrap returns why.
func (e *AnswerError) Unwrap() error { return e.Err }

// NoSetsError says that an adapter is asked which labels cannot be excluded, and has no calibration for it.
type NoSetsError struct{ Name string } // of the adapter

// Error names the adapter.
func (e *NoSetsError) Error() string {
	return fmt.Sprintf("serve: coverage: adapter %.100q %v", e.Name, answer.ErrNoSets)
}

// Unwrap returns answer.ErrNoSets.
func (e *NoSetsError) Unwrap() error { return answer.ErrNoSets }

// InputError says what is wrong with an input.
type InputError struct{ Err error }

// Error says what is wrong.
func (e *InputError) Error() string {
	return "serve: input: " + strings.TrimPrefix(e.Err.Error(), "serve: ")
}

// Unwrap returns what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

// full returns the name with the version, if there is one.
func full(name, version string) string {
	if version == "" {
		return name
	}
	return name + "@" + version
}
