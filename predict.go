package melo

import (
	"context"
	"errors"
	"fmt"

	"melo.example/melo/compute"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora/answer"
)

// Prediction is the answer for one image. Probabilities are in the order of Adapter.Labels, and calibrated if
// the adapter has a calibration.
type Prediction = answer.Answer

// Predict returns the answers for images, in order. A nil adapter means the base's own head.
func (b *Base) Predict(ctx context.Context, a *Adapter, images ...*imaging.Image) ([]Prediction, error) {
	a, err := b.attached(a)
	if err != nil {
		return nil, err
	}
	answers := make([]Prediction, 0, len(images))
	err = b.eachBatch(ctx, a, len(images), func(i int, s *imaging.Scratch, dst []float32) error {
		if images[i] == nil {
			return errors.New("no image: got nil")
		}
		return s.Apply(a.recipe, images[i], dst)
	}, func(i int, p Prediction, err error) error {
		if err = a.refusal(&p, err); err != nil {
			return fmt.Errorf("melo: image %d: %w", i, err)
		}
		answers = append(answers, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// PredictFiles is like PredictEach for image files. Errors name the file.
func (b *Base) PredictFiles(ctx context.Context, a *Adapter, paths []string, use func(i int, p Prediction, err error) error) error {
	a, err := b.attached(a)
	if err != nil {
		return err
	}
	remarks := make([][]string, len(paths))
	return b.PredictEach(ctx, a, len(paths), func(ctx context.Context, i int) (*imaging.Image, error) {
		img, err := imaging.DecodeFileContext(ctx, paths[i], a.recipe.Decoding(imaging.DefaultLimits))
		if err == nil {
			remarks[i] = img.Remarks(a.recipe)
		}
		return img, err
	}, func(i int, p Prediction, err error) error {
		p.Remarks = remarks[i]
		if e, u := (*answer.NotFiniteError)(nil), (*fit.UnlikeError)(nil); errors.As(err, &e) || errors.As(err, &u) {
			err = fmt.Errorf("%s: %w", paths[i], err)
		}
		return use(i, p, err)
	})
}

// PredictEach predicts the images 0 to n-1 in batches, and calls use with the answer or the error of each, in
// order. image reads an image; it is called from several goroutines while the previous batch is computed.
// Errors are those of image; [answer.NotFiniteError]; and [fit.UnlikeError], if the adapter refuses an image
// that does not resemble its training images. The first error of use ends the run. A nil adapter means the
// base's own head.
func (b *Base) PredictEach(ctx context.Context, a *Adapter, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, p Prediction, err error) error) error {
	if image == nil || use == nil {
		return errors.New("melo: PredictEach needs a function that reads images and one that uses answers; got nil")
	}
	a, err := b.attached(a)
	if err != nil {
		return err
	}
	return b.predictEach(ctx, a, n, image, func(i int, p Prediction, err error) error {
		return use(i, p, a.refusal(&p, err))
	})
}

// refusal returns the error for an answer that the adapter refuses to give, else err.
func (a *Adapter) refusal(p *Prediction, err error) error {
	if err == nil && p.Unlike() && a.meta.Refuses() {
		return &fit.UnlikeError{Verdict: *p.Fit}
	}
	return err
}

// predictEach is PredictEach without refusals.
func (b *Base) predictEach(ctx context.Context, a *Adapter, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, p Prediction, err error) error) error {
	return b.eachBatch(ctx, a, n, func(i int, s *imaging.Scratch, dst []float32) error {
		img, err := image(ctx, i)
		if err == nil && img == nil {
			err = errors.New("melo: no image: got nil")
		}
		if err != nil {
			return err
		}
		return s.Apply(a.recipe, img, dst)
	}, use)
}

// attached returns an adapter for use on this base: the base's own head for nil, and an error for an adapter of
// another base.
func (b *Base) attached(a *Adapter) (*Adapter, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	switch {
	case a == nil:
		return b.OwnHead()
	case a.base == nil:
		return nil, errors.New("melo: the adapter was not made by Base.Adapter, OpenFor or Base.OwnHead")
	case a.base != b:
		return nil, fmt.Errorf("melo: %s: the adapter was attached to the base %s, opened by itself; it answers there alone: attach it to %s with Base.Adapter",
			a.Name(), a.base.Path(), b.Path())
	}
	return a, nil
}

// answered is the answer for one image, or its error.
type answered struct {
	prediction Prediction
	err        error
}

// answer computes a batch of n inputs [n, 3, side, side]. If the adapter averages over mirror images, it also
// computes those, by mirroring pixels in place.
func (b *Base) answer(a *Adapter, pixels []float32, n int) ([]answered, error) {
	if len(a.members) > 0 {
		return b.answerTogether(a, pixels, n)
	}
	logits, verdicts, err := b.logits(a, pixels, n)
	if err != nil {
		return nil, err
	}
	if a.meta.Mirror {
		imaging.Mirror(pixels, a.recipe.Size)
		mirrored, _, err := b.logits(a, pixels, n)
		if err != nil {
			return nil, err
		}
		for i, v := range mirrored {
			logits[i] = (logits[i] + v) / 2
		}
	}
	answers, k := make([]answered, n), len(a.labels)
	for i := range answers {
		answers[i].prediction, answers[i].err = a.rule.Of(logits[i*k : (i+1)*k : (i+1)*k])
		if verdicts != nil {
			answers[i].prediction.Fit = &verdicts[i]
		}
	}
	return answers, nil
}

// logits computes a batch of n inputs [n, 3, side, side]. It returns logits [n, labels], and for each input
// whether it resembles the training images, nil if the adapter has no such test.
func (b *Base) logits(a *Adapter, pixels []float32, n int) ([]float32, []fit.Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errClosed
	}
	engine, classes := b.engineOf(a), len(a.labels)
	early := a.keepEarly(engine)
	features := engine.Features(pixels, n, compute.Segment{Adapter: a.lora, Images: n})
	logits := make([]float32, n*classes)
	if a.lora == nil {
		b.model.Logits(logits, features)
	} else {
		a.lora.Head().Logits(logits, features)
	}
	if early == nil {
		return logits, nil, nil
	}
	verdicts, size := make([]fit.Verdict, n), a.fit.Size
	for i := range verdicts {
		verdicts[i] = a.fit.Of(early.EarlyRows()[i*size : (i+1)*size])
	}
	return logits, verdicts, nil
}

// keepEarly makes the engine keep the intermediate features that the test of similarity to the training images
// needs. It returns nil if the adapter has no such test.
func (a *Adapter) keepEarly(engine compute.Engine) compute.Early {
	early, ok := engine.(compute.Early)
	if !ok {
		return nil
	}
	if a.fit == nil {
		early.KeepEarly(-1)
		return nil
	}
	early.KeepEarly(a.meta.Fit.Block)
	return early
}

// engineOf returns the engine for the adapter's network. The caller holds b.mu. One engine serves all adapters
// on the base: each segment of a batch names its adapter.
func (b *Base) engineOf(a *Adapter) compute.Engine {
	model, run := b.model, &b.run
	if a.own != nil {
		model, run = a.own, &a.run
	}
	if *run == nil {
		*run = model.NewEngine(b.batch)
	}
	return *run
}
