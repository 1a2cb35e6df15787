package compute

// Tracing says what a [Tracer] shows.
type Tracing struct {
	// From is the lowest block that the gradient reaches.
	From int
	// Normed shows what the first norm of a block makes, and Attention the probabilities of attention.
	Normed, Attention bool
}

// Tracer sends a gradient back through a frozen network and frozen adapters, and shows what it meets on its way: what
// explanations are made of. It computes no gradient of a weight, and nothing below block Tracing.From. Not safe for
// concurrent use.
type Tracer interface {
	MaxBatch() int
	// Features is that of Engine, and keeps what Back reads.
	Features(images []float32, n int, segments ...Segment) []float32
	// Back sends dfeatures [n, Features()], the gradient of what the last pass of Features gave, back, and shows the
	// witness pooling and the blocks, from the last one down.
	Back(dfeatures []float32, w Witness)
}

// Witness is shown values and gradients of one image at a time, which it must neither change nor keep. Block is
// arch.PoolBlock for attention pooling.
type Witness interface {
	// SawNormed is shown the output x of a block's first norm [Tokens, Width], which attention reads, and its gradient.
	// Nothing of the residual beside it is in that.
	SawNormed(block, image int, x, dx []float32)
	// SawAttention is shown the probabilities p of attention [Heads, queries, Tokens], and their gradient. The queries are
	// the first tokens of the image: all of them, or those alone whose answer somebody reads; in pooling the learned one.
	SawAttention(block, image, queries int, p, dp []float32)
}
