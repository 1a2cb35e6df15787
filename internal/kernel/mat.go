package kernel

// Mat is a row-major view of a matrix: element (i, j) is Data[i*Stride+j]. A Mat without Data is only a shape.
type Mat struct {
	Data       []float32
	Rows, Cols int
	Stride     int // distance between rows in elements, >= Cols
}

// NewMat returns a zeroed rows x cols matrix with Stride == cols.
func NewMat(rows, cols int) Mat {
	return Mat{Data: alignedFloats(rows * cols), Rows: rows, Cols: cols, Stride: cols}
}

// NewBuffer returns a zeroed rows x cols matrix for activations. Its Stride is an odd number of cache lines, so
// that the rows of a tile lie in different sets of the cache. With a stride such as 3072 they would all fall
// into the same set.
func NewBuffer(rows, cols int) Mat {
	const line = cacheLine / 4
	stride := ((cols+line-1)/line | 1) * line
	return Mat{Data: alignedFloats(rows * stride), Rows: rows, Cols: cols, Stride: stride}
}

// View wraps data as a dense rows x cols matrix.
func View(data []float32, rows, cols int) Mat {
	return Mat{Data: data[:rows*cols], Rows: rows, Cols: cols, Stride: cols}
}

// Row returns row i.
func (m Mat) Row(i int) []float32 {
	return m.Data[i*m.Stride : i*m.Stride+m.Cols : i*m.Stride+m.Cols]
}

// RowRange returns rows [r0, r1).
func (m Mat) RowRange(r0, r1 int) Mat {
	if r0 == r1 || m.Data == nil {
		return Mat{Rows: r1 - r0, Cols: m.Cols, Stride: m.Stride}
	}
	return Mat{Data: m.Data[r0*m.Stride : (r1-1)*m.Stride+m.Cols], Rows: r1 - r0, Cols: m.Cols, Stride: m.Stride}
}

// ColRange returns columns [c0, c1).
func (m Mat) ColRange(c0, c1 int) Mat {
	if m.Rows == 0 || m.Data == nil {
		return Mat{Rows: m.Rows, Cols: c1 - c0, Stride: m.Stride}
	}
	return Mat{Data: m.Data[c0 : (m.Rows-1)*m.Stride+c1], Rows: m.Rows, Cols: c1 - c0, Stride: m.Stride}
}

// Clone returns a dense copy.
func (m Mat) Clone() Mat {
	c := NewMat(m.Rows, m.Cols)
	copyRows(c, m)
	return c
}
