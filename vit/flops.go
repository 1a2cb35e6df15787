package vit

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

// Parameters counts the numbers of a backbone, without its head.
func (m *Model) Parameters() int64 {
	linear := func(l Linear) int { return l.In*l.Out + len(l.Bias) }
	norm := func(n Norm) int { return len(n.Gain) + len(n.Bias) }
	n := linear(m.PatchEmbed) + len(m.ClassToken) + len(m.DistToken) + len(m.Register) + len(m.Pos) + norm(m.Pre) + norm(m.Final) + norm(m.Pool)
	for i := range m.Blocks {
		b := &m.Blocks[i]
		n += norm(b.Norm1) + norm(b.Norm2) + len(b.Scale1) + len(b.Scale2)
		for _, l := range []Linear{b.Q, b.KV, b.Proj, b.FC1, b.FC2} {
			n += linear(l)
		}
	}
	return int64(n)
}
