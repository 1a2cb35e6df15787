package vit

import (
	"fmt"
	"math"
	"strconv"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// Forward computes the pooled features [n, Features()] of n images [n, 3, Image, Image], normalised by
// the model's recipe. a may be nil: the bare backbone. The result is valid until the next call.
func (e *engine) Forward(images []float32, n int, a adapter) kernel.Mat {
	each := e.m.Channels * e.m.Image * e.m.Image
	e.checkBatch("Forward", len(images), n, each)
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		e.begin(images[first*each:], a)
		e.end(a)
	}
	return e.features(n)
}

// PrefixSize returns how many numbers of an image enter block From(): a row of Width for each token.
func (e *engine) PrefixSize() int { return e.m.Tokens() * e.m.Width }

// Prefix computes what enters block From() for n images into dst [n, PrefixSize()]. ForwardFrom goes on from
// there: an image whose first blocks carry no adapters need not pass them twice.
func (e *engine) Prefix(dst, images []float32, n int) {
	each := e.m.Channels * e.m.Image * e.m.Image
	e.checkBatch("Prefix", len(images), n, each)
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		e.begin(images[first*each:], nil)
		x := e.input(e.from)
		copyRows(kernel.View(dst[first*e.PrefixSize():], x.Rows, x.Cols), x)
	}
}

// ForwardFrom is Forward from the results of Prefix on, bit for bit. a must have no deltas before block From().
func (e *engine) ForwardFrom(prefix []float32, n int, a adapter) kernel.Mat {
	e.checkBatch("ForwardFrom", len(prefix), n, e.PrefixSize())
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		x := e.input(e.from)
		copyRows(x, kernel.View(prefix[first*e.PrefixSize():], x.Rows, x.Cols))
		e.end(a)
	}
	return e.features(n)
}

func (e *engine) checkBatch(what string, numbers, n, each int) {
	if n < 1 || n > e.maxBatch || numbers < n*each {
		panic(fmt.Sprintf("vit: %s: %d images in %d numbers, room for %d", what, n, numbers, e.maxBatch))
	}
}

// take puts the images of a batch of n from first on in flight, as many as pass together.
func (e *engine) take(first, n int) {
	e.fit()
	e.rows = span{First: first, Images: min(e.pass, n-first), Each: e.m.Tokens()}
}

// begin runs the embedding and the blocks before From() on the images in flight.
func (e *engine) begin(images []float32, a adapter) {
	e.embedTokens(images, e.input(0))
	e.mark(compute.Outside, compute.PartEmbed)
	e.blocks(0, e.from, a)
}

// end runs the blocks from From() on and pools.
func (e *engine) end(a adapter) {
	e.blocks(e.from, e.m.Depth, a)
	e.pool()
	e.mark(compute.Outside, compute.PartPool)
}

// features returns the pooled features of the batch.
func (e *engine) features(n int) kernel.Mat {
	if e.m.PoolNorm {
		return e.feat.RowRange(0, n)
	}
	return e.pooled.RowRange(0, n)
}

// blocks runs blocks [from, to).
func (e *engine) blocks(from, to int, a adapter) {
	for b := from; b < to; b++ {
		e.block(b, e.input(b), e.input(b+1), a)
		if e.Tap != nil {
			e.tap("block."+strconv.Itoa(b), e.input(b+1))
		}
	}
}

// input returns where block b reads its input: its own kept matrix, or the shared residual stream.
// input(Depth) is the last block's output.
func (e *engine) input(b int) kernel.Mat {
	switch {
	case b == e.m.Depth && e.prunes(b-1):
		return e.out.RowRange(0, e.rows.Images)
	case b == e.m.Depth:
		return e.tokens(e.out)
	case b >= e.from:
		return e.tokens(e.keep[b-e.from].in)
	}
	return e.tokens(e.x)
}

// blockBuffers are the matrices that one block works in: its kept state, or the shared ones.
type blockBuffers struct {
	mid, q, k, v, o kernel.Mat
	pre             kernel.Mat // has no data when the pre-activation is not kept
	lse             []float32
	st1, st2        kernel.RowStats
	rows            span // of the query side: all tokens, or one an image
}

func (e *engine) buffers(b int) blockBuffers {
	r, d := e.rows, e.m.Width
	s := blockState{mid: e.x, qkv: e.qkv, o: e.o}
	if e.prunes(b) {
		s.mid = e.out // e.x still holds the class tokens that the residual reads
	}
	var bb blockBuffers
	if b >= e.from {
		s = e.keep[b-e.from]
		bb.lse, bb.st1, bb.st2 = s.lse, s.st1, s.st2
	}
	if s.qkv.Data == nil {
		s.qkv = e.qkv
	}
	qkv := e.tokens(s.qkv)
	bb.q, bb.k, bb.v = qkv.ColRange(0, d), qkv.ColRange(d, 2*d), qkv.ColRange(2*d, 3*d)
	bb.rows = r
	if e.prunes(b) {
		bb.rows.Each = 1
		bb.q = classRows(bb.q, r)
	}
	n := bb.rows.Images * bb.rows.Each
	bb.mid, bb.o = s.mid.RowRange(0, n), s.o.RowRange(0, n)
	if s.pre.Data != nil {
		bb.pre = s.pre.RowRange(0, n)
	}
	return bb
}

// block runs block b from in to out, which may be the same matrix:
//
//	mid = in + ls1 * proj(attention(LN1(in)));  out = mid + ls2 * fc2(act(fc1(LN2(mid))))
func (e *engine) block(b int, in, out kernel.Mat, a adapter) {
	blk, bb := &e.m.Blocks[b], e.buffers(b)
	h, words := e.tokens(e.h), e.words.First(in.Rows)
	e.ex.LayerNormWords(h, in, blk.Norm1.Gain, blk.Norm1.Bias, e.m.Eps, bb.st1, words)
	e.mark(b, compute.PartNorm)
	e.project(b, h, words, bb, a)
	words = e.words.First(bb.o.Rows)
	shape := e.attnShape(bb.rows)
	shape.Words = words
	e.ex.Attention(shape, bb.o, bb.q, bb.k, bb.v, bb.lse)
	e.keepRounded(b)
	e.mark(b, compute.PartAttention)
	res := in
	if e.prunes(b) {
		res = classRows(in, e.rows)
	}
	e.linear(siteAt(b, Proj), bb.rows, &blk.Proj, bb.mid, bb.o, words, blk.Scale1, res, a)
	e.mark(b, compute.PartProj)

	h = e.h.RowRange(0, bb.mid.Rows)
	e.ex.LayerNormWords(h, bb.mid, blk.Norm2.Gain, blk.Norm2.Bias, e.m.Eps, bb.st2, words)
	e.mark(b, compute.PartNorm)
	act, actWords := e.expand(b, h, words, bb, a)
	e.mark(b, compute.PartFC1)
	e.linear(siteAt(b, FC2), bb.rows, &blk.FC2, out, act, actWords, blk.Scale2, bb.mid, a)
	e.mark(b, compute.PartFC2)
}

// product is Gemm for a left-hand side x whose words may be there: then these are multiplied.
func (e *engine) product(dst, x kernel.Mat, words kernel.Words, w *kernel.Packed, ep kernel.Epilogue) {
	if words.Empty() {
		e.ex.Gemm(dst, x, w, ep)
		return
	}
	e.ex.GemmWords(dst, words, w, ep)
}

// project computes q (for the query rows), k and v from the normalised input h.
func (e *engine) project(b int, h kernel.Mat, words kernel.Words, bb blockBuffers, a adapter) {
	blk, hq, qWords := &e.m.Blocks[b], h, words
	if e.prunes(b) {
		hq, qWords = classRows(h, e.rows), kernel.Words{}
	}
	e.product(bb.q, hq, qWords, blk.Q.W, kernel.Epilogue{Bias: blk.Q.Bias})
	e.product(kv(bb), h, words, blk.KV.W, kernel.Epilogue{Bias: blk.KV.Bias})
	e.mark(b, compute.PartQKV)
	e.delta(siteAt(b, Q), bb.rows, hq, bb.q, a)
	e.delta(siteAt(b, K), e.rows, h, bb.k, a)
	e.delta(siteAt(b, V), e.rows, h, bb.v, a)
}

// kv views the k and v columns of the fused matrix as one.
func kv(bb blockBuffers) kernel.Mat {
	return kernel.Mat{Data: bb.k.Data[:len(bb.k.Data)+bb.v.Cols], Rows: bb.k.Rows, Cols: 2 * bb.k.Cols, Stride: bb.k.Stride}
}

// expand computes act(fc1(h)) or, with SwiGLU, silu(gate(h)) * up(h), and keeps the pre-activation. Where fc2 multiplies
// bfloat16 and nobody else reads the result, there are words of it alone.
func (e *engine) expand(b int, h kernel.Mat, words kernel.Words, bb blockBuffers, a adapter) (act kernel.Mat, actWords kernel.Words) {
	fc, site := &e.m.Blocks[b].FC1, siteAt(b, FC1)
	ep := kernel.Epilogue{Bias: fc.Bias}
	if !e.m.SwiGLU && !has(a, site) && !has(a, siteAt(b, FC2)) && !e.actWords.Empty() {
		ep.Act, ep.Pre, ep.Words = kernel.Activation(e.m.Act), bb.pre, e.actWords.First(h.Rows)
		act = kernel.Mat{Rows: h.Rows, Cols: e.m.MLP}
		e.product(act, h, words, fc.W, ep)
		return act, ep.Words
	}
	act = e.activations(h.Rows)
	switch {
	case e.m.SwiGLU:
		pre := bb.pre
		if pre.Data == nil {
			pre = e.up.RowRange(0, h.Rows)
		}
		e.product(pre, h, words, fc.W, ep)
		e.delta(site, bb.rows, h, pre, a)
		e.ex.SwiGLU(act, pre)
	case has(a, site):
		pre := bb.pre
		if pre.Data == nil {
			pre = act
		}
		e.product(pre, h, words, fc.W, ep)
		e.delta(site, bb.rows, h, pre, a)
		e.ex.Activate(act, pre, kernel.Activation(e.m.Act))
	default:
		ep.Act, ep.Pre = kernel.Activation(e.m.Act), bb.pre
		e.product(act, h, words, fc.W, ep)
	}
	return act, kernel.Words{}
}

// linear computes dst = res + scale * (x Wᵀ + bias + delta), all in the GEMM's epilogue when no adapter
// sits at the site.
func (e *engine) linear(site Site, rows span, l *linear, dst, x kernel.Mat, words kernel.Words, scale []float32, res kernel.Mat, a adapter) {
	if !has(a, site) {
		e.product(dst, x, words, l.W, kernel.Epilogue{Bias: l.Bias, Scale: scale, Residual: res})
		return
	}
	y := e.scratchY(dst.Rows)
	e.product(y, x, words, l.W, kernel.Epilogue{Bias: l.Bias})
	e.delta(site, rows, x, y, a)
	e.col.scaleAdd(e.ex, dst, y, scale, res)
}

func (e *engine) scratchY(rows int) kernel.Mat {
	if e.y.Data == nil {
		e.y = kernel.NewBuffer(e.pass*e.m.Tokens(), e.m.Width)
	}
	return e.y.RowRange(0, rows)
}

func has(a adapter, site Site) bool { return a != nil && a.Has(site) }

func (e *engine) delta(site Site, rows span, x, y kernel.Mat, a adapter) {
	if !has(a, site) {
		return
	}
	e.mark(site.Block, compute.PartOf(site.Kind)) // the product that it is added to
	a.Forward(e.ex, site, rows, x, y)
	e.mark(site.Block, compute.PartAdapters)
}

func (e *engine) attnShape(q span) kernel.AttnShape {
	return kernel.AttnShape{Images: q.Images, Queries: q.Each, Keys: e.rows.Each, Heads: e.m.Heads, Elem: elem(edgePrecision(e.m.Precision)),
		Scale: float32(1 / math.Sqrt(float64(e.m.HeadDim())))}
}
