package serve

import (
	"time"

	"melo.example/melo/lora/adapterfile"
)

// State is the state of a version of an adapter, in the terms of the Open Inference Protocol.
type State string

// The states.
const (
	Ready       State = "READY"       // available: resident, or loaded on demand
	Loading     State = "LOADING"     // being loaded
	Unloaded    State = "UNLOADED"    // withdrawn by an operator
	Unavailable State = "UNAVAILABLE" // refused; see Reason
)

// Status describes one version of one adapter, or an unusable file (without Digest and Card).
type Status struct {
	Identity
	Signers []string // trusted owners of its signatures
	Path    string
	State   State
	Reason  string   // why it is not ready, or what is wrong with the file that should replace it
	Current bool     // the bare name refers to it
	Aliases []string // other names of the version, sorted
	// Canary is the fraction of requests for the bare name that this version gets instead of the current one.
	Canary   float64
	Pinned   bool  // stays resident
	Resident int64 // present memory in bytes
	Bytes    int64 // memory in bytes when resident
	// part of Bytes for a network of its own, which is loaded and unloaded like a base; 0: it uses its base's
	// network
	Own      int64
	Modified time.Time
	Side     int // of its input, in pixels
	// Base is its base if several are served; nil for a file whose base is not served.
	Base *BaseStatus
	// Card is the description in the file: task, labels, metrics, intended use; shared, must not be modified.
	Card *adapterfile.Metadata
}

// Total is the number of events of a kind and their total duration.
type Total struct {
	Count uint64
	Time  time.Duration
}

// VersionStats holds the counters of one version of one adapter since its file appeared.
type VersionStats struct {
	Identity
	Success, Fail        Total // requests
	Load, Queue          Total // parts of the successful requests, see Timing
	Prepare, Compute     Total
	Requests, Executions uint64 // computed requests; passes that contained any of them
	Last                 time.Time
}

// Stats holds the counters of an engine since it was created, and its present state.
type Stats struct {
	Requests, Answered, Failed    uint64
	Overloaded, Canceled, Unknown uint64 // subsets of Failed
	Batches, Images               uint64 // passes through the base, and their rows
	Loads, Evictions, Refusals    uint64
	Waiting                       int           // requests that are not being computed yet
	Resident                      int           // resident adapters
	ResidentBytes, Budget         int64         // memory of adapters; Budget 0: no limit
	BaseBudget                    int64         // limit of the memory for several bases; 0: no limit
	Tuned                         int           // adapters with a network of their own in memory
	TunedBytes                    int64         // estimated memory of those networks
	Adapters                      int           // number of names
	Batch                         int           // maximum images per pass
	PerImage                      time.Duration // estimated time of one more image in the queue
}
