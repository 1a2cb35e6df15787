package arch

import "strings"

// Floating-point operations that the mathematics asks for, a multiply-add counted as two. Work that the
// program avoids or repeats (class-token-only last block, recomputed attention) is in favour of and against
// it: the count is a property of the model, so that shares of the peak can be compared between programs.

// LinearFLOPs returns the operations of the linear maps of one block for one image.
func (c *Config) LinearFLOPs() float64 {
	d, hidden := float64(c.Width), float64(c.MLP)
	maps := 4*d*d + 2*d*hidden
	if c.SwiGLU {
		maps += d * hidden
	}
	return 2 * maps * float64(c.Tokens())
}

// AttentionFLOPs returns the operations of the two products of attention of one block for one image.
func (c *Config) AttentionFLOPs() float64 {
	t := float64(c.Tokens())
	return 4 * t * t * float64(c.Width)
}

// PatchFLOPs returns the operations of the patch embedding for one image.
func (c *Config) PatchFLOPs() float64 {
	g, p := float64(c.Grid()), float64(c.Patch)
	return 2 * g * g * float64(c.Channels) * p * p * float64(c.Width)
}

// ForwardFLOPs returns the operations of one forward pass of one image.
func (c *Config) ForwardFLOPs() float64 {
	return c.PatchFLOPs() + float64(c.Depth)*(c.LinearFLOPs()+c.AttentionFLOPs())
}

// Parameters counts the numbers of a backbone, without its head and without what its features do not need.
func (c *Config) Parameters() int64 {
	n := 0
	for _, p := range c.Params() {
		if !strings.HasPrefix(p.Name, "head") && p.Name != "project.weight" {
			n += p.Len()
		}
	}
	return int64(n)
}
