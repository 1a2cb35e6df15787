package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// gradState holds the buffers of the backward pass.
type gradState struct {
	x   kernel.Mat // gradient of the residual stream [n*T, d]
	mid kernel.Mat // the same after attention in a pruned block [n, d]; see engine.prunes
	h   kernel.Mat // gradient of a LayerNorm output [n*T, d]
	// [n*T, 3d]; shares the MLP's buffer if that is wide enough, since the two are never needed at once
	qkv  kernel.Mat
	up   kernel.Mat // gradient of the MLP pre-activation [n*T, up] with SwiGLU; otherwise act is used
	act  kernel.Mat // gradient of the MLP activation [n*T, mlp], if the activation itself is needed, too
	bias []float32  // gradient of a block's relative position bias [Heads, T, T]
	row  kernel.Mat // one row of features per image [n, ...]
}

func (e *engine) initGrad() {
	if e.grad.x.Data != nil {
		return
	}
	m := e.m
	n := e.maxBatch * m.Tokens()
	_, up := m.Dims(FC1)
	e.grad.x = kernel.NewBuffer(n, m.Width)
	e.grad.h = kernel.NewBuffer(n, m.Width)
	if m.MLP >= 3*m.Width {
		e.grad.qkv = e.activations(n).ColRange(0, 3*m.Width)
	} else {
		e.grad.qkv = kernel.NewBuffer(n, 3*m.Width)
	}
	if m.SwiGLU {
		e.grad.up = kernel.NewBuffer(n, up)
	}
	e.grad.mid = kernel.NewMat(e.maxBatch, m.Width)
	e.grad.row = kernel.NewMat(e.maxBatch, m.Features())
}

// secondAct returns a buffer of the shape of act, allocated on first use.
func (e *engine) secondAct() kernel.Mat {
	if e.grad.act.Data == nil {
		e.grad.act = kernel.NewBuffer(e.act.Rows, e.act.Cols)
	}
	return e.grad.act
}

// Backward propagates dfeat [n, Features()], the gradient of the last Forward's result, down to block From().
// Adapters accumulate the gradients of their own parameters. If g is nil the base is frozen: Backward computes
// no weight gradients, and stops at the inputs of the adapters of the lowest block.
func (e *engine) Backward(dfeat kernel.Mat, a adapter, g *grads) {
	if e.from == e.m.Depth && g == nil && !hasPool(a) {
		return
	}
	e.initGrad()
	dx := e.poolGrad(dfeat, a, g)
	e.mark(compute.Outside, compute.PartPool)
	for b := e.m.Depth - 1; b >= e.from; b-- {
		dx = e.blockGrad(b, dx, a, g)
	}
	if g != nil {
		e.embedGrad(dx, g)
		e.mark(compute.Outside, compute.PartEmbed)
	}
}

func copyRows(dst, src kernel.Mat) {
	for r := range dst.Rows {
		copy(dst.Row(r), src.Row(r))
	}
}

func addRows(dst, src kernel.Mat) {
	for r := range dst.Rows {
		kernel.AddTo(dst.Row(r), src.Row(r))
	}
}
