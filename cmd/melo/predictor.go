package main

import (
	"fmt"
	"math"
	"slices"

	"melo/internal/kernel"
	"melo/internal/par"
	"melo/lora"
	"melo/vit"
)

// predictor runs a base with one adapter, or with its own head.
type predictor struct {
	engine  *vit.Engine
	set     lora.Set
	adapter *lora.Adapter // nil: the base's own head
	classes int
	logits  kernel.Mat // [batch, classes]
}

// newPredictor returns a predictor for batches of up to batch images. adapter may be nil.
func newPredictor(m *vit.Model, pool *par.Pool, batch int, adapter *lora.Adapter) (*predictor, error) {
	p := &predictor{adapter: adapter}
	head := m.Head
	if adapter != nil {
		if err := adapter.Check(&m.Config); err != nil {
			return nil, err
		}
		head = adapter.Head
	}
	if head == nil {
		return nil, fmt.Errorf("%s: has no head to predict with: give an --adapter that has one", m.Path)
	}
	p.classes = head.Classes
	p.engine = vit.NewEngine(m, pool, batch, m.Depth)
	p.logits = kernel.NewMat(batch, head.Classes)
	return p, nil
}

// Logits returns [n, classes] for n images [n, 3, side, side]; valid until the next call.
func (p *predictor) Logits(images []float32, n int) kernel.Mat {
	out := p.logits.RowRange(0, n)
	if p.adapter == nil {
		p.engine.Model().Logits(out, p.engine.Forward(images, n, nil))
		return out
	}
	p.set.Assign(lora.Segment{Adapter: p.adapter, Images: n})
	p.adapter.Head.Logits(out, p.engine.Forward(images, n, &p.set))
	return out
}

// softmax turns the logits of one image into probabilities that add up to 1.
func softmax(dst, logits []float64) {
	top, sum := slices.Max(logits), 0.0
	for i, v := range logits {
		dst[i] = math.Exp(v - top)
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
}

// sigmoid turns each logit into the probability of its label alone.
func sigmoid(dst, logits []float64) {
	for i, v := range logits {
		dst[i] = 1 / (1 + math.Exp(-v))
	}
}
