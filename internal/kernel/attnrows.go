package kernel

import (
	"math"
	"unsafe"
)

// The rows of attention's blocks of scores: up to attnRows rows with room for whole vectors, since their
// stride is one of any set's. What lies beyond the columns may be overwritten and is never read.

// rowResults has a number for each row; kernels store vectors of which only the first counts.
type rowResults [attnRows + maxLanes]float32

// lastBits are patterns for the last vector of a row with k elements: the keep from maxLanes-k on has
// k times all ones, then zeros; fill has k zeros, then -Inf.
var lastBits = func() (t struct{ keep, fill [2 * maxLanes]uint32 }) {
	for i := range maxLanes {
		t.keep[i], t.fill[maxLanes+i] = math.MaxUint32, math.Float32bits(float32(math.Inf(-1)))
	}
	return t
}()

// block returns the operands for a kernel over all rows of m, to whole vectors.
func block(m Mat) gridOperands {
	o := gridOperands{n: (m.Cols + current.lanes - 1) &^ (current.lanes - 1), rows: m.Rows}
	if m.Rows > attnRows || len(m.Data) < (m.Rows-1)*m.Stride+o.n {
		panic("kernel: no room for whole vectors")
	}
	o.set(0, m)
	return o
}

// softmaxRows sets each row of m to its Softmax and lse, unless nil, to the log-sum-exps.
func (w *Worker) softmaxRows(m Mat, scale float32, lse []float32) {
	if !fast() || !(scale > 0) || m.Cols == 0 {
		for r := range m.Rows {
			l := Softmax(m.Row(r), scale)
			if lse != nil {
				lse[r] = l
			}
		}
		return
	}
	o := block(m)
	last := o.n - current.lanes
	keep := m.Cols - last
	o.s[0] = scale
	o.p[1], o.ld[1] = &m.Data[last], o.ld[0]
	o.p[2], o.ld[2] = &w.attn.largest[0], 4
	o.p[3], o.ld[3] = &w.attn.sum[0], 4
	o.p[4] = (*float32)(unsafe.Pointer(&lastBits.keep[maxLanes-keep]))
	o.p[5] = (*float32)(unsafe.Pointer(&lastBits.fill[maxLanes-keep]))
	asmGrid(gridSoftmax, &o)
	if lse != nil {
		for r := range m.Rows {
			lse[r] = float32(float64(w.attn.largest[r]) + math.Log(float64(w.attn.sum[r])))
		}
	}
}

// softmaxRowsFromLSE repeats softmaxRows with known log-sum-exps, up to rounding.
func softmaxRowsFromLSE(m Mat, scale float32, lse []float32) {
	if !fast() || m.Cols == 0 {
		for r := range m.Rows {
			SoftmaxFromLSE(m.Row(r), scale, lse[r])
		}
		return
	}
	o := block(m)
	o.s[0] = scale
	o.p[1], o.ld[1] = ptr(lse, m.Rows), 4
	asmGrid(gridExp, &o)
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
