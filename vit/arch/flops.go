package arch

import "strings"

// The functions below count the floating-point operations of the mathematical definition; a multiply-add counts
// as two. Optimisations that skip work (a last block that computes the class token alone) or repeat it
// (recomputed attention) do not change the count. It is a property of the model, so programs can be compared by
// their share of peak speed.

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

// Parameters returns the number of parameters of a backbone, without its head and without parameters that its
// features do not depend on.
func (c *Config) Parameters() int64 {
	n := 0
	for _, p := range c.Params() {
		if !strings.HasPrefix(p.Name, "head") && p.Name != "project.weight" {
			n += p.Len()
		}
	}
	return int64(n)
}
