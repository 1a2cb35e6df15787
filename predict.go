package melo

import (
	"context"
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Prediction is the answer for one image. Probabilities are calibrated where the adapter says how.
type Prediction struct {
	Label         string    // the most probable one
	Probability   float64   // of Label
	Probabilities []float64 // one a label, in the order of Adapter.Labels
	Logits        []float32 // one a label
}

// Predict returns the answers for images, in order. A nil adapter is the base's own head.
func (b *Base) Predict(ctx context.Context, a *Adapter, images ...*imaging.Image) ([]Prediction, error) {
	a, err := b.orOwnHead(a)
	if err != nil {
		return nil, err
	}
	answers := make([]Prediction, 0, len(images))
	err = b.eachBatch(ctx, a, len(images), func(i int, s *imaging.Scratch, dst []float32) error {
		return s.Apply(a.recipe, images[i], dst)
	}, func(i int, p Prediction, err error) error {
		if err != nil {
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

// PredictFiles is PredictEach for image files.
func (b *Base) PredictFiles(ctx context.Context, a *Adapter, paths []string, use func(i int, p Prediction, err error) error) error {
	a, err := b.orOwnHead(a)
	if err != nil {
		return err
	}
	return b.PredictEach(ctx, a, len(paths), func(ctx context.Context, i int) (*imaging.Image, error) {
		return imaging.DecodeFileContext(ctx, paths[i], a.recipe.Decoding(imaging.DefaultLimits))
	}, use)
}

// PredictEach predicts the images 0 to n-1, a batch at a time while the next one is being read, and calls use with
// the answer of each, in order. image reads one, and is called from several goroutines; for an image that it
// cannot read use gets its error instead. The run ends with the first error that use returns. A nil adapter is the
// base's own head.
func (b *Base) PredictEach(ctx context.Context, a *Adapter, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, p Prediction, err error) error) error {
	a, err := b.orOwnHead(a)
	if err != nil {
		return err
	}
	return b.eachBatch(ctx, a, n, func(i int, s *imaging.Scratch, dst []float32) error {
		img, err := image(ctx, i)
		if err != nil {
			return err
		}
		return s.Apply(a.recipe, img, dst)
	}, use)
}

func (b *Base) orOwnHead(a *Adapter) (*Adapter, error) {
	if a == nil {
		return b.OwnHead()
	}
	return a, nil
}

// answer runs one batch of n inputs [n, 3, side, side].
func (b *Base) answer(a *Adapter, pixels []float32, n int) ([]Prediction, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	features := b.runnerOf(a).features(a, pixels, n)
	logits := kernel.NewMat(n, len(a.labels))
	if a.lora == nil {
		b.model.Logits(logits, features)
	} else {
		a.lora.Head().Logits(logits, features)
	}
	answers := make([]Prediction, n)
	for i := range answers {
		answers[i] = a.prediction(logits.Row(i))
	}
	return answers, nil
}

// prediction turns the logits of one image into its answer.
func (a *Adapter) prediction(logits []float32) Prediction {
	p := Prediction{Probabilities: make([]float64, len(a.labels)), Logits: logits}
	a.meta.Probabilities(p.Probabilities, logits)
	best := 0
	for i, v := range p.Probabilities {
		if v > p.Probabilities[best] {
			best = i
		}
	}
	p.Label, p.Probability = a.labels[best], p.Probabilities[best]
	return p
}

// runner is an engine with the segments of the batch in flight.
type runner struct {
	engine *vit.Engine
	set    lora.Set
}

// runnerOf returns what runs the adapter's model; b.mu is held.
func (b *Base) runnerOf(a *Adapter) *runner {
	model, run := b.model, &b.run
	if a.tuned != nil {
		model, run = a.tuned, &a.run
	}
	if *run == nil {
		*run = &runner{engine: vit.NewEngine(model, b.pool, b.batch, model.Depth)}
	}
	return *run
}

// features returns [n, Features()], valid until the next call. Switching adapters is this assignment.
func (r *runner) features(a *Adapter, pixels []float32, n int) kernel.Mat {
	if a.lora == nil || !a.lora.Adapts() {
		return r.engine.Forward(pixels, n, nil)
	}
	r.set.Assign(lora.Segment{Adapter: a.lora, Images: n})
	return r.engine.Forward(pixels, n, &r.set)
}
