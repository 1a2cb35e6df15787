package ref

// Mat is a dense matrix: element (i, j) is Data[i*Cols+j].
type Mat struct {
	Data       []float64
	Rows, Cols int
}

// NewMat returns a matrix of zeros.
func NewMat(rows, cols int) Mat { return Mat{make([]float64, rows*cols), rows, cols} }

// At returns an element.
func (m Mat) At(i, j int) float64 { return m.Data[i*m.Cols+j] }

// Row returns row i.
func (m Mat) Row(i int) []float64 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// T returns the transpose.
func (m Mat) T() Mat {
	t := NewMat(m.Cols, m.Rows)
	for i := range m.Rows {
		for j := range m.Cols {
			t.Data[j*t.Cols+i] = m.At(i, j)
		}
	}
	return t
}

// Product returns a*b, and for each element the sum of the absolute values of its terms, which bounds the
// rounding error.
func Product(a, b Mat) (c, size Mat) {
	c, size = NewMat(a.Rows, b.Cols), NewMat(a.Rows, b.Cols)
	for i := range a.Rows {
		for k := range a.Cols {
			for j := range b.Cols {
				x := a.At(i, k) * b.At(k, j)
				c.Data[i*c.Cols+j] += x
				size.Data[i*c.Cols+j] += max(x, -x)
			}
		}
	}
	return c, size
}

// Attention returns softmax(scale * q kᵀ) v for one head of one image, the probabilities, and the log-sum-exp
// of each row of scores.
func Attention(q, k, v Mat, scale float64) (o, p Mat, lse []float64) {
	p, _ = Product(q, k.T())
	lse = make([]float64, q.Rows)
	for i := range p.Rows {
		row, l := Softmax(p.Row(i), scale)
		copy(p.Row(i), row)
		lse[i] = l
	}
	o, _ = Product(p, v)
	return o, p, lse
}

// AttentionGrad returns the gradients of q, k and v, given the gradient of the output.
func AttentionGrad(do, q, k, v Mat, scale float64) (dq, dk, dv Mat) {
	_, p, _ := Attention(q, k, v, scale)
	dv, _ = Product(p.T(), do)
	ds, _ := Product(do, v.T())
	for i := range ds.Rows {
		copy(ds.Row(i), SoftmaxGrad(p.Row(i), ds.Row(i), scale))
	}
	dq, _ = Product(ds, k)
	dk, _ = Product(ds.T(), q)
	return dq, dk, dv
}
