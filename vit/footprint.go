package vit

import (
	"io/fs"

	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// Outline reads a base's description and its own heads, but no other weights. The Model has no Backend.
func Outline(path string, o Options) (*Model, error) {
	return outline(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.Open(path, c) })
}

// OutlineFS is Outline for a base in the top folder of fsys; see OpenFS.
func OutlineFS(fsys fs.FS, name string, o Options) (*Model, error) {
	return outline(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.OpenFS(fsys, name, c) })
}

func outline(o Options, find finder) (m *Model, err error) {
	err = read(o, find, func(c *checkpoint.Checkpoint) (err error) {
		m = &Model{Config: c.Config, Precision: o.Precision, Path: c.Path, Recipe: c.Recipe, RecipeNote: c.RecipeNote, Notes: c.Notes, Labels: c.Labels, Problem: c.Problem}
		b := builder{c: c, has: shapes(&c.Config)}
		if m.Head, err = b.head("head"); err == nil {
			m.HeadDist, err = b.head("head_dist")
		}
		return err
	})
	return m, err
}

// Footprint estimates the memory in bytes of a base with an engine for batches of up to maxBatch images: its
// packed weights and the buffers of a pass.
func Footprint(c *Config, p Precision, maxBatch, workers int) int64 {
	const word = 4
	size := func(q Precision) int64 { return map[Precision]int64{F32: word, BF16: 2, I8: 1}[q] }
	var bytes int64
	for _, x := range c.Params() {
		n := int64(x.Len())
		switch _, _, _, inBlock := arch.SplitName(x.Name); {
		case len(x.Shape) < 2:
			bytes += word * n
		case inBlock:
			bytes += size(p)*n + 2*word*int64(x.Shape[0]) // int8 weights come with a scale and a sum per output
		default:
			bytes += size(edgePrecision(p)) * n
		}
	}
	_, up := c.Dims(FC1)
	pass := int64(passFor(c.Tokens(), workers, maxBatch))
	tokens, d, g := pass*int64(c.Tokens()), int64(c.Width), int64(c.Grid())
	bytes += word * pass * g * g * int64(c.Channels*c.Patch*c.Patch) // patches
	bytes += word * tokens * (7*d + int64(c.MLP))                    // x, h, q, k, v, o, out; activations
	if c.SwiGLU {
		bytes += word * tokens * int64(up)
	}
	if p != F32 {
		bytes += size(p) * tokens * (d + int64(c.MLP)) // rounded operands
	}
	return bytes + word*int64(maxBatch)*int64(c.Channels*c.Image*c.Image) // the batch
}

// Release unmaps the file of packed weights, if the model uses one. Neither the model nor a copy that shares
// its weights may be used afterwards.
func Release(m *Model) error {
	if x, ok := m.Backend.(*model); ok && x.mapped != nil {
		f := x.mapped
		x.mapped = nil
		return f.Close()
	}
	return nil
}
