package compute

import "melo.example/melo/vit/arch"

// Keeper is an engine or a tracer that also tells what the first blocks make of an image, of the same pass.
type Keeper interface {
	// KeepEarly makes every pass from now on keep a summary of what enters a block, of all images. It costs a sum over
	// the tokens; features stay what they are, bit for bit. A block below 0 ends it.
	KeepEarly(block int)
	// EarlyRows returns the summaries of the last pass of Features [n, EarlySize], valid until the next.
	EarlyRows() []float32
}

// Early is a Keeper that can do without the rest.
type Early interface {
	Keeper
	// EarlyOnly returns the summaries of n images [n, EarlySize], as a pass of Features would keep them, from a pass that
	// ends there.
	EarlyOnly(images []float32, n int, segments ...Segment) []float32
}

// EarlySize is how many numbers the summary of an image has: its class token, if there is one, and the mean of its patches.
func EarlySize(c *arch.Config) int {
	if c.Class {
		return 2 * c.Width
	}
	return c.Width
}

// MiddleBlock is the block before which summaries tell images of different kinds apart best.
func MiddleBlock(c *arch.Config) int { return c.Depth / 2 }
