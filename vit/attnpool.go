package vit

import (
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// Attention pooling (SigLIP, arXiv 2303.15343) is a block with a single, learned query and without a residual
// connection around attention:
//
//	y = proj(softmax(q kᵀ / sqrt(dim)) v)      q = map of the latent; k, v = maps of the tokens
//	pooled = y + fc2(act(fc1(norm(y))))
//
// Its sites have the block number arch.PoolBlock.

// poolState holds the buffers of attention pooling. All but kv have one row per image.
type poolState struct {
	latent, q, o, y, h, pre, u kernel.Mat
	kv                         kernel.Mat // [n*T, 2d]
	lse                        []float32
	st                         kernel.RowStats

	du, dh, dy, do, dq, dx kernel.Mat // gradients, allocated on first use
	dkv                    kernel.Mat
}

func (e *engine) makePool() {
	m, n, d := e.m, e.pass, e.m.Width
	if m.Pooling != arch.PoolAttention {
		return
	}
	p := &poolState{latent: kernel.NewMat(n, d), q: kernel.NewMat(n, d), o: kernel.NewMat(n, d), y: kernel.NewMat(n, d), h: kernel.NewMat(n, d),
		pre: kernel.NewMat(n, m.MLP), u: kernel.NewMat(n, m.MLP), kv: kernel.NewBuffer(n*m.Tokens(), 2*d),
		lse: make([]float32, n*m.Heads), st: kernel.NewRowStats(n)}
	e.pooling = p
}

// poolLayer returns attention pooling as a layer.
func (e *engine) poolLayer(a adapter) layer {
	p, n, d := e.pooling, e.rows.Images, e.m.Width
	kv := e.tokens(p.kv)
	return layer{e: e, b: arch.PoolBlock, a: a, rows: span{First: e.rows.First, Images: n, Each: 1}, q: p.q.RowRange(0, n), k: kv.ColRange(0, d),
		v: kv.ColRange(d, 2*d), o: p.o.RowRange(0, n), mid: p.y.RowRange(0, n), pre: p.pre.RowRange(0, n), lse: p.lse, st2: p.st}
}

// attnPool pools the tokens x into dst [n, d].
func (e *engine) attnPool(dst, x kernel.Mat, a adapter) {
	l, w, p, m := e.poolLayer(a), &e.m.AttnPool, e.pooling, e.m
	latent, h, u := p.latent.RowRange(0, l.rows.Images), p.h.RowRange(0, l.rows.Images), p.u.RowRange(0, l.rows.Images)
	for i := range latent.Rows {
		copy(latent.Row(i), m.Latent)
	}
	e.product(l.q, operand{Mat: latent}, &w.Q, kernel.Epilogue{Bias: w.Q.Bias})
	e.product(joined(l.k, l.v), operand{Mat: x}, &w.KV, kernel.Epilogue{Bias: w.KV.Bias})
	l.delta(Q, l.rows, latent, l.q)
	l.delta(K, e.rows, x, l.k)
	l.delta(V, e.rows, x, l.v)
	e.ex.Attention(e.attention(l.rows), l.o, l.q, l.k, l.v, l.lse)
	l.residual(Proj, l.mid, operand{Mat: l.o}, &w.Proj, nil, kernel.Mat{})

	e.ex.LayerNorm(h, l.mid, w.Norm2.Gain, w.Norm2.Bias, m.Eps, l.st2)
	e.product(l.pre, operand{Mat: h}, &w.FC1, kernel.Epilogue{Bias: w.FC1.Bias})
	l.delta(FC1, l.rows, h, l.pre)
	e.ex.Activate(u, l.pre, kernel.Activation(m.Act))
	l.residual(FC2, dst, operand{Mat: u}, &w.FC2, nil, l.mid)
}

// attnPoolGrad propagates the gradient d of the pooled rows to dx, the gradient of the tokens. It returns false
// if dx is not needed: the base is frozen and no block below has adapters.
func (e *engine) attnPoolGrad(dx, d kernel.Mat, a adapter, g *grads) bool {
	w, p, m := &e.m.AttnPool, e.pooling, e.m
	l := layerGrad{layer: e.poolLayer(a), all: g, last: g == nil && e.from == m.Depth}
	if g != nil {
		l.g = g.AttnPool
	}
	n := l.rows.Images
	p.makeGrad()
	h, u, dy := p.h.RowRange(0, n), p.u.RowRange(0, n), p.dy.RowRange(0, n)
	latent, dlatent := p.latent.RowRange(0, n), p.dx.RowRange(0, n)

	du := l.residualGrad(FC2, p.du.RowRange(0, n), d, u, &w.FC2, nil)
	e.ex.ActivateGrad(du, du, l.pre, kernel.Activation(m.Act))
	dh := l.linearGrad(FC1, p.dh.RowRange(0, n), du, h, l.rows, &w.FC1)
	copyRows(dy, d)
	l.normGrad(dy, dh, l.mid, &w.Norm2, l.g.Norm2, l.st2)
	do := l.residualGrad(Proj, p.do.RowRange(0, n), dy, l.o, &w.Proj, nil)

	dq, dkv := p.dq.RowRange(0, n), e.tokens(p.dkv)
	dk, dv := dkv.ColRange(0, m.Width), dkv.ColRange(m.Width, 2*m.Width)
	shape := e.attention(l.rows)
	e.trace.want(&shape)
	e.ex.AttentionGrad(shape, dq, dk, dv, do, l.o, l.q, l.k, l.v, l.lse)
	e.trace.attention(arch.PoolBlock, &shape)
	x := e.input(m.Depth)
	if m.FinalNorm {
		x = e.h.RowRange(0, x.Rows)
		e.ex.LayerNormApply(x, e.input(m.Depth), m.Final.Gain, m.Final.Bias, e.normSt)
	}
	if g != nil {
		e.ex.GemmPackedT(dlatent, dq, w.Q.W, false)
		for i := range n {
			kernel.AddTo(g.Latent, dlatent.Row(i))
		}
		e.weightGrad(l.g.Q, latent, dq, l.rows)
		e.weightGrad(l.g.KV, x, dkv, e.rows)
	}
	if l.last {
		dx = kernel.Mat{}
	} else {
		e.ex.GemmPackedT(dx, dkv, w.KV.W, false)
	}
	l.adapterGrad(Q, l.rows, latent, dq, kernel.Mat{})
	l.adapterGrad(K, e.rows, x, dk, dx)
	l.adapterGrad(V, e.rows, x, dv, dx)
	return !l.last
}

// makeGrad allocates the gradient buffers on first use.
func (p *poolState) makeGrad() {
	if p.du.Data != nil {
		return
	}
	like := func(m kernel.Mat) kernel.Mat { return kernel.NewMat(m.Rows, m.Cols) }
	p.du, p.dh, p.dy, p.do, p.dq, p.dx = like(p.u), like(p.h), like(p.y), like(p.o), like(p.q), like(p.latent)
	p.dkv = kernel.NewBuffer(p.kv.Rows, p.kv.Cols)
}

// hasPool reports whether the adapter has deltas in attention pooling.
func hasPool(a adapter) bool {
	for k := Q; k <= FC2; k++ {
		if has(a, Site{Block: arch.PoolBlock, Kind: k}) {
			return true
		}
	}
	return false
}
