package kernel

import (
	"unsafe"

	"melo.example/melo/internal/par"
)

// tile holds the arguments of one call of a micro-kernel. For a few rows i and one or two vectors of columns j
// it computes
//
//	c[i][j] = alpha * sum over k of a[i*rsa + k*csa] * b[k*ldb + j]
//
// or adds that to c, as the field then says. Strides are in bytes. Assembly depends on the layout of this struct.
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
	then     tileThen
	next     *float32 // memory that will be read next: prefetched, one vector per four steps of k

	// For int8 products: zero point and scale of each row of a, sum and scale of each column of b.
	rowQuant         *quant
	colSum, colScale *float32

	// more is the number of equally wide tiles that follow on the right. The columns of b of each begin where those of the
	// previous tile end. Micro-kernels of float32 and bfloat16 count it down and advance c.
	more int
}

// tileThen is what a micro-kernel does with its sums.
type tileThen int

const (
	tileScale tileThen = iota // c = alpha*sum
	tileAdd                   // c += alpha*sum
	tileSet                   // c = sum
)

// then is what to do with chain i of a product.
func then(alpha float32, accumulate bool, i int) tileThen {
	switch {
	case accumulate || i > 0:
		return tileAdd
	case alpha == 1:
		return tileSet
	}
	return tileScale
}

// fetchTiles is the number of tiles during which a micro-kernel prefetches a whole panel.
const fetchTiles = 4

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
			if t.then == tileAdd {
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

// right is the right-hand side of a product, in panels as wide as a tile. Each panel has k rows of whole
// vectors; panels start stride words apart.
type right struct {
	data       []float32
	stride     int
	elem       Elem
	scale, sum []float32 // per column, for I8
	rows       []quant   // per row of the left-hand side, for I8
}

// columns computes c = alpha * a * b over k words. With accumulate it adds to c. The loop over k is the outer
// one, so that the current part of a stays in the second-level cache for all panels.
func (w *Worker) columns(c Mat, a operand, k int, b right, alpha float32, accumulate bool) {
	if c.Rows == 0 || k == 0 {
		if !accumulate {
			zero(c)
		}
		return
	}
	w.tile = tile{rsa: 4 * a.rs, csa: 4 * a.cs, ldb: 4 * b.stride, alpha: alpha}
	chains, step := (k+current.chain-1)/current.chain, 1
	if b.elem == I8 {
		chains, step = 1, current.wordStep // int8 sums are exact, and scaled once
	}
	for i := range chains {
		k0, k1 := par.Part(k, i, chains)
		w.tile.k, w.tile.then = (k1-k0)/step, then(alpha, accumulate, i)
		for j := 0; j < c.Cols; j += current.panel() {
			w.tile.b = &b.data[j*k+k0*b.stride]
			if b.elem == I8 {
				w.tile.colScale, w.tile.colSum = &b.scale[j], &b.sum[j]
			}
			next := b.data[min(j+current.panel(), c.Cols-1)/current.panel()*current.panel()*k+k0*b.stride:]
			w.tiles(c.ColRange(j, min(j+current.panel(), c.Cols)), operand{a.data[k0*a.cs:], a.rs, a.cs}, b, next)
		}
	}
}

// tiles runs w.tile over the rows of c. Rows are spread evenly, so that no tile is left with a single row.
// Meanwhile it prefetches the panel next.
func (w *Worker) tiles(c Mat, a operand, b right, next []float32) {
	vectors := (c.Cols + current.lanes - 1) / current.lanes
	width := vectors * current.lanes
	t := &w.tile
	n := (c.Rows + current.rows(b.elem) - 1) / current.rows(b.elem)
	for i := range n {
		r0, r1 := par.Part(c.Rows, i, n)
		t.a = &a.data[r0*a.rs]
		t.next = &next[min(i, fetchTiles-1)*t.k/fetchTiles*(t.ldb/4)]
		if b.elem == I8 {
			t.rowQuant = &b.rows[r0]
		}
		run := current.micro[b.elem][r1-r0-1][vectors-1]
		if width == c.Cols {
			t.c, t.ldc = &c.Data[r0*c.Stride], 4*c.Stride
			run(t)
			continue
		}
		// A tile that extends beyond the edge of c is computed in scratch memory of full size.
		edge, part := Mat{w.edge[:], r1 - r0, width, width}, c.RowRange(r0, r1)
		if t.then == tileAdd {
			copyRows(edge, part)
		}
		t.c, t.ldc = &edge.Data[0], 4*width
		run(t)
		copyRows(part, edge)
	}
}

// copyRows copies the columns that dst and src have in common.
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
