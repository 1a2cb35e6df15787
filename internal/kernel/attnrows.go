package kernel

import "math"

// The rows of attention's blocks of scores: up to maxBlock rows with room for whole vectors, since their
// stride is one of any set's. What lies beyond the columns may be overwritten and is never read.

// rowResults has a number for each row; kernels store vectors of which only the first counts.
type rowResults [maxBlock + maxLanes]float32

// fills are what is added to the last vector of a row with k elements, from maxLanes-k on: k zeros, then -Inf.
var fills = func() (t [2 * maxLanes]float32) {
	for i := range maxLanes {
		t[maxLanes+i] = float32(math.Inf(-1))
	}
	return t
}()

// blockMat is scratchMat with rows that lie in different sets of the cache.
func blockMat(buf *[]float32, rows, cols int) Mat {
	const line = cacheLine / 4
	stride := (pieces(cols, line) | 1) * line
	return Mat{Data: scratch(buf, rows*stride), Rows: rows, Cols: cols, Stride: stride}
}

// block returns the operands for a kernel over all rows of m, to whole vectors.
func block(m Mat) gridOperands {
	o := gridOperands{n: (m.Cols + current.lanes - 1) &^ (current.lanes - 1), rows: m.Rows}
	if m.Rows > maxBlock || len(m.Data) < (m.Rows-1)*m.Stride+o.n {
		panic("kernel: no room for whole vectors")
	}
	o.set(0, m)
	return o
}

// softmax replaces products by the exponentials of scale times them, for scale above 0, the largest of a row being 1, as a
// left-hand side of type e. It keeps the largest scores and the totals of the exponentials. BF16 has the base of two.
func (w *Worker) softmax(e Elem, m Mat, scale float32) operand {
	if !fast() {
		for r := range m.Rows {
			largest, sum := plainExponentials(m.Row(r), scale)
			w.attn.largest[r], w.attn.sum[r] = float32(largest), float32(sum)
		}
		return leftOf(m, false)
	}
	o := block(m)
	last := o.n - current.lanes
	o.s[0] = scale
	o.p[1], o.ld[1] = &m.Data[last], o.ld[0]
	o.p[2] = &fills[maxLanes-(m.Cols-last)]
	o.p[3], o.ld[3] = &w.attn.largest[0], 4
	asmGrid(gridLargest, &o)
	at, op := 0, gridSoftmax
	if e == BF16 {
		at, op = 1, gridSoftmaxBF16
		o.set(1, m)
	}
	o.p[at+1], o.ld[at+1] = &w.attn.largest[0], 4
	o.p[at+2], o.ld[at+2] = &w.attn.sum[0], 4
	asmGrid(op, &o)
	return leftOf(m, false)
}

// logSums sets lse to the log-sum-exps of the rows that softmax did last.
func (w *Worker) logSums(e Elem, lse []float32) {
	for r := range lse {
		m, sum := float64(w.attn.largest[r]), float64(w.attn.sum[r])
		if e == BF16 {
			lse[r] = float32((m + math.Log2(sum)) * math.Ln2)
		} else {
			lse[r] = float32(m + math.Log(sum))
		}
	}
}

// overTotals sets o to y over the totals of the rows that softmax did last, and makes words, if there are any, from row r0 and
// column c0 on.
func (w *Worker) overTotals(o, y Mat, words Words, r0, c0 int) {
	n := 0
	if fast() {
		n = o.Cols &^ (current.lanes - 1)
	}
	if n > 0 {
		g := gridOperands{n: n, rows: o.Rows}
		at, op := 0, gridOver
		if !words.Empty() {
			at, op = 1, gridOverBF16
			g.set(0, words.part(r0, c0))
		}
		g.set(at, o)
		g.set(at+1, y)
		g.p[at+2], g.ld[at+2] = &w.attn.sum[0], 4
		asmGrid(op, &g)
	}
	for r := 0; n < o.Cols && r < o.Rows; r++ {
		Scale(o.Row(r)[n:], y.Row(r)[n:], 1/w.attn.sum[r])
	}
}

// softmaxFromLSE sets m to the probabilities, given what softmax takes and the log-sum-exps.
func (w *Worker) softmaxFromLSE(e Elem, m Mat, scale float32, lse []float32) {
	if !fast() {
		for r := range m.Rows {
			SoftmaxFromLSE(m.Row(r), scale, lse[r])
		}
		return
	}
	o, op := block(m), gridExp
	o.s[0] = scale
	o.p[1], o.ld[1] = ptr(lse, m.Rows), 4
	if e == BF16 {
		for r := range m.Rows {
			w.attn.largest[r] = lse[r] * math.Log2E
		}
		o.p[1], op = &w.attn.largest[0], gridExp2
	}
	asmGrid(op, &o)
}

// softmaxGradRows sets dp to the gradient of the scores, given probabilities p, their gradients dp, and
// the output and its gradient: the sum of p*dp over a row is that of o*do (arXiv 2205.14135, appendix B.2).
func (w *Worker) softmaxGradRows(dp, p, o, do Mat, scale float32) {
	if !fast() || dp.Cols == 0 {
		for r := range p.Rows {
			SoftmaxGrad(dp.Row(r), p.Row(r), dp.Row(r), Dot(do.Row(r), o.Row(r)), scale)
		}
		return
	}
	if o.Cols&(current.lanes-1) == 0 {
		d := gridOperands{n: o.Cols, rows: o.Rows}
		d.set(0, o)
		d.set(1, do)
		d.p[2], d.ld[2] = &w.attn.sum[0], 4
		asmGrid(gridDot, &d)
	} else {
		for r := range o.Rows {
			w.attn.sum[r] = Dot(do.Row(r), o.Row(r))
		}
	}
	g := block(dp)
	g.set(1, p)
	g.set(2, dp)
	g.s[0] = scale
	g.p[3], g.ld[3] = &w.attn.sum[0], 4
	asmGrid(gridSoftmaxGrad, &g)
}
