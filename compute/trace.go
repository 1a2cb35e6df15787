package compute

// Tracing selects what a [Tracer] shows.
type Tracing struct {
	// From is the lowest block that the gradient reaches.
	From int
	// Normed shows the output of each block's first norm, Attention the attention probabilities.
	Normed, Attention bool
}

// Tracer propagates a gradient back through a frozen network and frozen adapters, and shows values and
// gradients on the way. Explanations are computed from them. It computes no weight gradients, and nothing below
// block Tracing.From. It is not safe for concurrent use.
type Tracer interface {
	MaxBatch() int
	// Features is Engine.Features; it also keeps what Back reads.
	Features(images []float32, n int, segments ...Segment) []float32
	// Back propagates dfeatures [n, Features()], the gradient of the result of the last Features. It shows the
	// witness pooling first, then the blocks from the last one down.
	Back(dfeatures []float32, w Witness)
}

// Witness is shown values and gradients of one image at a time. It must neither modify nor retain them. block
// is arch.PoolBlock for attention pooling.
type Witness interface {
	// SawNormed is called with the output x of a block's first norm [Tokens, Width], the input of attention,
	// and its gradient through attention, without the residual connection's part.
	SawNormed(block, image int, x, dx []float32)
	// SawAttention is called with the attention probabilities p [Heads, queries, Tokens] and their gradient.
	// The queries are the first tokens of the image: all of them, or only those whose output is used. In
	// attention pooling it is the learned query.
	SawAttention(block, image, queries int, p, dp []float32)
}
