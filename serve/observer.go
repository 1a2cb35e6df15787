package serve

import (
	"context"
	"time"

	"melo.example/melo/fit"
)

// Observer receives events, for metrics, traces, logs and audits. Its methods are called from many goroutines
// while requests wait: they must be quick and must not call the engine. Events never contain pixels.
type Observer interface {
	// RequestDone is called once for every request, including failed ones, before Predict returns.
	RequestDone(ctx context.Context, e RequestEvent)
	// BatchDone is called after every pass through the base.
	BatchDone(e BatchEvent)
	// AdapterChanged is called when an adapter is published, loaded and so on.
	AdapterChanged(e AdapterEvent)
}

// RequestEvent is a finished request.
type RequestEvent struct {
	Identity // as far as known; for a request that failed early, the requested Name
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
	Requests int // answered requests: at least Images, because requests may share a row
	Adapters int // number of different adapters
	Queued   int // requests that remain in the queue
}

// Change is a kind of change of an adapter.
type Change string

// The kinds of change.
const (
	Published Change = "published" // its file appeared, or a name now refers to it
	Removed   Change = "removed"   // its file was removed, or no longer contains it
	Loaded    Change = "loaded"    // into memory
	Evicted   Change = "evicted"   // from memory, to make room; it is loaded again on demand
	Refused   Change = "refused"   // see Err
	Withdrawn Change = "withdrawn" // unloaded by an operator
	Restored  Change = "restored"  // loaded by an operator after being unloaded
	Changed   Change = "changed"   // pin, alias or canary
)

// AdapterEvent is one change.
type AdapterEvent struct {
	Change    Change
	Identity                // Version and Digest are empty if the event is not about a version
	Signers   []string      // of a published adapter, if signatures are required
	Bytes     int64         // of memory, when loaded or evicted
	Duration  time.Duration // of loading
	Err       error         // why it was refused
	Forgotten bool          // an operator's decision that will be lost on restart, because there is no state file
}

// BaseEvent is a change of one of several bases: it was loaded, unloaded to make room (Evicted), or could not
// be loaded (Refused).
type BaseEvent struct {
	Change   Change
	Base     string // name of the base
	Digest   string
	Adapter  string        // name of the adapter whose own network this is about; "" for a base
	Bytes    int64         // of memory
	Duration time.Duration // of loading
	Err      error         // why it was refused
}

// BaseObserver is an Observer that also receives events about bases.
type BaseObserver interface {
	BaseChanged(e BaseEvent)
}

// nobody is the observer if none is configured.
type nobody struct{}

func (nobody) RequestDone(context.Context, RequestEvent) {}
func (nobody) BatchDone(BatchEvent)                      {}
func (nobody) AdapterChanged(AdapterEvent)               {}
