package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// span describes the rows of a matrix to an adapter: images in order, each with the same number of consecutive
// rows (all tokens, or only the pooled ones in the last block).
type span struct {
	First  int // index in the batch of the first image; a batch may be processed in several passes
	Images int // number of images
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

// watching is an adapter that adds nothing. It shows an observer the input and output of each linear map.
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

// Observe implements compute.Observed.
func (f *features) Observe(images []float32, n int, o compute.Observer) []float32 {
	return f.Forward(images, n, watching{o}).Data
}
