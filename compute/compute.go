// Package compute separates what a network is used for from what computes it. A [Model] is a frozen backbone
// with a [Backend] that computes it. A backend makes engines, which compute the features of a batch with given
// adapters, and trainers, which compute the gradients of a batch. Training, serving, adapters and the facade
// are written against this package. Package vit is the backend for CPUs; vit/plain is one that is written to be
// read.
//
// All matrices are row-major float32 slices, one image after the other. Results that are returned stay valid
// until the next call of the same engine or trainer.
package compute

import (
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// Workers run the parts of a task in parallel. Results never depend on which worker runs which part.
type Workers interface {
	// Workers returns the number of workers.
	Workers() int
	// Run calls t.Do once for each i in [0, n), with the index of the worker that runs it.
	Run(n int, t interface{ Do(worker, i int) })
}

// Model is a frozen backbone: its description, and the Backend that computes it. It is read-only and safe for
// concurrent use by many engines.
type Model struct {
	arch.Config
	Precision Precision
	Path      string         // where it was opened; used in messages
	Recipe    imaging.Recipe // preprocessing: how an image becomes the input
	// RecipeNote tells a person how the recipe was chosen if no file gives it. It is empty if a file does.
	RecipeNote string
	Notes      []string // choices made where a file holds more than one model, for a person to read
	Labels     []string // class names of the base's own head, nil if unknown
	// what that head was trained for, in the terms of transformers' problem_type; empty if unknown
	Problem  string
	Head     *Head // the base's own head, nil if it has none
	HeadDist *Head // second head of a distilled DeiT
	Backend
}

// CheckRecipe returns an error if the preprocessing of images is unknown.
func (m *Model) CheckRecipe() error {
	if m.Recipe.Interpolation == "" {
		return fmt.Errorf("vit: %s: %s", m.Path, m.RecipeNote)
	}
	return nil
}

// Backend computes one network. Copies of a Model may share a Backend.
type Backend interface {
	Workers
	// NewEngine returns an engine for batches of up to maxBatch images.
	NewEngine(maxBatch int) Engine
	// NewTrainer returns a trainer for batches of up to maxBatch images. The network itself is not changed.
	NewTrainer(maxBatch int, t Training) (Trainer, error)
	// NewTracer returns a tracer for batches of up to maxBatch images.
	NewTracer(maxBatch int, t Tracing) (Tracer, error)
	// Parameter returns a copy of the values of a parameter of the description (arch.Config.Params), row by
	// row, or nil if there is no such parameter. Parameters of a narrow precision are returned as rounded.
	Parameter(name string) []float32
	// Merged returns the network whose maps at the sites of deltas are W + Scale*B*A; everything else is shared.
	Merged(deltas []Delta) (*Model, error)
	// Pooled returns the same network with another pooling.
	Pooled(p arch.Pooling) (*Model, error)
}

// Engine computes features. It owns the memory of a pass, so that Features allocates nothing in the steady
// state. It is not safe for concurrent use.
type Engine interface {
	MaxBatch() int
	// Features returns the pooled features [n, Features()] of n images [n, 3, Image, Image] that were prepared
	// with the model's recipe. The images of the segments, in order, add up to n. Without segments all images
	// run on the bare base.
	Features(images []float32, n int, segments ...Segment) []float32
}

// Training selects the parameters to train. The zero value selects none.
type Training struct {
	Deltas  []Delta // in float32, trained in place
	Dropout float32 // fraction of the inputs of A that is dropped during training
	Seed    uint64  // seed of dropout
	// All trains every weight of the network, in a copy. Weights are trained in float32 and rounded for
	// products in Precision, which must be F32 or BF16.
	All       bool
	Precision Precision
}

// Trainer computes gradients. It is not safe for concurrent use.
type Trainer interface {
	// Model returns the network in training. With Training.All it is the trained copy.
	Model() *Model
	// Exact returns Model in its present state with all products in float32, or nil if that is not available.
	Exact() *Model
	// Params returns the trainable parameters and their gradients in a fixed order: A and B of each delta, or
	// every weight.
	Params() []Param
	// MaxBatch returns the largest number of images per pass.
	MaxBatch() int
	// SetStep tells dropout which optimizer step is computed, and the index in the step's batch of the first
	// image of the next Forward. So masks depend neither on how a batch is cut into passes nor on
	// interruptions.
	SetStep(step, image int)
	// Forward returns the features [n, Features()] of n images. training enables dropout.
	Forward(images []float32, n int, training bool) []float32
	// PrefixSize returns the number of values per image at the input of the lowest trained block; 0 if that is
	// the first block.
	PrefixSize() int
	// Prefix runs the blocks below the lowest trained one on n images and writes the result to dst [n,
	// PrefixSize].
	Prefix(dst, images []float32, n int)
	// ForwardFrom continues Forward from the result of Prefix, bit for bit. prefix must not change until
	// Backward.
	ForwardFrom(prefix []float32, n int, training bool) []float32
	// Backward accumulates parameter gradients, given the gradient of the features of the last forward pass [n,
	// Features()].
	Backward(dfeatures []float32)
	// Updated must be called after the parameters have changed.
	Updated()
}

// Logits applies the base's own head to features [n, Features()] and writes dst [n, Classes]. A distilled DeiT
// has two heads, one per token, whose logits are averaged (arXiv 2012.12877, section 3.2). The model must have
// a head.
func (m *Model) Logits(dst, features []float32) {
	if m.HeadDist == nil {
		m.Head.Logits(dst, features)
		return
	}
	d, classes := m.Width, m.Head.Classes
	other := make([]float32, classes)
	for i := range len(features) / (2 * d) {
		row, f := dst[i*classes:(i+1)*classes], features[2*i*d:]
		m.Head.Logits(row, f[:d])
		m.HeadDist.Logits(other, f[d:2*d])
		for c, v := range other {
			row[c] = (row[c] + v) * 0.5
		}
	}
}

// Finite reports whether no value is a NaN or an infinity.
func Finite(values []float32) bool { return kernel.AllFinite(values) }
