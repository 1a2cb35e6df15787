package kernel

import "melo.example/melo/internal/par"

const (
	// gradRows is the most queries that dK and dV sum over in one product.
	gradRows = 208
	// gradBytes is how much probabilities and gradients of scores of those queries may take, beside the operands in the
	// second-level cache.
	gradBytes = 384 << 10
)

// gradHeight returns the number of queries that one product of dK and dV sums over: the longer, the less often these
// are read and written, as long as the second-level cache holds what belongs to them.
func gradHeight(e Elem, keys int) int {
	high := blockHeight(e)
	rows := gradBytes / (2 * 4 * max(keys, 1) / e.perWord())
	return min(max(rows/high, 2)*high, pieces(gradRows, high)*high)
}

// attnGrad is one head on its way back: operands, results and what is kept of it, of some queries.
type attnGrad struct {
	q, o, do, dq Mat
	lse          []float32
	p, ds        Mat // of many blocks, as left-hand sides that are transposed read them: of BF16, two queries a word
}

// grad computes one head. Its keys and values are packed once. Blocks of queries are computed as in forward, and leave
// probabilities and gradients of scores to the products of dV and dK, which sum over many of them.
func (t *attnTask) grad(w *Worker, image, head int) {
	k, v := t.part(t.k, image, t.Keys, head), t.part(t.v, image, t.Keys, head)
	dk, dv := t.part(t.dk, image, t.Keys, head), t.part(t.dv, image, t.Keys, head)
	w.attn.keys.packT(w, t.Elem, k)
	w.attn.values.packT(w, t.Elem, v)
	w.attn.plainKeys.packFor(t.Queries, t.Elem, k)
	step, per := gradHeight(t.Elem, t.Keys), t.Elem.perWord()
	for r0 := 0; r0 < t.Queries; r0 += step {
		r1 := min(r0+step, t.Queries)
		cut := func(m Mat) Mat { return t.part(m, image, t.Queries, head).RowRange(r0, r1) }
		g := attnGrad{cut(t.q), cut(t.o), cut(t.do), cut(t.dq), t.lse[(image*t.Heads+head)*t.Queries+r0:],
			blockMat(&w.attn.manyP, pieces(r1-r0, per), t.Keys), blockMat(&w.attn.manyDS, pieces(r1-r0, per), t.Keys)}
		pairs := pieces(r1-r0, 2)
		blocks := pieces(pairs, blockHeight(t.Elem)/2)
		for i := range blocks {
			b0, b1 := par.Part(pairs, i, blocks)
			t.gradBlock(w, &g, image, head, r0, 2*b0, min(2*b1, r1-r0))
		}
		w.sumOver(dv, g.p, t.Elem, g.do, r0 > 0)
		w.sumOver(dk, g.ds, t.Elem, g.q, r0 > 0)
	}
}

// gradBlock computes queries b0 to b1 of those of g, which begin with query r0.
func (t *attnTask) gradBlock(w *Worker, g *attnGrad, image, head, r0, b0, b1 int) {
	t.aheadOfBlock(w, image, head, r0+b0, r0+b1)
	q, do, o := g.q.RowRange(b0, b1), g.do.RowRange(b0, b1), g.o.RowRange(b0, b1)
	var p, ds Mat
	if t.Elem == BF16 {
		p, ds = blockMat(&w.attn.p, b1-b0, t.Keys), blockMat(&w.attn.dp, b1-b0, t.Keys)
	} else {
		p, ds = rowsFrom(g.p, b0, b1), rowsFrom(g.ds, b0, b1)
	}
	first, then := t.factors()
	w.times(p, w.leftBlock(t.Elem, q), &w.attn.keys, first, false)
	if t.Bias != nil {
		t.addBias(p, head, r0+b0)
	}
	w.softmaxFromLSE(t.Elem, p, then, g.lse[b0:])
	w.times(ds, w.leftBlock(t.Elem, do), &w.attn.values, 1, false)
	t.show(p, ds, (image*t.Heads+head)*t.Queries+r0+b0)
	w.softmaxGradRows(ds, p, o, do, t.Scale)
	for r := range ds.Rows { // products of pairs read one more than there are keys
		clear(ds.Data[r*ds.Stride+t.Keys:][:pieces(t.Keys, current.lanes)*current.lanes-t.Keys])
	}
	if t.DBias != nil {
		for r := range ds.Rows {
			Axpy(t.biasRow(t.DBias, head, r0+b0+r), ds.Row(r), 1/t.Scale)
		}
	}
	left := leftOf(ds, false)
	if t.Elem == BF16 {
		pairRows(wholeVectors(rowsFrom(g.p, b0/2, pieces(b1, 2))), wholeVectors(p))
		pairRows(wholeVectors(rowsFrom(g.ds, b0/2, pieces(b1, 2))), wholeVectors(ds))
		left = w.leftBlock(BF16, wholeVectors(ds))
	}
	w.onto(g.dq.RowRange(b0, b1), left, &w.attn.plainKeys, false)
}

// rowsFrom returns some rows of a blockMat, with the room after their columns.
func rowsFrom(m Mat, r0, r1 int) Mat { return Mat{m.Data[r0*m.Stride:], r1 - r0, m.Cols, m.Stride} }

// wholeVectors returns m with the columns that fill its last vector.
func wholeVectors(m Mat) Mat {
	m.Cols = pieces(m.Cols, current.lanes) * current.lanes
	return m
}

// sumOver sets c to aᵀ b, or adds that. Of BF16, a has pairs of rows.
func (w *Worker) sumOver(c, a Mat, e Elem, b Mat, accumulate bool) {
	w.attn.rows.packFor(c.Rows, e, b)
	w.onto(c, operand{a.Data, 1, a.Stride}, &w.attn.rows, accumulate)
}

// onto is times for a c that need not have room for whole vectors.
func (w *Worker) onto(c Mat, a operand, b *panels, accumulate bool) {
	r := right{data: b.data, stride: b.ld, elem: b.elem}
	if b.step == b.k {
		w.columns(c, a, b.k, r, 1, accumulate)
		return
	}
	for j := 0; j < c.Cols; j += current.panel() {
		r.data = b.data[j:]
		w.columns(c.ColRange(j, min(j+current.panel(), c.Cols)), a, b.k, r, 1, accumulate)
	}
}

// show copies probabilities and their gradients to where somebody wants them, from a row on.
func (t *attnTask) show(p, dp Mat, first int) {
	if t.P == nil {
		return
	}
	for r := range p.Rows {
		copy(t.P[(first+r)*t.Keys:][:t.Keys], p.Row(r))
		copy(t.DP[(first+r)*t.Keys:][:t.Keys], dp.Row(r))
	}
}
