package vit

import (
	"math"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// block runs block b from in to out, which may be the same matrix. See arch.Config for what a block is.
func (e *engine) block(b int, in, out kernel.Mat, a adapter) {
	l, w := e.layer(b, a), &e.m.Blocks[b]

	h := l.layerNorm(in, &w.Norm1, l.st1)
	l.project(w, h)
	e.rotate(l.q, l.rows.Each, false)
	e.rotate(l.k, e.rows.Each, false)
	o := l.attend()
	o = l.innerNorm(o, &w.AttnNorm, l.stAttn, &e.innerO)
	l.residual(Proj, l.mid, o, &w.Proj, w.Scale1, l.queries(in))

	h = l.layerNorm(l.mid, &w.Norm2, l.st2)
	u := l.expand(h, &w.FC1)
	u = l.innerNorm(u, &w.MLPNorm, l.stMLP, &e.innerU)
	l.residual(FC2, out, u, &w.FC2, w.Scale2, l.mid)
}

// operand is the left-hand side of a product. words holds the same rows already rounded to bfloat16, if the
// operation that computed the matrix wrote them; a product with narrow weights then reads words instead of
// rounding again.
type operand struct {
	kernel.Mat
	words kernel.Words
}

// layer is one block applied to the images in flight, with the buffers for its results.
type layer struct {
	e *engine
	b int
	a adapter

	q, k, v, o, mid         kernel.Mat
	pre                     kernel.Mat // MLP pre-activation; no data if it is not kept
	lse                     []float32
	st1, stAttn, st2, stMLP kernel.RowStats
	rows                    span // rows from the queries on: all tokens, or one per image in a pruned block
}

// layer returns block b with its buffers: its own kept state, or the shared ones.
func (e *engine) layer(b int, a adapter) layer {
	r, d := e.rows, e.m.Width
	s := blockState{mid: e.x, qkv: e.qkv, o: e.o}
	if e.prunes(b) {
		s.mid = e.out // e.x still holds the class tokens, which the residual connection reads
	}
	l := layer{e: e, b: b, a: a, rows: r}
	if b >= e.from {
		s = e.keep[b-e.from]
		l.lse, l.st1, l.stAttn, l.st2, l.stMLP = s.lse, s.st1, s.stAttn, s.st2, s.stMLP
	}
	if s.qkv.Data == nil {
		s.qkv = e.qkv
	}
	qkv := e.tokens(s.qkv)
	l.q, l.k, l.v = qkv.ColRange(0, d), qkv.ColRange(d, 2*d), qkv.ColRange(2*d, 3*d)
	if e.prunes(b) {
		l.rows.Each = 1
		l.q = classRows(l.q, r)
	}
	n := l.rows.Images * l.rows.Each
	l.mid, l.o = s.mid.RowRange(0, n), s.o.RowRange(0, n)
	if s.pre.Data != nil {
		l.pre = s.pre.RowRange(0, n)
	}
	return l
}

// queries returns the rows of x, which has a row for every token, that are still needed after attention.
func (l *layer) queries(x kernel.Mat) kernel.Mat {
	if l.e.prunes(l.b) {
		return classRows(x, l.e.rows)
	}
	return x
}

func (l *layer) site(k Kind) Site { return siteAt(l.b, k) }

// layerNorm normalises x into the shared buffer h.
func (l *layer) layerNorm(x kernel.Mat, w *norm, st kernel.RowStats) operand {
	e := l.e
	h := operand{e.h.RowRange(0, x.Rows), e.words.First(x.Rows)}
	e.ex.LayerNormWords(h.Mat, x, w.Gain, w.Bias, e.m.Eps, st, h.words)
	e.mark(l.b, compute.PartNorm)
	return h
}

// innerNorm normalises x into *room if the block has this norm. Otherwise it returns x.
func (l *layer) innerNorm(x operand, w *norm, st kernel.RowStats, room *kernel.Mat) operand {
	if w.Gain == nil {
		return x
	}
	e := l.e
	y := operand{Mat: e.room(room, x.Cols).RowRange(0, x.Rows)}
	e.ex.LayerNorm(y.Mat, x.Mat, w.Gain, w.Bias, e.m.Eps, st)
	e.mark(l.b, compute.PartNorm)
	return y
}

// project computes q (for the query rows), k and v from the normalised input h.
func (l *layer) project(w *block, h operand) {
	e, hq := l.e, h
	if e.prunes(l.b) {
		hq = operand{Mat: classRows(h.Mat, e.rows)}
	}
	e.product(l.q, hq, &w.Q, kernel.Epilogue{Bias: w.Q.Bias})
	e.product(joined(l.k, l.v), h, &w.KV, kernel.Epilogue{Bias: w.KV.Bias})
	e.mark(l.b, compute.PartQKV)
	l.delta(Q, l.rows, hq.Mat, l.q)
	l.delta(K, e.rows, h.Mat, l.k)
	l.delta(V, e.rows, h.Mat, l.v)
}

// joined returns one matrix with the columns of k and v, which are adjacent columns of one matrix.
func joined(k, v kernel.Mat) kernel.Mat {
	return kernel.Mat{Data: k.Data[:len(k.Data)+v.Cols], Rows: k.Rows, Cols: k.Cols + v.Cols, Stride: k.Stride}
}

// attend computes o = softmax(q kᵀ / sqrt(dim) + bias) v.
func (l *layer) attend() operand {
	e := l.e
	o := operand{Mat: l.o}
	if e.m.Blocks[l.b].AttnNorm.Gain == nil {
		o.words = e.words.First(l.o.Rows)
	}
	shape := l.attention()
	shape.Words = o.words
	e.ex.Attention(shape, o.Mat, l.q, l.k, l.v, l.lse)
	e.keepRounded(l.b)
	e.mark(l.b, compute.PartAttention)
	return o
}

func (l *layer) attention() kernel.AttnShape {
	e := l.e
	s := e.attention(l.rows)
	if e.m.biases != nil {
		s.Bias = e.m.biases[l.b]
	}
	return s
}

// attention describes attention of the queries in q to all tokens.
func (e *engine) attention(q span) kernel.AttnShape {
	return kernel.AttnShape{Images: q.Images, Queries: q.Each, Keys: e.rows.Each, Heads: e.m.Heads, Elem: elem(edgePrecision(e.m.Precision)),
		Scale: float32(1 / math.Sqrt(float64(e.m.HeadDim())))}
}

// expand computes act(fc1(h)) or, with SwiGLU, silu(gate(h)) * up(h), and keeps the pre-activation. If fc2
// multiplies in bfloat16 and nothing else reads the result, only its rounded form is stored.
func (l *layer) expand(h operand, fc *linear) operand {
	e, m := l.e, l.e.m
	ep := kernel.Epilogue{Bias: fc.Bias}
	defer e.mark(l.b, compute.PartFC1)
	if !m.SwiGLU && !m.MLPNorm && !l.has(FC1) && !l.has(FC2) && !e.actWords.Empty() {
		ep.Act, ep.Pre, ep.Words = kernel.Activation(m.Act), l.pre, e.actWords.First(h.Rows)
		u := operand{kernel.Mat{Rows: h.Rows, Cols: m.MLP}, ep.Words}
		e.product(u.Mat, h, fc, ep)
		return u
	}
	u := operand{Mat: e.activations(h.Rows)}
	switch pre := l.pre; {
	case m.SwiGLU:
		if pre.Data == nil {
			pre = e.up.RowRange(0, h.Rows)
		}
		e.product(pre, h, fc, ep)
		l.delta(FC1, l.rows, h.Mat, pre)
		e.ex.SwiGLU(u.Mat, pre)
	case l.has(FC1):
		if pre.Data == nil {
			pre = u.Mat
		}
		e.product(pre, h, fc, ep)
		l.delta(FC1, l.rows, h.Mat, pre)
		e.ex.Activate(u.Mat, pre, kernel.Activation(m.Act))
	default:
		ep.Act, ep.Pre = kernel.Activation(m.Act), pre
		e.product(u.Mat, h, fc, ep)
	}
	return u
}

// residual computes dst = res + scale * (x Wᵀ + bias + delta). Without an adapter at the site, the epilogue of
// the product does all of it.
func (l *layer) residual(k Kind, dst kernel.Mat, x operand, w *linear, scale []float32, res kernel.Mat) {
	e := l.e
	switch {
	case !l.has(k):
		e.product(dst, x, w, kernel.Epilogue{Bias: w.Bias, Scale: scale, Residual: res})
	case scale == nil && res.Data == nil:
		e.product(dst, x, w, kernel.Epilogue{Bias: w.Bias})
		l.delta(k, l.rows, x.Mat, dst)
	default:
		y := e.scratchY(dst.Rows)
		e.product(y, x, w, kernel.Epilogue{Bias: w.Bias})
		l.delta(k, l.rows, x.Mat, y)
		e.col.scaleAdd(e.ex, dst, y, scale, res)
	}
	e.mark(l.b, compute.PartOf(k))
}

// product computes dst = x Wᵀ with an epilogue.
func (e *engine) product(dst kernel.Mat, x operand, w *linear, ep kernel.Epilogue) {
	if x.words.Empty() {
		e.ex.Gemm(dst, x.Mat, w.W, ep)
		return
	}
	e.ex.GemmWords(dst, x.words, w.W, ep)
}

// room returns *m with a row for each token of a pass, allocated on first use.
func (e *engine) room(m *kernel.Mat, cols int) kernel.Mat {
	if m.Data == nil || m.Cols != cols {
		*m = kernel.NewBuffer(e.pass*e.m.Tokens(), cols)
	}
	return *m
}

func (e *engine) scratchY(rows int) kernel.Mat { return e.room(&e.y, e.m.Width).RowRange(0, rows) }

func has(a adapter, site Site) bool { return a != nil && a.Has(site) }

func (l *layer) has(k Kind) bool { return has(l.a, l.site(k)) }

// delta adds the adapter's output at map k for input x to y.
func (l *layer) delta(k Kind, rows span, x, y kernel.Mat) {
	if !l.has(k) {
		return
	}
	l.e.mark(l.b, compute.PartOf(k)) // counted with the product to which it is added
	l.a.Forward(l.e.ex, l.site(k), rows, x, y)
	l.e.mark(l.b, compute.PartAdapters)
}
