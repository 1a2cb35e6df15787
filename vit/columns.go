package vit

import "melo.example/melo/internal/kernel"

// colTask is the column-parallel work of full fine-tuning and LayerScale. Each item sums a stripe of columns
// over all rows, in row order, so that the result depends neither on the workers nor on how the batch is
// grouped.
type colTask struct {
	op     colOp
	a, b   kernel.Mat
	dst    kernel.Mat
	sum, g []float32
	st     kernel.RowStats
}

type colOp uint8

const (
	opSum      colOp = iota // sum += a
	opDot                   // sum += a*b
	opNorm                  // g += dy*xhat, sum += dy
	opScaleAdd              // dst = a*sum + b, row by row
)

const colStripe = 64

func (t *colTask) Do(_, i int) {
	if t.op == opScaleAdd {
		t.scaleRows(i)
		return
	}
	c0, c1 := i*colStripe, min((i+1)*colStripe, t.a.Cols)
	for r := range t.a.Rows {
		a := t.a.Row(r)[c0:c1]
		switch t.op {
		case opSum:
			kernel.AddTo(t.sum[c0:c1], a)
		case opDot:
			kernel.MulAddTo(t.sum[c0:c1], a, t.b.Row(r)[c0:c1])
		case opNorm:
			kernel.LayerNormParamGrad(t.g[c0:c1], t.sum[c0:c1], a, t.b.Row(r)[c0:c1], t.st.Mean[r], t.st.RStd[r])
		}
	}
}

func (t *colTask) scaleRows(i int) {
	for r := i * colStripe; r < min((i+1)*colStripe, t.a.Rows); r++ {
		dst, a := t.dst.Row(r), t.a.Row(r)
		if t.b.Data == nil {
			kernel.Mul(dst, a, t.sum)
			continue
		}
		copy(dst, t.b.Row(r))
		if t.sum == nil {
			kernel.AddTo(dst, a)
		} else {
			kernel.MulAddTo(dst, a, t.sum)
		}
	}
}

func (t *colTask) run(ex *kernel.Exec, n int) {
	ex.Pool().Run((n+colStripe-1)/colStripe, t)
}

// sumColumns adds the column sums of a to sum.
func (t *colTask) sumColumns(ex *kernel.Exec, sum []float32, a kernel.Mat) {
	*t = colTask{op: opSum, a: a, sum: sum}
	t.run(ex, a.Cols)
}

// dotColumns adds the column sums of a*b to sum.
func (t *colTask) dotColumns(ex *kernel.Exec, sum []float32, a, b kernel.Mat) {
	*t = colTask{op: opDot, a: a, b: b, sum: sum}
	t.run(ex, a.Cols)
}

// normParam adds the gradients of a LayerNorm's gain and bias, given dy and its input x.
func (t *colTask) normParam(ex *kernel.Exec, g norm, dy, x kernel.Mat, st kernel.RowStats) {
	*t = colTask{op: opNorm, a: dy, b: x, g: g.Gain, sum: g.Bias, st: st}
	t.run(ex, dy.Cols)
}

// scaleAdd sets dst = a*scale + b row by row. scale or b may be missing. dst may be the same matrix as b, but
// not as a.
func (t *colTask) scaleAdd(ex *kernel.Exec, dst, a kernel.Mat, scale []float32, b kernel.Mat) {
	*t = colTask{op: opScaleAdd, a: a, b: b, dst: dst, sum: scale}
	t.run(ex, a.Rows)
}
