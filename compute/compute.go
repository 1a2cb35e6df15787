// Package compute is the seam between what a network is for and what computes it. A [Model] is a frozen backbone in the
// hands of some [Backend]; it makes engines, which answer "the features of this batch with these adapters", and
// trainers, which answer "the gradients of this batch". Training, serving, adapters and the facade are written against
// this package. Package vit is the engine for CPUs, vit/plain the one that reads like the paper.
//
// All matrices are row-major float32 slices, an image after the other. Results that are returned stay valid until the
// next call of the same engine or trainer.
package compute

import (
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// Workers do the parts of a task side by side. Which worker does which part never enters a result.
type Workers interface {
	// Workers returns how many there are.
	Workers() int
	// Run calls t.Do once for each i in [0, n), with the number of the worker that does it.
	Run(n int, t interface{ Do(worker, i int) })
}

// Model is a frozen backbone: what it is, and what computes it. It is read-only and safe for concurrent use by many
// engines.
type Model struct {
	arch.Config
	Precision Precision
	Path      string         // where it was opened, for messages
	Recipe    imaging.Recipe // how an image becomes its input
	// RecipeNote says how the recipe was chosen where no file gives it, in words for a person; empty if a file does.
	RecipeNote string
	Notes      []string // what was chosen where a file holds more than one model, in words for a person
	Labels     []string // class names of the base's own head, nil if unknown
	Problem    string   // what that was trained for, as transformers calls it (problem_type); empty if unknown
	Head       *Head    // the base's own head, nil if it has none
	HeadDist   *Head    // DeiT's second head
	Backend
}

// CheckRecipe returns an error if nothing tells how an image becomes the model's input.
func (m *Model) CheckRecipe() error {
	if m.Recipe.Interpolation == "" {
		return fmt.Errorf("vit: %s: %s", m.Path, m.RecipeNote)
	}
	return nil
}

// Backend computes one network. A Model that is a copy of another shares its Backend.
type Backend interface {
	Workers
	// NewEngine returns an engine for batches of up to maxBatch images.
	NewEngine(maxBatch int) Engine
	// NewTrainer returns a trainer for batches of up to maxBatch images. The network itself stays as it is.
	NewTrainer(maxBatch int, t Training) (Trainer, error)
	// NewTracer returns a tracer for batches of up to maxBatch images.
	NewTracer(maxBatch int, t Tracing) (Tracer, error)
	// Parameter returns the numbers of a parameter of the description (arch.Config.Params), row by row, in memory of
	// their own; nil if there is no such parameter. Those of a narrow precision are the rounded ones.
	Parameter(name string) []float32
	// Merged returns the network whose maps at the sites of deltas are W + Scale*B*A; everything else is shared.
	Merged(deltas []Delta) (*Model, error)
	// Pooled returns the same network with another pooling.
	Pooled(p arch.Pooling) (*Model, error)
}

// Engine computes features. It owns the memory of a pass, so that Features allocates nothing in the steady state. Not
// safe for concurrent use.
type Engine interface {
	MaxBatch() int
	// Features returns the pooled features [n, Features()] of n images [n, 3, Image, Image] that were prepared by the
	// model's recipe. The images of the segments, in order, add up to n; without segments all run on the bare base.
	Features(images []float32, n int, segments ...Segment) []float32
}

// Training says what of a network is trained. The zero value is nothing.
type Training struct {
	Deltas  []Delta // in float32, trained in place
	Dropout float32 // share of the input of A that is dropped while training
	Seed    uint64  // of dropout
	// All trains every weight of the network, in a copy. Its products are of Precision, F32 or BF16; the weights
	// themselves are trained in float32 and rounded for the products.
	All       bool
	Precision Precision
}

// Trainer computes gradients. Not safe for concurrent use.
type Trainer interface {
	// Model returns the network in training: for All the trained copy.
	Model() *Model
	// Exact returns Model with all products in float32, as it is now; nil if that cannot be had.
	Exact() *Model
	// Params returns what is trained, with gradients, in a fixed order: A and B of each delta, or every weight.
	Params() []Param
	// MaxBatch returns the largest number of images of one pass.
	MaxBatch() int
	// SetStep tells dropout which optimizer step is computed, and which image of the step's batch is the first of the
	// next Forward. So the masks depend neither on how a batch is cut into passes nor on interruptions.
	SetStep(step, image int)
	// Forward returns the features of n images.
	Forward(images []float32, n int, training bool) []float32
	// PrefixSize returns how many numbers the blocks below the lowest trained one make of an image; 0 if there are none.
	PrefixSize() int
	// Prefix runs those blocks on n images into dst [n, PrefixSize].
	Prefix(dst, images []float32, n int)
	// ForwardFrom is Forward from there on, bit for bit. The prefixes must stay as they are until Backward.
	ForwardFrom(prefix []float32, n int, training bool) []float32
	// Backward adds the gradients for those of the features of the last forward pass, [n, Features()].
	Backward(dfeatures []float32)
	// Updated is called after the parameters have changed.
	Updated()
}

// Logits applies the base's own head to features [n, Features()]: dst [n, Classes]. A distilled DeiT has two heads, one
// a token, whose logits are averaged (arXiv 2012.12877, section 3.2). The model must have a head.
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
