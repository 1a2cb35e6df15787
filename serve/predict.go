package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"melo/internal/kernel"
	"melo/lora"
	"melo/lora/adapterfile"
	"melo/vit"
)

type lane struct{}

var turn sync.Mutex

func (e *Engine) predict(ctx context.Context, requests []Request, answers []Answer, errs []error) {
	for i, q := range requests {
		answers[i], errs[i] = e.one(ctx, q)
	}
}

func (e *Engine) one(ctx context.Context, q Request) (a Answer, err error) {
	start := time.Now()
	v, err := e.registry.resolve(q.Name, q.Version)
	id := Identity{Name: q.Name}
	defer func() { e.done(ctx, id, v, start, a.Timing, err) }()
	if err != nil {
		return a, err
	}
	id = v.Identity
	h, load, err := e.registry.hold(ctx, v.content)
	a.Timing.Load = load
	if err != nil {
		return a, brokenBy(v, err)
	}
	defer h.release()
	c := h.content
	x := make([]float32, c.recipe.Values())
	switch {
	case q.Input.Image != nil:
		if err := c.recipe.Apply(q.Input.Image, x); err != nil {
			return a, &InputError{err}
		}
	case len(q.Input.Tensor) == len(x):
		copy(x, q.Input.Tensor)
	default:
		return a, &InputError{fmt.Errorf("tensor of %d values, expected 3 x %d x %d", len(q.Input.Tensor), e.Side(), e.Side())}
	}
	if err := ctx.Err(); err != nil {
		return a, err
	}
	logits := e.compute(h.adapter, x)
	a.fill(v, logits)
	return a, nil
}

func (e *Engine) compute(ad *lora.Resident, x []float32) []float32 {
	turn.Lock()
	defer turn.Unlock()
	engine := vit.NewEngine(e.model, e.pool, 1, e.model.Depth)
	var set lora.Set
	set.Assign(lora.Segment{Adapter: ad, Images: 1})
	y := kernel.NewMat(1, ad.Head().Classes)
	ad.Head().Logits(y, engine.Forward(x, 1, &set))
	return y.Data
}

// selfTest lets an adapter answer the inputs in its file.
func (e *Engine) selfTest(ctx context.Context, path string, h *handle) error {
	f := &adapterfile.File{Path: path, Digest: h.content.digest, Meta: *h.content.card}
	return f.CheckSelf(e.model.Precision, h.content.recipe.Values(), e.known, func(input []float32) ([]float32, error) {
		return e.compute(h.adapter, slices.Clone(input)), ctx.Err()
	})
}

// fill writes what follows from the logits.
func (a *Answer) fill(v *version, logits []float32) {
	c := v.content
	a.Identity, a.Labels, a.Logits = v.Identity, c.labels, logits
	a.Probabilities = make([]float64, len(logits))
	c.card.Probabilities(a.Probabilities, logits)
	best := 0
	for i, p := range a.Probabilities {
		a.Probabilities[i] = min(p, 1) // a softmax may exceed 1 by rounding
		if p > a.Probabilities[best] {
			best = i
		}
	}
	a.Label, a.Probability = c.labels[best], a.Probabilities[best]
	if c.thresholds == nil {
		return
	}
	a.Thresholds, a.Present = c.thresholds, make([]bool, len(logits))
	for i, p := range a.Probabilities {
		a.Present[i] = p >= c.thresholds[i]
	}
}

var _ = errors.New
