package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// gradState is the scratch of the backward pass.
type gradState struct {
	x   kernel.Mat // gradient of the residual stream [n*T, d]
	mid kernel.Mat // the same after attention in a pruned block [n, d]
	h   kernel.Mat // gradient of a LayerNorm output [n*T, d]
	qkv kernel.Mat // [n*T, 3d]; the MLP's buffer, if that is wide enough: the two are never needed at once
	up  kernel.Mat // gradient of the MLP pre-activation [n*T, up] (SwiGLU only; else in act)
	act kernel.Mat // gradient of the MLP activation [n*T, mlp], where the activation itself is needed, too
	row kernel.Mat // one feature-wide row an image [n, ...]
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
	if e.from == e.m.Depth && g == nil {
		return
	}
	e.initGrad()
	dx := e.poolGrad(dfeat, g)
	e.mark(compute.Outside, compute.PartPool)
	for b := e.m.Depth - 1; b >= e.from; b-- {
		dx = e.blockGrad(b, dx, a, g)
	}
	if g != nil {
		e.embedGrad(dx, g)
		e.mark(compute.Outside, compute.PartEmbed)
	}
}

// poolGrad returns the gradient of the last block's output.
func (e *engine) poolGrad(dfeat kernel.Mat, g *grads) kernel.Mat {
	m, out := e.m, e.input(e.m.Depth)
	n := e.rows.Images
	d := dfeat
	pooled := e.pooled.RowRange(0, n)
	if m.PoolNorm {
		if g != nil {
			e.col.normParam(e.ex, g.Pool, d, pooled, e.poolSt)
		}
		dst := e.grad.row.RowRange(0, n)
		e.ex.LayerNormGrad(dst, d, pooled, m.Pool.Gain, e.poolSt, false)
		d = dst
	}
	dx := e.grad.x.RowRange(0, out.Rows)
	each := out.Rows / n
	for i := range n {
		m.poolOneGrad(dx.RowRange(i*each, (i+1)*each), d.Row(i))
	}
	if m.FinalNorm {
		if g != nil {
			e.col.normParam(e.ex, g.Final, dx, out, e.normSt)
		}
		e.ex.LayerNormGrad(dx, dx, out, m.Final.Gain, e.normSt, false)
	}
	return dx
}

// poolOneGrad writes the gradient of one image's tokens dx [T, d] from that of its pooled row.
func (m *model) poolOneGrad(dx kernel.Mat, d []float32) {
	w := m.Width
	for r := range dx.Rows {
		clear(dx.Row(r))
	}
	switch m.Pooling {
	case PoolClass:
		copy(dx.Row(0), d)
	case PoolClassDist:
		copy(dx.Row(0), d[:w])
		copy(dx.Row(1), d[w:])
	case PoolMean:
		m.meanPatchesGrad(dx, d)
	case PoolClassMean:
		copy(dx.Row(0), d[:w])
		m.meanPatchesGrad(dx, d[w:])
	case PoolTokens:
		copyRows(dx, kernel.View(d, dx.Rows, w))
	}
}

func (m *model) meanPatchesGrad(dx kernel.Mat, d []float32) {
	s := 1 / float32(dx.Rows-m.Prefix())
	for r := m.Prefix(); r < dx.Rows; r++ {
		kernel.Scale(dx.Row(r), d, s)
	}
}

// blockGrad turns the gradient of block b's output into that of its input. In the lowest block of a
// frozen base it stops at the adapters and returns nothing.
func (e *engine) blockGrad(b int, dx kernel.Mat, a adapter, g *grads) kernel.Mat {
	bb := e.buffers(b)
	var bg *blockGrads
	if g != nil {
		bg = &g.Blocks[b]
	}
	e.mlpGrad(b, dx, bb, a, bg)
	if b == e.from && g == nil && !has(a, siteAt(b, Q)) && !has(a, siteAt(b, K)) && !has(a, siteAt(b, V)) && !has(a, siteAt(b, Proj)) {
		return kernel.Mat{}
	}
	return e.attentionGrad(b, dx, bb, a, bg, g == nil)
}

// mlpGrad replaces dx, the gradient of mid + ls2*fc2(act(fc1(LN2(mid)))), by that of mid.
func (e *engine) mlpGrad(b int, dx kernel.Mat, bb blockBuffers, a adapter, bg *blockGrads) {
	blk, m := &e.m.Blocks[b], e.m
	n := dx.Rows
	act, h := e.activations(n), e.h.RowRange(0, n)
	dact := act
	if bg != nil || has(a, siteAt(b, FC2)) {
		dact = e.secondAct().RowRange(0, n)
		if m.SwiGLU {
			e.ex.SwiGLU(act, bb.pre)
		} else {
			e.ex.Activate(act, bb.pre, kernel.Activation(m.Act))
		}
	}
	dy := e.scaleGrad(dx, act, &blk.FC2, blk.Scale2, siteAt(b, FC2), bb.rows, a, bg)
	e.linearGrad(siteAt(b, FC2), bb.rows, &blk.FC2, act, dy, dact, a, linearOf(bg, FC2))
	e.mark(b, compute.PartFC2)

	dpre := dact
	if m.SwiGLU {
		dpre = e.grad.up.RowRange(0, n)
		e.ex.SwiGLUGrad(dpre, dact, bb.pre)
	} else {
		e.ex.ActivateGrad(dact, dact, bb.pre, kernel.Activation(m.Act))
	}
	if bg != nil || has(a, siteAt(b, FC1)) {
		e.ex.LayerNormApply(h, bb.mid, blk.Norm2.Gain, blk.Norm2.Bias, bb.st2)
	}
	e.mark(b, compute.PartFC1)
	dh := e.grad.h.RowRange(0, n)
	e.linearGrad(siteAt(b, FC1), bb.rows, &blk.FC1, h, dpre, dh, a, linearOf(bg, FC1))
	e.mark(b, compute.PartFC1)
	if bg != nil {
		e.col.normParam(e.ex, bg.Norm2, dh, bb.mid, bb.st2)
	}
	e.ex.LayerNormGrad(dx, dh, bb.mid, blk.Norm2.Gain, bb.st2, true)
	e.mark(b, compute.PartNorm)
}

// attentionGrad turns dmid, the gradient of in + ls1*proj(attention(LN1(in))), into that of in. frozen
// says that below block From() nothing is wanted.
func (e *engine) attentionGrad(b int, dmid kernel.Mat, bb blockBuffers, a adapter, bg *blockGrads, frozen bool) kernel.Mat {
	blk, m, d := &e.m.Blocks[b], e.m, e.m.Width
	do := e.grad.h.RowRange(0, dmid.Rows)
	dy := e.scaleGrad(dmid, bb.o, &blk.Proj, blk.Scale1, siteAt(b, Proj), bb.rows, a, bg)
	e.linearGrad(siteAt(b, Proj), bb.rows, &blk.Proj, bb.o, dy, do, a, linearOf(bg, Proj))
	e.mark(b, compute.PartProj)

	last := frozen && b == e.from // no gradient of the input is wanted
	if last && !has(a, siteAt(b, Q)) && !has(a, siteAt(b, K)) && !has(a, siteAt(b, V)) {
		return kernel.Mat{}
	}
	dqkv := e.tokens(e.grad.qkv)
	dq, dk, dv := dqkv.ColRange(0, d), dqkv.ColRange(d, 2*d), dqkv.ColRange(2*d, 3*d)
	if e.prunes(b) {
		dq = classRows(dq, e.rows)
	}
	e.restoreRounded(b)
	e.ex.AttentionGrad(e.attnShape(bb.rows), dq, dk, dv, do, bb.o, bb.q, bb.k, bb.v, bb.lse)
	e.mark(b, compute.PartAttention)

	in := e.tokens(e.keep[b-e.from].in)
	h := e.tokens(e.h)
	e.ex.LayerNormApply(h, in, blk.Norm1.Gain, blk.Norm1.Bias, bb.st1)
	e.mark(b, compute.PartNorm)
	var dh kernel.Mat
	if !last {
		dh = e.tokens(e.grad.h)
	}
	e.projectionsGrad(b, h, dh, dq, dk, dv, bb.rows, a, bg)
	if last {
		return kernel.Mat{}
	}
	if bg != nil {
		e.col.normParam(e.ex, bg.Norm1, dh, in, bb.st1)
	}
	dx := e.tokens(e.grad.x)
	if !e.prunes(b) {
		e.ex.LayerNormGrad(dx, dh, in, blk.Norm1.Gain, bb.st1, true)
		e.mark(b, compute.PartNorm)
		return dx
	}
	// The residual reached the class token only: keep its gradient while dx becomes full-sized.
	mid := e.grad.mid.RowRange(0, dmid.Rows)
	copyRows(mid, dmid)
	e.ex.LayerNormGrad(dx, dh, in, m.Blocks[b].Norm1.Gain, bb.st1, false)
	addRows(classRows(dx, e.rows), mid)
	e.mark(b, compute.PartNorm)
	return dx
}

// projectionsGrad sends dq, dk and dv through the three maps into dh (if it has data) and the adapters.
func (e *engine) projectionsGrad(b int, h, dh, dq, dk, dv kernel.Mat, q span, a adapter, bg *blockGrads) {
	blk := &e.m.Blocks[b]
	hq, dhq := h, dh
	if e.prunes(b) {
		hq = classRows(h, e.rows)
		if dh.Data != nil {
			dhq = classRows(dh, e.rows)
		}
	}
	dkv := kv(blockBuffers{k: dk, v: dv})
	if dh.Data != nil {
		e.ex.GemmPackedT(dh, dkv, blk.KV.W, false)
		e.ex.GemmPackedT(dhq, dq, blk.Q.W, true)
	}
	if bg != nil {
		e.weightGrad(bg.Q, hq, dq, q)
		e.weightGrad(bg.KV, h, dkv, e.rows)
	}
	e.mark(b, compute.PartQKV)
	for _, s := range [...]struct {
		kind     Kind
		x, dy, d kernel.Mat
		rows     span
	}{{Q, hq, dq, dhq, q}, {K, h, dk, dh, e.rows}, {V, h, dv, dh, e.rows}} {
		if site := siteAt(b, s.kind); has(a, site) {
			a.Backward(e.ex, site, s.rows, s.x, s.dy, s.d)
			e.mark(b, compute.PartAdapters)
		}
	}
}

// linearGrad sends dy [rows, out] back through y = x Wᵀ + b: dx = dy W (+ the adapter's part).
func (e *engine) linearGrad(site Site, rows span, l *linear, x, dy, dx kernel.Mat, a adapter, lg linearGrads) {
	e.ex.GemmPackedT(dx, dy, l.W, false)
	if lg.W != nil {
		e.weightGrad(lg, x, dy, rows)
	}
	if has(a, site) {
		e.mark(site.Block, compute.PartOf(site.Kind))
		a.Backward(e.ex, site, rows, x, dy, dx)
		e.mark(site.Block, compute.PartAdapters)
	}
}

// scaleGrad returns the gradient before LayerScale, dx * scale, and accumulates that of scale itself,
// which needs the map's output again.
func (e *engine) scaleGrad(dx, x kernel.Mat, l *linear, scale []float32, site Site, rows span, a adapter, bg *blockGrads) kernel.Mat {
	if scale == nil {
		return dx
	}
	y := e.scratchY(dx.Rows)
	if bg != nil {
		e.ex.Gemm(y, x, l.W, kernel.Epilogue{Bias: l.Bias})
		e.delta(site, rows, x, y, a)
		e.col.dotColumns(e.ex, scaleOf(bg, site.Kind), dx, y)
	}
	e.col.scaleAdd(e.ex, y, dx, scale, kernel.Mat{})
	return y
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
