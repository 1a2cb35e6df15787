package vit

import "melo.example/melo/internal/kernel"

// Rows tells an adapter what the rows of a matrix are: images in order, each with the same number of
// consecutive rows (all tokens, or only the pooled ones in the last block).
type Rows struct {
	First  int // the first image's place in the batch, which may pass in parts
	Images int // number of images n
	Each   int // rows per image
}

// Adapter adds a low-rank delta beside the frozen maps. Implementations see matrices of
// rows.Images*rows.Each rows, image by image.
type Adapter interface {
	// Has reports whether any row has a delta at site.
	Has(site Site) bool
	// Forward adds the delta of x [rows, in] to y [rows, out].
	Forward(ex *kernel.Exec, site Site, rows Rows, x, y kernel.Mat)
	// Backward accumulates the gradients of the delta's own parameters from x and dy and, if dx has
	// data, adds the delta's input gradient to dx.
	Backward(ex *kernel.Exec, site Site, rows Rows, x, dy, dx kernel.Mat)
}
