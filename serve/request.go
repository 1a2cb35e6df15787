package serve

import (
	"time"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
)

// Identity is which adapter answered.
type Identity struct {
	Name    string // of the file, without ".safetensors" and version
	Version string // the short form of the digest
	Digest  string // "sha256:" and 64 hexadecimal digits: of the whole file
	Base    string // name of its base, where several are served; else empty
}

// Input is what a request asks about: one of the two.
type Input struct {
	// Image is prepared by the adapter's recipe. Requests of one call with the same pointer share the work where
	// their recipes are equal.
	Image *imaging.Image
	// Tensor is prepared by the client: [3, side, side] normalised values. Nothing reads it after Predict has
	// returned.
	Tensor []float32
}

// Request asks one adapter about one input.
type Request struct {
	Name string // of the adapter; "name@version" may stand for Name and Version
	// Version is an alias, a digest or the beginning of one that only one version has. Empty is the current
	// version, or by chance its canary.
	Version string
	Input   Input
	// Coverage is that of the set that Answer.Set has, more than 0 and less than 1; 0: none is asked for. An adapter without a
	// calibration for sets answers without one, or with NeedSet not at all.
	Coverage float64
	NeedSet  bool
	// Hidden says that the client may not know of the adapter: it is told that there is none.
	Hidden bool
}

// Answer is what one adapter says about one input.
type Answer struct {
	Identity
	Labels        []string  // names of the outputs; shared, not to be changed
	Logits        []float32 // one a label
	Probabilities []float64 // one a label, calibrated
	Label         string    // the most probable one, of equal ones the first
	Probability   float64   // of Label
	// Present says by label whether its probability reaches Thresholds; nil for multiclass, where Label is the
	// decision.
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

// Timing is where the time of a request went.
type Timing struct {
	Load    time.Duration // waiting for the adapter to be read; 0 if it was resident
	Prepare time.Duration // making the input tensor, waiting for a turn included
	Queue   time.Duration // waiting for a batch
	Compute time.Duration // of the whole batch
	Batch   int           // images of that batch
}
