package melo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/explain"
	"melo.example/melo/explain/overlay"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/npz"
	"melo.example/melo/lora/answer"
)

// ExplainOptions select the label to explain and the method. The zero value explains the predicted label with
// the default method.
type ExplainOptions struct {
	// Method computes the maps; empty means explain.Default.
	Method explain.Method
	// Label is the label to explain; empty means the most probable label of each image.
	Label string
	// Against is a second label, or empty: the map shows what speaks for Label rather than for Against.
	Against string
	// Window and Stride are the side and the step of the occluded square for explain.Occlusion, in patches; 0
	// means the default.
	Window, Stride int
}

// Explanation is an answer with its map.
type Explanation struct {
	Prediction     Prediction
	Method         explain.Method
	Label, Against string  // explained labels; Against may be empty
	Probability    float64 // of Label
	// Map has a value for each patch, row by row, and the position of the patches in the image. The larger the
	// value, the more the patch contributes to Label. For explain.Occlusion it is the decrease of the logit
	// without the patch, which may be negative; for the other methods only ratios are meaningful.
	Map overlay.Map
	// Width and Height are the size of the upright image in pixels.
	Width, Height int

	shown *imaging.Image // the image in 8 bits
}

// Full returns a value for each pixel [Height, Width], NaN for pixels that the model did not see.
func (x *Explanation) Full() ([]float32, error) { return x.Map.Full(x.Width, x.Height) }

// WritePNG writes the image with the map over it, and a title. notes are printed below the title.
func (x *Explanation) WritePNG(w io.Writer, notes ...string) error {
	title := fmt.Sprintf("%s  %.1f %%", x.Label, 100*x.Probability)
	if x.Against != "" {
		title += "  against " + x.Against
	}
	text := overlay.Text{Title: title, Notes: append([]string{string(x.Method) + ": what speaks for this label"}, notes...),
		Footer: "Research use only. Not a medical device."}
	if x.Prediction.Unlike() {
		text.Warning = "Not like its training images: nothing is decided."
	}
	if !slices.ContainsFunc(x.Map.Values, func(v float32) bool { return v > 0 }) {
		text.Notes[0] = string(x.Method) + ": nothing speaks for this label"
	}
	return overlay.WritePNG(w, x.shown, &x.Map, text)
}

// WriteNPZ writes the arrays "map" [grid, grid] and "full" [Height, Width] of float32 in NumPy's format.
func (x *Explanation) WriteNPZ(w io.Writer) error {
	full, err := x.Full()
	if err != nil {
		return err
	}
	return npz.Write(w, npz.Floats{Name: "map", Shape: []int{x.Map.Grid, x.Map.Grid}, Data: x.Map.Values},
		npz.Floats{Name: "full", Shape: []int{x.Height, x.Width}, Data: full})
}

// Explain returns an answer and a map for each image, in order. docs/explain.md describes how to read maps, and
// what they do not show.
func (a *Adapter) Explain(ctx context.Context, o ExplainOptions, images ...*imaging.Image) ([]Explanation, error) {
	all := make([]Explanation, 0, len(images))
	if a == nil {
		return nil, errors.New("melo: no adapter: got nil")
	}
	err := a.base.ExplainEach(ctx, a, o, len(images), func(_ context.Context, i int) (*imaging.Image, error) {
		if images[i] == nil {
			return nil, errors.New("no image: got nil")
		}
		return images[i], nil
	}, func(i int, x *Explanation, err error) error {
		if err != nil {
			return fmt.Errorf("melo: image %d: %w", i, err)
		}
		all = append(all, *x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ExplainFiles is like ExplainEach for image files. Errors name the file.
func (b *Base) ExplainFiles(ctx context.Context, a *Adapter, o ExplainOptions, paths []string, use func(i int, x *Explanation, err error) error) error {
	a, err := b.attached(a)
	if err != nil {
		return err
	}
	remarks := make([][]string, len(paths))
	return b.ExplainEach(ctx, a, o, len(paths), func(ctx context.Context, i int) (*imaging.Image, error) {
		img, err := imaging.DecodeFileContext(ctx, paths[i], a.recipe.Decoding(imaging.DefaultLimits))
		if err == nil {
			remarks[i] = img.Remarks(a.recipe)
		}
		return img, err
	}, func(i int, x *Explanation, err error) error {
		if e, u := (*answer.NotFiniteError)(nil), (*fit.UnlikeError)(nil); errors.As(err, &e) || errors.As(err, &u) {
			err = fmt.Errorf("%s: %w", paths[i], err)
		}
		if x != nil {
			x.Prediction.Remarks = remarks[i]
		}
		return use(i, x, err)
	})
}

// ExplainEach explains the images 0 to n-1, one after the other, and calls use with the explanation or the
// error of each. Errors are those of image, which reads an image; [answer.NotFiniteError]; and
// [fit.UnlikeError], if the adapter refuses an image that does not resemble its training images. The first
// error of use ends the run. A nil adapter means the base's own head.
func (b *Base) ExplainEach(ctx context.Context, a *Adapter, o ExplainOptions, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, x *Explanation, err error) error) error {
	if image == nil || use == nil {
		return errors.New("melo: ExplainEach needs a function that reads images and one that uses explanations; got nil")
	}
	a, err := b.attached(a)
	if err != nil {
		return err
	}
	run, err := b.newExplaining(a, o)
	if err != nil {
		return err
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := run.one(func() (*imaging.Image, error) { return image(ctx, i) })
		if x != nil {
			err = a.refusal(&x.Prediction, err)
		}
		if err != nil {
			x = nil
		}
		if err := use(i, x, err); err != nil {
			return err
		}
	}
	return nil
}

// Overlays is what an experiment.Explainer does: by the default method.
func (p predictor) Overlays(ctx context.Context, labels []int, side int, image func(ctx context.Context, k int) (*imaging.Image, error),
	use func(k int, shown *imaging.Image) error) error {
	run, err := p.base.newExplaining(p.Adapter, ExplainOptions{})
	if err != nil {
		return err
	}
	for k, label := range labels {
		if err := ctx.Err(); err != nil {
			return err
		}
		if run.choice, err = explain.Choose(p.labels, p.labels[label], ""); err != nil {
			return err
		}
		x, err := run.one(func() (*imaging.Image, error) { return image(ctx, k) })
		if err != nil {
			return err
		}
		shown, err := overlay.Over(x.shown, &x.Map, side)
		if err != nil {
			return err
		}
		if err := use(k, shown); err != nil {
			return err
		}
	}
	return nil
}

// explaining is a run of explanations.
type explaining struct {
	base      *Base
	adapter   *Adapter
	explainer *explain.Explainer
	choice    explain.Choice
	scratch   imaging.Scratch
	pixels    []float32
	members   []*explaining // of an ensemble
}

func (b *Base) newExplaining(a *Adapter, o ExplainOptions) (*explaining, error) {
	x := &explaining{base: b, adapter: a, pixels: make([]float32, a.recipe.Values())}
	var err error
	if x.choice, err = explain.Choose(a.labels, o.Label, o.Against); err != nil {
		return nil, fmt.Errorf("melo: %s: %w", a.Name(), err)
	}
	for _, m := range a.members {
		run, err := b.newExplaining(m, o)
		if err != nil {
			return nil, err
		}
		x.members, x.explainer = append(x.members, run), run.explainer
	}
	if len(a.members) > 0 {
		return x, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	x.explainer, err = explain.New(a.subject(), explain.Options{Method: o.Method, Window: o.Window, Stride: o.Stride, Batch: b.explainBatch(o.Method)})
	if err == nil && a.fit != nil {
		x.explainer.KeepEarly(a.meta.Fit.Block)
	}
	return x, err
}

// explainBatch returns the number of inputs per pass: 1, except for occlusion, which has many variants of an
// image.
func (b *Base) explainBatch(m explain.Method) int {
	if m == explain.Occlusion {
		return b.batch
	}
	return 1
}

// subject returns the adapter with its base as a subject of package explain.
func (a *Adapter) subject() explain.Subject {
	m := a.base.model
	if a.own != nil {
		m = a.own
	}
	return explain.Subject{Model: m, Adapter: a.lora, Mirror: a.meta.Mirror}
}

// one explains one image.
func (x *explaining) one(read func() (*imaging.Image, error)) (*Explanation, error) {
	a := x.adapter
	img, err := read()
	if err == nil && img == nil {
		err = errors.New("melo: no image: got nil")
	}
	if err == nil {
		err = x.scratch.Apply(a.recipe, img, x.pixels)
	}
	if err != nil {
		return nil, err
	}
	out := &Explanation{Method: x.explainer.Method(), Width: img.W, Height: img.H}
	if out.shown, err = a.recipe.Shown(img); err != nil {
		return nil, err
	}
	out.Map.Grid = x.explainer.Grid()
	if out.Map.Region, err = a.recipe.Region(img.W, img.H); err != nil {
		return nil, err
	}
	found, err := x.run(out)
	if err != nil {
		return nil, err
	}
	if !compute.Finite(found.Maps) {
		return nil, errors.New("melo: the map is not finite")
	}
	out.Map.Values = found.Maps
	if len(found.Early) > 0 && a.fit != nil {
		verdict := a.fit.Of(found.Early)
		out.Prediction.Fit = &verdict
	}
	return out, nil
}

// run computes the answer and the map.
func (x *explaining) run(out *Explanation) (explain.Answer, error) {
	if len(x.members) > 0 {
		return x.explainTogether(out)
	}
	b, a := x.base, x.adapter
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return explain.Answer{}, errClosed
	}
	return x.explainer.Explain(x.pixels, 1, func(_ int, logits []float32) (explain.Score, error) {
		var err error
		if out.Prediction, err = a.rule.Of(logits); err != nil {
			return explain.Score{}, err
		}
		return x.score(out)
	})
}

// score is what is explained of an answer, and sets its names.
func (x *explaining) score(out *Explanation) (explain.Score, error) {
	s, err := x.choice.Score(out.Prediction.Index)
	if err == nil {
		out.Label, out.Against = x.choice.Names(s)
		out.Probability = out.Prediction.Probabilities[s.Label]
	}
	return s, err
}
