package compute

import "melo.example/melo/vit/arch"

// Branching is an engine that shares work between rows of the same image: if several adapters are applied to
// one image, the blocks below the lowest delta run only once.
type Branching interface {
	// Branches returns the features [len(of), Features()] of rows, equal bit for bit to those of
	// Engine.Features. Row i is image of[i] of the n images [n, 3, Image, Image], with the adapter of its
	// segment. Segments count rows; there are at most MaxBatch rows. Summaries (Early) are per row.
	Branches(images []float32, n int, of []int, segments ...Segment) []float32
}

// FirstBlock returns the lowest block in which the adapter has a delta. Lower blocks behave as in the bare
// base. For an adapter that is nil or has no deltas it returns a number above all blocks.
func (a *Adapter) FirstBlock() int {
	if a == nil || len(a.deltas) == 0 {
		return arch.PoolBlock
	}
	return a.deltas[0].Site.Block
}
