package serve

import (
	"time"

	"melo.example/melo/lora/adapterfile"
)

// State is whether a version of an adapter answers, in the words of the Open Inference Protocol.
type State string

// The states.
const (
	Ready       State = "READY"       // answers: it is resident, or will be loaded when asked for
	Loading     State = "LOADING"     // is being read
	Unloaded    State = "UNLOADED"    // withdrawn by an operator
	Unavailable State = "UNAVAILABLE" // refused, see Reason
)

// Status describes one version of one adapter, or a file that holds none (without Digest and Card).
type Status struct {
	Identity
	Signers []string // whose signatures it has, of those that are trusted
	Path    string
	State   State
	Reason  string   // why it is not ready; or what is wrong with the file that should replace it
	Current bool     // it is what the bare name means
	Aliases []string // further names of the version, sorted
	// Canary is the share of requests for the bare name that this version gets instead of the current one.
	Canary   float64
	Pinned   bool  // stays resident
	Resident int64 // bytes of memory that it takes now
	Bytes    int64 // bytes of memory that it takes when it is resident
	Own      int64 // of Bytes, those of a network of its own, which is loaded and leaves as bases do; 0: it shares that of its base
	Modified time.Time
	// Base is what it belongs to, where several are served; nil of a file whose base is not there.
	Base *BaseStatus
	// Card is the description in the file: task, labels, metrics, intended use; shared, not to be changed.
	Card *adapterfile.Metadata
}

// Total is how often something happened, and how long it took together.
type Total struct {
	Count uint64
	Time  time.Duration
}

// VersionStats are the counts of one version of one adapter since its file appeared.
type VersionStats struct {
	Identity
	Success, Fail        Total // requests
	Load, Queue          Total // parts of the successful ones, see Timing
	Prepare, Compute     Total
	Requests, Executions uint64 // requests that were computed; passes that had any of them
	Last                 time.Time
}

// Stats are the counts of an engine since it was made, and how it is now.
type Stats struct {
	Requests, Answered, Failed    uint64
	Overloaded, Canceled, Unknown uint64 // of those that failed
	Batches, Images               uint64 // passes through the base, and rows in them
	Loads, Evictions, Refusals    uint64
	Waiting                       int           // requests that are not being computed yet
	Resident                      int           // adapters
	ResidentBytes, Budget         int64         // memory of adapters; Budget 0 is no limit
	BaseBudget                    int64         // of memory for several bases; 0 is no limit
	Tuned                         int           // adapters whose own network is in memory
	TunedBytes                    int64         // that those networks take, by estimate
	Adapters                      int           // names
	Batch                         int           // the most images of a pass
	PerImage                      time.Duration // estimate of the time of one more image in the queue
}
