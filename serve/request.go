package serve

import (
	"time"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
)

// Identity identifies the adapter that answered.
type Identity struct {
	Name    string // of the file, without ".safetensors" and version
	Version string // short form of the digest
	Digest  string // "sha256:" and 64 hexadecimal digits, of the whole file
	Base    string // name of its base if several are served, else ""
}

// Input is the input of a request. Exactly one field is set.
type Input struct {
	// Image is preprocessed with the adapter's recipe. Requests of one call with the same pointer share the
	// work if their recipes are equal.
	Image *imaging.Image
	// Tensor is preprocessed by the client: [3, side, side] normalised values. It is not used after Predict
	// returns.
	Tensor []float32
}

// Request is one input for one adapter.
type Request struct {
	Name string // of the adapter; "name@version" may replace Name and Version
	// Version is an alias, a digest or a unique prefix of one. Empty means the current version, or at random
	// its canary.
	Version string
	Input   Input
	// Coverage is that of the set that Answer.Set has, more than 0 and less than 1; 0: none is asked for. An adapter without a
	// calibration for sets answers without one, or with NeedSet not at all.
	Coverage float64
	NeedSet  bool
	// Hidden says that the client may not know of the adapter: it is told that there is none.
	Hidden bool
}

// Answer is the answer of one adapter for one input.
type Answer struct {
	Identity
	Labels        []string  // names of the outputs; shared, must not be modified
	Logits        []float32 // one per label
	Probabilities []float64 // one per label, calibrated
	Label         string    // the most probable label, the first in case of a tie
	Probability   float64   // probability of Label
	// Present reports for each label whether its probability reaches Thresholds. It is nil for multiclass,
	// where Label is the decision.
	Present    []bool
	Decision   []string     // labels that are decided for: none for an image that is unlike those of the training
	Fit        *fit.Verdict // whether it is like them; nil if the adapter does not know
	Thresholds []float64    // of the adapter, or one half; nil where Present is; shared, not to be changed
	// Coverage is that of Set; 0 where none was asked for, or the adapter can give none.
	Coverage float64
	// Set has the labels that cannot be excluded; nil without Coverage, and for an image that is unlike those of the training.
	Set     *conformal.Set
	Remarks []string // what was chosen about the image where its file leaves a choice, see imaging.Image.Remarks
	Timing  Timing
}

// Timing says how the time of a request was spent.
type Timing struct {
	Load    time.Duration // waiting for the adapter to be loaded; 0 if it was resident
	Prepare time.Duration // preparing the input tensor, including waiting for a turn
	Queue   time.Duration // waiting for a batch
	Compute time.Duration // of the whole batch
	Batch   int           // images of that batch
}
