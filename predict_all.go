package melo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora/answer"
)

// PredictAll predicts the images 0 to n-1 with several adapters, and calls use with their answers, in order;
// all and errs have one element per adapter. Work that adapters share is done once: an image is read once for
// each preprocessing (image receives it), and passes once through the blocks that the adapters do not change.
// Answers and errors equal those of [Base.PredictEach], bit for bit.
func (b *Base) PredictAll(ctx context.Context, adapters []*Adapter, n int, image func(ctx context.Context, i int, r imaging.Recipe) (*imaging.Image, error),
	use func(i int, all []Prediction, errs []error) error) error {
	if image == nil || use == nil {
		return errors.New("melo: PredictAll needs a function that reads images and one that uses answers; got nil")
	}
	p, err := b.newPanel(adapters)
	if err != nil || len(adapters) == 0 || n == 0 {
		return err
	}
	// failed is indexed by image and recipe. Each entry is written before its batch runs, and read afterwards.
	failed := make([][]error, n)
	values := p.recipes[0].Values()
	batch := min(n, max(1, b.batch/len(p.recipes)))
	return b.batches(ctx, n, batch, len(p.recipes)*values, func(i int, s *imaging.Scratch, dst []float32) error {
		failed[i] = make([]error, len(p.recipes))
		for r, recipe := range p.recipes {
			img, err := image(ctx, i, recipe)
			if err == nil && img == nil {
				err = errors.New("melo: no image: got nil")
			}
			x := dst[r*values : (r+1)*values]
			if err == nil {
				err = s.Apply(recipe, img, x)
			}
			if failed[i][r] = err; err != nil {
				clear(x)
			}
		}
		return nil
	}, func(in inputs) error {
		for k := range in.n {
			i := in.first + k
			if err := ctx.Err(); err != nil {
				return err
			}
			all, errs, err := p.answer(in.pixels[k*len(p.recipes)*values:(k+1)*len(p.recipes)*values], failed[i])
			if err != nil {
				return err
			}
			if err := use(i, all, errs); err != nil {
				return err
			}
		}
		return nil
	})
}

// PredictAllFiles is like PredictAll for image files. Errors name the file.
func (b *Base) PredictAllFiles(ctx context.Context, adapters []*Adapter, paths []string, use func(i int, all []Prediction, errs []error) error) error {
	remarks := make([]map[imaging.Recipe][]string, len(paths))
	return b.PredictAll(ctx, adapters, len(paths), func(ctx context.Context, i int, r imaging.Recipe) (*imaging.Image, error) {
		img, err := imaging.DecodeFileContext(ctx, paths[i], r.Decoding(imaging.DefaultLimits))
		if err == nil {
			if remarks[i] == nil {
				remarks[i] = map[imaging.Recipe][]string{}
			}
			remarks[i][r] = img.Remarks(r)
		}
		return img, err
	}, func(i int, all []Prediction, errs []error) error {
		for k, a := range adapters {
			all[k].Remarks = remarks[i][a.recipe]
			if e, u := (*answer.NotFiniteError)(nil), (*fit.UnlikeError)(nil); errors.As(errs[k], &e) || errors.As(errs[k], &u) {
				errs[k] = fmt.Errorf("%s: %w", paths[i], errs[k])
			}
		}
		remarks[i] = nil
		return use(i, all, errs)
	})
}

// panel is a list of adapters that predict the same images.
type panel struct {
	base     *Base
	adapters []*Adapter
	recipes  []imaging.Recipe // distinct
	recipe   []int            // index into recipes, for each adapter
	engine   compute.Engine   // for adapters that use the base's network; nil: none do
	most     int              // maximum number of rows per pass
}

// maxRows limits the rows of a pass, and thereby the memory for their features.
const maxRows = 64

func (b *Base) newPanel(adapters []*Adapter) (*panel, error) {
	p := &panel{base: b, recipe: make([]int, len(adapters)), most: min(maxRows, max(len(adapters), 1))}
	beside := false
	for k, a := range adapters {
		a, err := b.attached(a)
		if err != nil {
			return nil, err
		}
		p.adapters = append(p.adapters, a)
		r := slices.Index(p.recipes, a.recipe)
		if r < 0 {
			r = len(p.recipes)
			p.recipes = append(p.recipes, a.recipe)
		}
		p.recipe[k] = r
		beside = beside || a.beside()
	}
	if !beside {
		return p, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	p.engine = b.model.NewEngine(p.most)
	return p, nil
}

// beside reports whether the adapter uses the base's network, so that it can share a pass with others.
func (a *Adapter) beside() bool { return a.own == nil && a.lora != nil }

// answer returns the answer or error of each adapter for one image. pixels contains the image once per recipe,
// failed an error for each recipe.
func (p *panel) answer(pixels []float32, failed []error) ([]Prediction, []error, error) {
	all, errs := make([]Prediction, len(p.adapters)), make([]error, len(p.adapters))
	var together []int
	for k, a := range p.adapters {
		switch errs[k] = failed[p.recipe[k]]; {
		case errs[k] != nil:
		case a.beside() && p.branches() != nil:
			together = append(together, k)
		default:
			x := slices.Clone(p.input(pixels, k)) // because it may be mirrored in place
			one, err := p.base.answer(a, x, 1)
			if err != nil {
				return nil, nil, err
			}
			all[k], errs[k] = one[0].prediction, one[0].err
		}
	}
	if err := p.pass(pixels, together, all, errs); err != nil {
		return nil, nil, err
	}
	for k, a := range p.adapters {
		errs[k] = a.refusal(&all[k], errs[k])
	}
	return all, errs, nil
}

func (p *panel) branches() compute.Branching {
	b, _ := p.engine.(compute.Branching)
	return b
}

// input returns the image with the preprocessing of adapter k.
func (p *panel) input(pixels []float32, k int) []float32 {
	n := len(pixels) / len(p.recipes)
	return pixels[p.recipe[k]*n : (p.recipe[k]+1)*n]
}

// pass computes the answers of the adapters that share the base's network. It changes the pixels.
func (p *panel) pass(pixels []float32, which []int, all []Prediction, errs []error) error {
	logits := map[int][]float32{}
	if err := p.logits(pixels, which, func(k int, y []float32, verdict *fit.Verdict) {
		logits[k], all[k].Fit = y, verdict
	}); err != nil {
		return err
	}
	which2 := slices.DeleteFunc(slices.Clone(which), func(k int) bool { return !p.adapters[k].meta.Mirror })
	if len(which2) > 0 {
		imaging.Mirror(pixels, p.recipes[0].Size)
	}
	if err := p.logits(pixels, which2, func(k int, y []float32, _ *fit.Verdict) {
		for c, v := range y {
			logits[k][c] = (logits[k][c] + v) / 2
		}
	}); err != nil {
		return err
	}
	for _, k := range which {
		verdict := all[k].Fit
		all[k], errs[k] = p.adapters[k].rule.Of(logits[k])
		all[k].Fit = verdict
	}
	return nil
}

// logits calls use with the logits of each adapter, and whether the image resembles its training images, nil if
// it has no such test. It processes as many adapters at once as fit into a pass.
func (p *panel) logits(pixels []float32, which []int, use func(k int, logits []float32, verdict *fit.Verdict)) error {
	b := p.base
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	early, _ := p.engine.(compute.Early)
	for some := range slices.Chunk(which, p.most) {
		of, segments := make([]int, len(some)), make([]compute.Segment, len(some))
		block := -1
		for row, k := range some {
			a := p.adapters[k]
			of[row], segments[row] = p.recipe[k], compute.Segment{Adapter: a.lora, Images: 1}
			if a.fit != nil {
				block = a.meta.Fit.Block // the same for all adapters: the middle one
			}
		}
		if early != nil {
			early.KeepEarly(block)
		}
		features, n := p.branches().Branches(pixels, len(p.recipes), of, segments...), b.model.Features()
		for row, k := range some {
			a := p.adapters[k]
			y := make([]float32, len(a.labels))
			a.lora.Head().Logits(y, features[row*n:(row+1)*n])
			var verdict *fit.Verdict
			if a.fit != nil && early != nil {
				v := a.fit.Of(early.EarlyRows()[row*a.fit.Size : (row+1)*a.fit.Size])
				verdict = &v
			}
			use(k, y, verdict)
		}
	}
	return nil
}
