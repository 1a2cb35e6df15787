package kernel

import "unsafe"

// tile is one call of a micro-kernel, which computes for a few rows i and one or two vectors of columns j
//
//	c[i][j] = alpha * sum over k of a[i*rsa + k*csa] * b[k*ldb + j]
//
// or adds that to c, if acc is not 0. Strides are in bytes. Assembly knows the layout of this struct.
type tile struct {
	k        int
	a        *float32
	rsa, csa int
	b        *float32
	ldb      int
	c        *float32
	ldc      int
	alpha    float32
	_        uint32
	acc      int
}

// plain is the micro-kernel of the portable set: one chain of multiply-adds over k per element.
func (t *tile) plain(rows, cols int) {
	var sum [maxPanel]float32
	for i := range rows {
		clear(sum[:cols])
		for k := range t.k {
			a := *at(t.a, i*t.rsa+k*t.csa)
			b := unsafe.Slice(at(t.b, k*t.ldb), cols)
			for j, v := range b {
				sum[j] += a * v
			}
		}
		c := unsafe.Slice(at(t.c, i*t.ldc), cols)
		for j := range c {
			if t.acc != 0 {
				c[j] += t.alpha * sum[j]
			} else {
				c[j] = t.alpha * sum[j]
			}
		}
	}
}

func at(p *float32, bytes int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), bytes)) }

// operand is the left-hand side of a product: rows x k elements, element (i, l) at data[i*rs + l*cs].
type operand struct {
	data   []float32
	rs, cs int
}

// leftOf views m, or its transpose, as a left-hand side.
func leftOf(m Mat, trans bool) operand {
	if trans {
		return operand{m.Data, 1, m.Stride}
	}
	return operand{m.Data, m.Stride, 1}
}

// columns computes c = alpha * a * b (or adds it) for as many columns as c has, at most a panel. b has k
// rows of whole vectors, ldb elements apart.
func (w *Worker) columns(c Mat, a operand, k int, b []float32, ldb int, alpha float32, accumulate bool) {
	if c.Rows == 0 || k == 0 {
		if !accumulate {
			zero(c)
		}
		return
	}
	vectors := (c.Cols + current.lanes - 1) / current.lanes
	width := vectors * current.lanes
	t := &w.tile
	*t = tile{k: k, rsa: 4 * a.rs, csa: 4 * a.cs, b: &b[0], ldb: 4 * ldb, alpha: alpha}
	if accumulate {
		t.acc = 1
	}
	whole := width == c.Cols
	var edge Mat
	if !whole {
		edge = Mat{Data: w.edge[:], Cols: width, Stride: width}
	}
	// Rows are spread evenly, so that no tile is left with one row.
	tiles := (c.Rows + current.rows() - 1) / current.rows()
	for i := range tiles {
		r0, r1 := i*c.Rows/tiles, (i+1)*c.Rows/tiles
		t.a = &a.data[r0*a.rs]
		if whole {
			t.c, t.ldc = &c.Data[r0*c.Stride], 4*c.Stride
			current.micro[r1-r0-1][vectors-1](t)
			continue
		}
		edge.Rows = r1 - r0
		part := c.RowRange(r0, r1)
		if accumulate {
			copyRows(edge, part)
		}
		t.c, t.ldc = &edge.Data[0], 4*width
		current.micro[r1-r0-1][vectors-1](t)
		copyRows(part, edge)
	}
}

// copyRows copies the columns that both have.
func copyRows(dst, src Mat) {
	n := min(dst.Cols, src.Cols)
	for r := range dst.Rows {
		copy(dst.Data[r*dst.Stride:][:n], src.Data[r*src.Stride:][:n])
	}
}

func zero(m Mat) {
	for r := range m.Rows {
		clear(m.Row(r))
	}
}
