package oip

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/serve"
)

// Kind classifies an error for a client. Each endpoint maps it to its own status.
type Kind int

// The kinds of error.
const (
	Internal      Kind = iota // a bug or a broken disk; details go to the log, not to the client
	Invalid                   // the request is invalid
	TooLarge                  // the request exceeds a limit
	Unsupported               // part of the protocol that this server does not support
	NotFound                  // no such adapter or version
	Refused                   // the adapter exists but failed its checks
	Overloaded                // no capacity now: retry after RetryAfter
	Unavailable               // the server is shutting down
	DeadlineError             // the request's deadline has passed
	Canceled                  // the client cancelled
	Unauthorized              // missing or wrong credentials
	Forbidden                 // the client's role does not allow it
	Slow                      // the body did not arrive in time
	NotFinite                 // a result of the adapter is not finite
	Unlike                    // the image is unlike the adapter's training images and therefore refused
)

var kindNames = [...]string{"internal", "invalid", "too_large", "unsupported", "not_found", "refused", "overloaded",
	"unavailable", "deadline", "canceled", "unauthorized", "forbidden", "slow", "not_finite", "unlike"}

// String returns a name for logs and metrics.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// Fault is an error as a client sees it: one line, without paths on the server.
type Fault struct {
	Kind       Kind
	Message    string
	RetryAfter time.Duration // for Overloaded and Unavailable; 0 if unknown
	Cause      error         // for the log; nil if Message is complete
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Faultf makes a fault with a formatted message for the client.
func Faultf(kind Kind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// NewFault makes a fault of a kind with a message for the client.
func NewFault(kind Kind, message string) *Fault { return &Fault{Kind: kind, Message: message} }

// FaultOf classifies an error. Faults keep their kind, with a message of one line.
func FaultOf(err error) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		if message := Clean(fault.Message); message != fault.Message {
			clean := *fault // others may hold the original
			clean.Message = message
			return &clean
		}
		return fault
	}
	fault = engineFault(err)
	fault.Message, fault.Cause = Clean(fault.Message), err
	return fault
}

// engineFault classifies the errors of package serve.
func engineFault(err error) *Fault {
	var (
		input    *serve.InputError
		broken   *serve.BrokenError
		overload *serve.OverloadError
		unanswer *serve.AnswerError
		unlike   *fit.UnlikeError
		noSets   *serve.NoSetsError
		cost     *serve.CostError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return Faultf(Canceled, "the request was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return Faultf(DeadlineError, "the request's time was up before it was answered")
	case errors.As(err, &overload):
		f := NewFault(Overloaded, err.Error())
		f.RetryAfter = overload.RetryAfter
		return f
	case errors.Is(err, serve.ErrDraining):
		f := NewFault(Unavailable, err.Error())
		f.RetryAfter = time.Second
		return f
	case errors.Is(err, serve.ErrUnknownAdapter):
		return NewFault(NotFound, err.Error())
	case errors.As(err, &broken):
		return NewFault(Refused, withoutFolder(err.Error(), broken.Path))
	case errors.As(err, &unlike):
		return NewFault(Unlike, err.Error())
	case errors.As(err, &unanswer):
		return NewFault(NotFinite, err.Error())
	case errors.As(err, &input), errors.As(err, &noSets):
		return NewFault(Invalid, err.Error())
	case errors.As(err, &cost):
		return NewFault(TooLarge, err.Error())
	case errors.Is(err, imaging.ErrTooLarge):
		return NewFault(TooLarge, err.Error())
	}
	return Faultf(Internal, "internal error, see the server's log")
}

// maxMessage limits the length of a message for a client.
const maxMessage = 500

// Clean makes a message a single printable line, without the prefix of our packages.
func Clean(s string) string {
	for _, prefix := range []string{"serve: ", "imaging: ", "access: ", "explain: "} {
		s = strings.TrimPrefix(s, prefix)
	}
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// clip shortens a name from outside, for messages.
func clip(s string) string {
	const longest = 64
	if len(s) <= longest {
		return s
	}
	cut := longest
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
