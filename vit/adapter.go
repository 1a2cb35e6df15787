package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// span tells an adapter what the rows of a matrix are: images in order, each with the same number of
// consecutive rows (all tokens, or only the pooled ones in the last block).
type span struct {
	First  int // the first image's place in the batch, which may pass in parts
	Images int // number of images n
	Each   int // rows per image
}

// adapter adds low-rank deltas beside the frozen maps. Implementations see matrices of
// rows.Images*rows.Each rows, image by image.
type adapter interface {
	// Has reports whether any row has a delta at site.
	Has(site Site) bool
	// Forward adds the delta of x [rows, in] to y [rows, out].
	Forward(ex *kernel.Exec, site Site, rows span, x, y kernel.Mat)
	// Backward accumulates the gradients of the delta's own parameters from x and dy and, if dx has
	// data, adds the delta's input gradient to dx.
	Backward(ex *kernel.Exec, site Site, rows span, x, dy, dx kernel.Mat)
}

// watching is an adapter that adds nothing, and shows an observer what passes.
type watching struct{ compute.Observer }

func (w watching) Has(site Site) bool { return w.Wants(site) }

func (w watching) Forward(_ *kernel.Exec, site Site, _ span, x, y kernel.Mat) {
	for r := range x.Rows {
		w.See(site, x.Row(r), y.Row(r))
	}
}

func (w watching) Backward(*kernel.Exec, Site, span, kernel.Mat, kernel.Mat, kernel.Mat) {
	panic("vit: an observer has no backward pass")
}

// Observe is that of compute.Observed.
func (f *features) Observe(images []float32, n int, o compute.Observer) []float32 {
	return f.Forward(images, n, watching{o}).Data
}
