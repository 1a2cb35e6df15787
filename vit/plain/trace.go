package plain

import (
	"fmt"

	"melo.example/melo/compute"
)

// showNormed shows the witness, during the backward pass, the output of a block's first norm.
func (p *pass) showNormed(block int, h *matrix) {
	if p.witness == nil {
		return
	}
	p.back(func() { p.witness().SawNormed(block, p.image, narrow(h.x), narrow(h.d)) })
}

// showAttention returns a function that collects each attention probability and its gradient during the
// backward pass. When all have been collected it shows them to the witness.
func (p *pass) showAttention(block, heads, queries, keys int) func(head, query, key int, prob, dprob float64) {
	if p.witness == nil {
		return func(int, int, int, float64, float64) {}
	}
	n := heads * queries * keys
	probs, dprobs := make([]float64, n), make([]float64, n)
	p.back(func() { p.witness().SawAttention(block, p.image, queries, narrow(probs), narrow(dprobs)) })
	return func(head, query, key int, prob, dprob float64) {
		at := (head*queries+query)*keys + key
		probs[at], dprobs[at] = prob, dprob
	}
}

// tracer implements compute.Tracer. back holds the backward function of each image of a batch.
type tracer struct {
	backend
	most    int
	what    compute.Tracing
	way     []func(df []float64)
	witness compute.Witness
}

// NewTracer returns a tracer. Its witness is shown one image after the other.
func (b backend) NewTracer(maxBatch int, t compute.Tracing) (compute.Tracer, error) {
	if t.From < 0 || t.From >= b.Config.Depth {
		return nil, fmt.Errorf("plain: no block %d", t.From)
	}
	return &tracer{backend: b, most: maxBatch, what: t}, nil
}

func (t *tracer) MaxBatch() int { return t.most }

func (t *tracer) Features(images []float32, n int, segments ...compute.Segment) []float32 {
	t.way = t.way[:0]
	var out []float32
	size := len(images) / n
	if len(segments) == 0 {
		segments = []compute.Segment{{Images: n}}
	}
	for _, s := range segments {
		var deltas []compute.Delta
		if s.Adapter != nil {
			deltas = s.Adapter.Deltas()
		}
		for range s.Images {
			adapted := *t.Network
			adapted.Adapt(deltas)
			p := &pass{Network: &adapted, witness: func() compute.Witness { return seen{t} }, image: len(t.way)}
			f, back := p.features(images[:size])
			images, out, t.way = images[size:], append(out, narrow(f)...), append(t.way, back)
		}
	}
	return out
}

func (t *tracer) Back(dfeatures []float32, w compute.Witness) {
	t.witness = w
	n := t.Config.Features()
	for i, back := range t.way {
		back(wide(dfeatures[i*n : (i+1)*n]))
	}
}

// seen filters what the witness is shown.
type seen struct{ *tracer }

func (s seen) wants(block int, kind bool) bool { return kind && block >= s.what.From }

func (s seen) SawNormed(block, image int, x, dx []float32) {
	if s.wants(block, s.what.Normed) {
		s.witness.SawNormed(block, image, x, dx)
	}
}

func (s seen) SawAttention(block, image, queries int, p, dp []float32) {
	if s.wants(block, s.what.Attention) {
		s.witness.SawAttention(block, image, queries, p, dp)
	}
}
