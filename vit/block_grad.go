package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// blockGrad computes the gradient of block b's input from dx, the gradient of its output. In the lowest block
// of a frozen base it stops at the adapters and returns nothing. Norms, activations and probabilities are
// recomputed from what the forward pass kept.
func (e *engine) blockGrad(b int, dx kernel.Mat, a adapter, g *grads) kernel.Mat {
	l, w := e.gradient(b, a, g), &e.m.Blocks[b]

	u, un := l.activationsAgain(&w.MLPNorm)
	du := l.residualGrad(FC2, l.activationGradRoom(), dx, un, &w.FC2, w.Scale2)
	l.innerNormGrad(du, u, &w.MLPNorm, l.g.MLPNorm, l.stMLP)
	dpre := l.activationGrad(du)
	dh := l.linearGrad(FC1, e.grad.h.RowRange(0, dx.Rows), dpre, l.normAgain(l.mid, &w.Norm2, l.st2, l.wants(FC1)), l.rows, &w.FC1)
	l.normGrad(dx, dh, l.mid, &w.Norm2, l.g.Norm2, l.st2)
	if l.last && e.trace == nil && !l.has(Q) && !l.has(K) && !l.has(V) && !l.has(Proj) {
		return kernel.Mat{}
	}

	dmid := dx // gradient of in + ls1 * proj(norm_attn(o))
	do := l.residualGrad(Proj, e.grad.h.RowRange(0, dmid.Rows), dmid, l.innerAgain(l.o, &w.AttnNorm, l.stAttn, &e.innerO, Proj), &w.Proj, w.Scale1)
	if l.last && e.trace == nil && !l.has(Q) && !l.has(K) && !l.has(V) {
		return kernel.Mat{}
	}
	l.innerNormGrad(do, l.o, &w.AttnNorm, l.g.AttnNorm, l.stAttn)
	dq, dk, dv := l.attentionGrad(do)
	if l.last && e.trace != nil && !e.trace.Normed {
		return kernel.Mat{}
	}
	e.rotate(dq, l.rows.Each, true)
	e.rotate(dk, e.rows.Each, true)
	in := e.tokens(e.keep[b-e.from].in)
	h := l.normAgain(in, &w.Norm1, l.st1, true)
	dh = l.projectGrad(w, h, dq, dk, dv)
	e.trace.normed(b, e.rows, h, dh)
	if l.last {
		return kernel.Mat{}
	}
	return l.inputGrad(dmid, dh, in, w)
}

// layerGrad is a layer in the backward pass.
type layerGrad struct {
	layer
	g    blockGrads // gradients of the weights; zero if the base is frozen
	all  *grads     // nil if the base is frozen
	last bool       // the gradient of the block's input is not needed
}

func (e *engine) gradient(b int, a adapter, g *grads) layerGrad {
	l := layerGrad{layer: e.layer(b, a), all: g, last: b == e.from && g == nil}
	if g != nil {
		l.g = g.Blocks[b]
	}
	return l
}

// wants reports whether the input of map k must be recomputed, for the gradients of its weights or of its
// adapter.
func (l *layerGrad) wants(k Kind) bool { return l.all != nil || l.has(k) }

// activationsAgain recomputes, if needed, the MLP's activations u and un, the input of fc2.
func (l *layerGrad) activationsAgain(w *norm) (u, un kernel.Mat) {
	e, m := l.e, l.e.m
	u = e.activations(l.mid.Rows)
	if !l.wants(FC2) && !m.MLPNorm {
		return u, u
	}
	if m.SwiGLU {
		e.ex.SwiGLU(u, l.pre)
	} else {
		e.ex.Activate(u, l.pre, kernel.Activation(m.Act))
	}
	return u, l.innerAgain(u, w, l.stMLP, &e.innerU, FC2)
}

// activationGradRoom returns the buffer for the gradient of the activations. It overwrites the activations if
// they are not needed.
func (l *layerGrad) activationGradRoom() kernel.Mat {
	if l.wants(FC2) || l.e.m.MLPNorm {
		return l.e.secondAct().RowRange(0, l.mid.Rows)
	}
	return l.e.activations(l.mid.Rows)
}

// activationGrad returns the gradient of the MLP pre-activation.
func (l *layerGrad) activationGrad(du kernel.Mat) (dpre kernel.Mat) {
	e, m := l.e, l.e.m
	if m.SwiGLU {
		dpre = e.grad.up.RowRange(0, du.Rows)
		e.ex.SwiGLUGrad(dpre, du, l.pre)
		return dpre
	}
	e.ex.ActivateGrad(du, du, l.pre, kernel.Activation(m.Act))
	return du
}

// normAgain recomputes a norm of x into the shared buffer h, if wanted.
func (l *layerGrad) normAgain(x kernel.Mat, w *norm, st kernel.RowStats, wanted bool) kernel.Mat {
	h := l.e.h.RowRange(0, x.Rows)
	if wanted {
		l.e.ex.LayerNormApply(h, x, w.Gain, w.Bias, st)
		l.e.mark(l.b, compute.PartNorm)
	}
	return h
}

// innerAgain recomputes a norm inside the block, if the block has it and map k, which reads it, needs its
// input.
func (l *layerGrad) innerAgain(x kernel.Mat, w *norm, st kernel.RowStats, room *kernel.Mat, k Kind) kernel.Mat {
	if w.Gain == nil || !l.wants(k) {
		return x
	}
	y := l.e.room(room, x.Cols).RowRange(0, x.Rows)
	l.e.ex.LayerNormApply(y, x, w.Gain, w.Bias, st)
	return y
}

// innerNormGrad overwrites dy, the gradient of the output of a norm inside the block, with the gradient of its
// input x. It does nothing if the block lacks that norm.
func (l *layerGrad) innerNormGrad(dy, x kernel.Mat, w *norm, g norm, st kernel.RowStats) {
	if w.Gain == nil {
		return
	}
	if l.all != nil {
		l.e.col.normParam(l.e.ex, g, dy, x, st)
	}
	l.e.ex.LayerNormGrad(dy, dy, x, w.Gain, st, false)
	l.e.mark(l.b, compute.PartNorm)
}

// normGrad adds to dx the gradient that reaches x through a norm of x whose output has gradient dh.
func (l *layerGrad) normGrad(dx, dh, x kernel.Mat, w *norm, g norm, st kernel.RowStats) {
	if l.all != nil {
		l.e.col.normParam(l.e.ex, g, dh, x, st)
	}
	l.e.ex.LayerNormGrad(dx, dh, x, w.Gain, st, true)
	l.e.mark(l.b, compute.PartNorm)
}

// residualGrad propagates dy, the gradient of res + scale * (x Wᵀ + bias + delta), to x and writes it to dst.
func (l *layerGrad) residualGrad(k Kind, dst, dy, x kernel.Mat, w *linear, scale []float32) kernel.Mat {
	e := l.e
	if scale != nil { // dy before LayerScale; the gradient of scale itself needs the map's output again
		y := e.scratchY(dy.Rows)
		if l.all != nil {
			e.ex.Gemm(y, x, w.W, kernel.Epilogue{Bias: w.Bias})
			l.delta(k, l.rows, x, y)
			e.col.dotColumns(e.ex, l.scaleOf(k), dy, y)
		}
		e.col.scaleAdd(e.ex, y, dy, scale, kernel.Mat{})
		dy = y
	}
	return l.linearGrad(k, dst, dy, x, l.rows, w)
}

// linearGrad propagates dy [rows, out] through y = x Wᵀ + b: dst = dy W, plus the adapter's part.
func (l *layerGrad) linearGrad(k Kind, dst, dy, x kernel.Mat, rows span, w *linear) kernel.Mat {
	e := l.e
	e.ex.GemmPackedT(dst, dy, w.W, false)
	if l.all != nil {
		e.weightGrad(l.weights(k), x, dy, rows)
	}
	if l.has(k) {
		e.mark(l.b, compute.PartOf(k))
		l.a.Backward(e.ex, l.site(k), rows, x, dy, dst)
		e.mark(l.b, compute.PartAdapters)
	}
	e.mark(l.b, compute.PartOf(k))
	return dst
}

// weights returns the weight gradients of proj, fc1 or fc2.
func (l *layerGrad) weights(k Kind) linearGrads {
	switch k {
	case Proj:
		return l.g.Proj
	case FC1:
		return l.g.FC1
	}
	return l.g.FC2
}

func (l *layerGrad) scaleOf(k Kind) []float32 {
	if k == Proj {
		return l.g.Scale1
	}
	return l.g.Scale2
}

// attentionGrad returns the gradients of q, k and v, as attention read them, from the gradient of its output.
func (l *layerGrad) attentionGrad(do kernel.Mat) (dq, dk, dv kernel.Mat) {
	e, d := l.e, l.e.m.Width
	dqkv := e.tokens(e.grad.qkv)
	dq, dk, dv = dqkv.ColRange(0, d), dqkv.ColRange(d, 2*d), dqkv.ColRange(2*d, 3*d)
	if e.prunes(l.b) {
		dq = classRows(dq, e.rows)
	}
	e.restoreRounded(l.b)
	shape := l.attention()
	if l.all != nil && shape.Bias != nil {
		shape.DBias = e.biasGradRoom(len(shape.Bias))
	}
	e.trace.want(&shape)
	e.ex.AttentionGrad(shape, dq, dk, dv, do, l.o, l.q, l.k, l.v, l.lse)
	e.trace.attention(l.b, &shape)
	if shape.DBias != nil {
		e.m.biasGrad(l.all, l.b, shape.DBias)
	}
	e.mark(l.b, compute.PartAttention)
	return dq, dk, dv
}

// biasGradRoom returns a buffer of n zeros.
func (e *engine) biasGradRoom(n int) []float32 {
	if len(e.grad.bias) != n {
		e.grad.bias = make([]float32, n)
	}
	clear(e.grad.bias)
	return e.grad.bias
}

// projectGrad propagates dq, dk and dv through the three maps of h. It returns the gradient of h, if that is
// needed.
func (l *layerGrad) projectGrad(w *block, h, dq, dk, dv kernel.Mat) (dh kernel.Mat) {
	e, hq, dkv := l.e, l.queries(h), joined(dk, dv)
	var dhq kernel.Mat
	if !l.last || e.trace != nil {
		dh = e.tokens(e.grad.h)
		dhq = l.queries(dh)
		e.ex.GemmPackedT(dh, dkv, w.KV.W, false)
		e.ex.GemmPackedT(dhq, dq, w.Q.W, true)
	}
	if l.all != nil {
		e.weightGrad(l.g.Q, hq, dq, l.rows)
		e.weightGrad(l.g.KV, h, dkv, e.rows)
	}
	e.mark(l.b, compute.PartQKV)
	l.adapterGrad(Q, l.rows, hq, dq, dhq)
	l.adapterGrad(K, e.rows, h, dk, dh)
	l.adapterGrad(V, e.rows, h, dv, dh)
	return dh
}

func (l *layerGrad) adapterGrad(k Kind, rows span, x, dy, dx kernel.Mat) {
	if l.has(k) {
		l.a.Backward(l.e.ex, l.site(k), rows, x, dy, dx)
		l.e.mark(l.b, compute.PartAdapters)
	}
}

// inputGrad returns the gradient of the block's input: the sum of that of the residual connection and that
// through the norm.
func (l *layerGrad) inputGrad(dmid, dh, in kernel.Mat, w *block) kernel.Mat {
	e := l.e
	dx := e.tokens(e.grad.x)
	if !e.prunes(l.b) {
		l.normGrad(dx, dh, in, &w.Norm1, l.g.Norm1, l.st1)
		return dx
	}
	if l.all != nil {
		e.col.normParam(e.ex, l.g.Norm1, dh, in, l.st1)
	}
	// The residual connection reached the class token only. Keep its gradient while dx becomes full-sized.
	mid := e.grad.mid.RowRange(0, dmid.Rows)
	copyRows(mid, dmid)
	e.ex.LayerNormGrad(dx, dh, in, w.Norm1.Gain, l.st1, false)
	addRows(classRows(dx, e.rows), mid)
	e.mark(l.b, compute.PartNorm)
	return dx
}
