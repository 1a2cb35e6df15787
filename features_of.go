package melo

import (
	"context"

	"melo.example/melo/imaging"
	"melo.example/melo/vit/arch"
)

// FeatureShape is the shape of one image's features: the pooled vector [d], or all patches in rows [patches, d].
func (b *Base) FeatureShape(patches bool) []int {
	if patches {
		return []int{b.model.Grid() * b.model.Grid(), b.model.Width}
	}
	return []int{b.model.Features()}
}

// Features computes what the base makes of image files, without an adapter, and calls use with the features of each, in
// order, or with the error of one that cannot be read. The slice is valid during the call.
func (b *Base) Features(ctx context.Context, paths []string, patches bool, use func(i int, features []float32, err error) error) error {
	m := b.model
	if err := m.CheckRecipe(); err != nil {
		return err
	}
	skip, width := 0, m.Features()
	if patches {
		var err error
		if m, err = m.Pooled(arch.PoolTokens); err != nil {
			return err
		}
		skip, width = m.Prefix()*m.Width, m.Features()
	}
	values := m.Recipe.Values()
	engine := m.NewEngine(b.batch)
	in := inputs{pixels: make([]float32, b.batch*values), errs: make([]error, b.batch)}
	for in.first = 0; in.first < len(paths); in.first += in.n {
		in.n = min(b.batch, len(paths)-in.first)
		in.prepare(ctx, func(i int, s *imaging.Scratch, dst []float32) error {
			img, err := imaging.DecodeFileContext(ctx, paths[i], m.Recipe.Decoding(imaging.DefaultLimits))
			if err != nil {
				return err
			}
			return s.Apply(m.Recipe, img, dst)
		}, values, b.pool.Workers())
		if err := ctx.Err(); err != nil {
			return err
		}
		all := engine.Features(in.pixels, in.n)
		for i := range in.n {
			row := all[i*width+skip : (i+1)*width]
			if in.errs[i] != nil {
				row = nil
			}
			if err := use(in.first+i, row, in.errs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
