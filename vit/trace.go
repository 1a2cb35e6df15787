package vit

import (
	"fmt"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// trace shows a witness values and gradients during the backward pass. A nil trace shows nothing.
type trace struct {
	compute.Tracing
	witness compute.Witness
	p, dp   []float32 // probabilities of one block and their gradients
	x, dx   []float32 // normed tokens of one image and their gradients
}

// want asks attention to store its probabilities, if the witness wants them.
func (t *trace) want(s *kernel.AttnShape) {
	if t == nil || !t.Attention {
		return
	}
	n := s.Images * s.Heads * s.Queries * s.Keys
	s.P, s.DP = grow(&t.p, n, 1).Data, grow(&t.dp, n, 1).Data
}

// attention shows the witness the probabilities of a block.
func (t *trace) attention(block int, s *kernel.AttnShape) {
	if t == nil || !t.Attention {
		return
	}
	each := s.Heads * s.Queries * s.Keys
	for i := range s.Images {
		t.witness.SawAttention(block, i, s.Queries, s.P[i*each:(i+1)*each], s.DP[i*each:(i+1)*each])
	}
}

// normed shows the witness the output h of a block's first norm.
func (t *trace) normed(block int, rows span, h, dh kernel.Mat) {
	if t == nil || !t.Normed {
		return
	}
	for i := range rows.Images {
		x, dx := grow(&t.x, rows.Each, h.Cols), grow(&t.dx, rows.Each, h.Cols)
		copyRows(x, h.RowRange(i*rows.Each, (i+1)*rows.Each))
		copyRows(dx, dh.RowRange(i*rows.Each, (i+1)*rows.Each))
		t.witness.SawNormed(block, i, x.Data, dx.Data)
	}
}

// tracer implements compute.Tracer: an engine whose backward pass trains nothing.
type tracer struct {
	engine *engine
	set    set
}

// NewTracer returns a tracer for batches of up to maxBatch images.
func (m *model) NewTracer(maxBatch int, t compute.Tracing) (compute.Tracer, error) {
	if maxBatch < 1 || t.From < 0 || t.From >= m.Depth {
		return nil, fmt.Errorf("vit: a way back for %d images to block %d, the base has %d", maxBatch, t.From, m.Depth)
	}
	e := newEngine(m, m.workers, maxBatch, t.From)
	e.trace = &trace{Tracing: t}
	return &tracer{engine: e}, nil
}

func (t *tracer) MaxBatch() int { return t.engine.maxBatch }

// KeepEarly implements compute.Keeper.
func (t *tracer) KeepEarly(block int) { t.engine.KeepEarly(block) }

// EarlyRows implements compute.Keeper.
func (t *tracer) EarlyRows() []float32 { return t.engine.EarlyRows() }

func (t *tracer) Features(images []float32, n int, segments ...compute.Segment) []float32 {
	if len(segments) == 0 {
		segments = []compute.Segment{{Images: n}}
	}
	t.set.assign(segments...)
	return t.engine.Forward(images, n, &t.set).Data
}

func (t *tracer) Back(dfeatures []float32, w compute.Witness) {
	e := t.engine
	e.trace.witness = w
	e.Backward(kernel.View(dfeatures, e.rows.Images, e.m.Features()), &t.set, nil)
	e.trace.witness = nil
}
