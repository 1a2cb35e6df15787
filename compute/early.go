package compute

import "melo.example/melo/vit/arch"

// Keeper is an engine or a tracer that also keeps a summary of the input of one block, in the same pass.
type Keeper interface {
	// KeepEarly makes every later pass keep a summary of the input of a block, for every image. It costs a sum
	// over the tokens. Features do not change. A negative block turns it off.
	KeepEarly(block int)
	// EarlyRows returns the summaries of the last pass of Features [n, EarlySize]. They are valid until the
	// next pass.
	EarlyRows() []float32
}

// Early is a Keeper that can also stop at the summary.
type Early interface {
	Keeper
	// EarlyOnly returns the summaries of n images [n, EarlySize] that a pass of Features would keep, without
	// computing the blocks above.
	EarlyOnly(images []float32, n int, segments ...Segment) []float32
}

// EarlySize returns the number of values of an image's summary: its class token, if there is one, and the mean
// of its patch tokens.
func EarlySize(c *arch.Config) int {
	if c.Class {
		return 2 * c.Width
	}
	return c.Width
}

// MiddleBlock returns the block whose input tells images of different kinds apart best.
func MiddleBlock(c *arch.Config) int { return c.Depth / 2 }
