package compute

import "melo.example/melo/vit/arch"

// Branching is an engine whose rows may begin as one: an image that several adapters are asked about passes the blocks that
// they leave bare once.
type Branching interface {
	// Branches returns the features [len(of), Features()] of rows, bit for bit those of Engine.Features: row i is image of[i]
	// of the n images [n, 3, Image, Image], on the adapter of its segment. The segments count rows; there are at most
	// MaxBatch of them. Summaries of what enters a block (Early) are by row.
	Branches(images []float32, n int, of []int, segments ...Segment) []float32
}

// FirstBlock returns the lowest block in which the adapter, or nil for none, has a delta: those before it are the bare
// base's. Without deltas it is above all blocks.
func (a *Adapter) FirstBlock() int {
	if a == nil || len(a.deltas) == 0 {
		return arch.PoolBlock
	}
	return a.deltas[0].Site.Block
}
