package serve

import (
	"context"
	"time"

	"melo.example/melo/fit"
)

// Observer is told what happens, for metrics, traces, logs and audits. Its methods are called from many
// goroutines, on the way of requests: they must be quick and must not call the engine. Nothing that it is told
// holds pixels.
type Observer interface {
	// RequestDone is called once for every request, also one that failed, before Predict returns.
	RequestDone(ctx context.Context, e RequestEvent)
	// BatchDone is called after every pass through the base.
	BatchDone(e BatchEvent)
	// AdapterChanged is called when an adapter is published, loaded and so on.
	AdapterChanged(e AdapterEvent)
}

// RequestEvent is one finished request.
type RequestEvent struct {
	Identity // as far as it is known: of a request that failed early, the Name that was asked for
	Start    time.Time
	Timing   Timing
	Err      error        // nil: answered
	Signers  []string     // of the adapter, where signatures are asked for
	Fit      *fit.Verdict // whether the image is like those of the adapter's training; nil if unknown, or not answered
	Explain  string       // the method by which the answer is explained; empty: it is not
}

// BatchEvent is one pass through the base.
type BatchEvent struct {
	Start    time.Time
	Duration time.Duration
	Images   int // rows of the pass
	Requests int // answered by it: at least Images, as requests may share a row
	Adapters int // different ones
	Queued   int // requests that were left waiting
}

// Change is what happened to an adapter.
type Change string

// The changes.
const (
	Published Change = "published" // its file appeared, or a name points to it now
	Removed   Change = "removed"   // its file is gone, or no longer its
	Loaded    Change = "loaded"    // into memory
	Evicted   Change = "evicted"   // from memory, for others; it is loaded again when asked for
	Refused   Change = "refused"   // see Err
	Withdrawn Change = "withdrawn" // unloaded by an operator
	Restored  Change = "restored"  // loaded by an operator, after that
	Changed   Change = "changed"   // pin, alias or canary
)

// AdapterEvent is one change.
type AdapterEvent struct {
	Change    Change
	Identity                // Version and Digest are empty where no version is meant
	Signers   []string      // of a published adapter, where signatures are asked for
	Bytes     int64         // of memory, when loaded or evicted
	Duration  time.Duration // of loading
	Err       error         // why it was refused
	Forgotten bool          // an operator's decision that a restart forgets: there is no file for it
}

// BaseEvent is what happened to one of several bases: it was loaded, it left memory for others (Evicted), or could not be
// loaded (Refused).
type BaseEvent struct {
	Change   Change
	Base     string // its name
	Digest   string
	Adapter  string        // name of the adapter that made a network of its own of the base, which this is about; else empty
	Bytes    int64         // of memory
	Duration time.Duration // of loading
	Err      error         // why it was refused
}

// BaseObserver is an Observer that is told of bases that come and go, too.
type BaseObserver interface {
	BaseChanged(e BaseEvent)
}

// nobody is the observer where there is none.
type nobody struct{}

func (nobody) RequestDone(context.Context, RequestEvent) {}
func (nobody) BatchDone(BatchEvent)                      {}
func (nobody) AdapterChanged(AdapterEvent)               {}
