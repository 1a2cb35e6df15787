package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// gradState is the scratch of the backward pass.
type gradState struct {
	x    kernel.Mat // gradient of the residual stream [n*T, d]
	mid  kernel.Mat // the same after attention in a pruned block [n, d]
	h    kernel.Mat // gradient of a LayerNorm output [n*T, d]
	qkv  kernel.Mat // [n*T, 3d]; the MLP's buffer, if that is wide enough: the two are never needed at once
	up   kernel.Mat // gradient of the MLP pre-activation [n*T, up] (SwiGLU only; else in act)
	act  kernel.Mat // gradient of the MLP activation [n*T, mlp], where the activation itself is needed, too
	bias []float32  // gradient of a block's biases of scores [Heads, T, T]
	row  kernel.Mat // one feature-wide row an image [n, ...]
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

// secondAct returns a buffer like act, made when it is first needed.
func (e *engine) secondAct() kernel.Mat {
	if e.grad.act.Data == nil {
		e.grad.act = kernel.NewBuffer(e.act.Rows, e.act.Cols)
	}
	return e.grad.act
}

// Backward propagates dfeat [n, Features()], the gradient of the last Forward's result, down to block
// From(). Adapters accumulate the gradients of their own parameters. With g nil the base is frozen: no
// weight gradient is computed, and nothing below the input side of the lowest block.
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
