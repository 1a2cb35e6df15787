package melo

import (
	"context"

	"melo.example/melo/imaging"
	"melo.example/melo/vit/arch"
)

// FeatureShape returns the shape of one image's features: the pooled vector [d], or with patches [patches, d].
func (b *Base) FeatureShape(patches bool) []int {
	if patches {
		return []int{b.model.Grid() * b.model.Grid(), b.model.Width}
	}
	return []int{b.model.Features()}
}

// Features computes the base's features of image files, without an adapter, and calls use with the features or
// the error of each, in order. The slice is valid only during the call.
func (b *Base) Features(ctx context.Context, paths []string, patches bool, use func(i int, features []float32, err error) error) error {
	return b.FeaturesEach(ctx, len(paths), func(ctx context.Context, i int, o imaging.Options) (*imaging.Image, error) {
		return imaging.DecodeFileContext(ctx, paths[i], o)
	}, patches, use)
}

// FeaturesEach is like Features for n images, which image decodes with the options that it is given. image may
// be called concurrently.
func (b *Base) FeaturesEach(ctx context.Context, n int, image func(ctx context.Context, i int, o imaging.Options) (*imaging.Image, error),
	patches bool, use func(i int, features []float32, err error) error) error {
	if err := b.usable(); err != nil {
		return err
	}
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
	for in.first = 0; in.first < n; in.first += in.n {
		in.n = min(b.batch, n-in.first)
		in.prepare(ctx, func(i int, s *imaging.Scratch, dst []float32) error {
			img, err := image(ctx, i, m.Recipe.Decoding(imaging.DefaultLimits))
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
