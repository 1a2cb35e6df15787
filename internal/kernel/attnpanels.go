package kernel

import (
	"melo.example/melo/internal/par"
)

// panels is a right-hand side of attention: for as many columns as a tile is wide a panel, which has a row of whole vectors
// for each word along k. What columns and rows lack is 0. A head's keys and values are packed once, for all its queries.
type panels struct {
	buf, data []float32 // buf is kept from head to head
	elem      Elem
	k         int // words a column
	cols      int // in whole vectors
	ld, step  int // from row to row, and from the panel of column j to that of column j+1
}

// at returns row k of the panel that begins with column j.
func (p *panels) at(j, k int) *float32 { return &p.data[j*p.step+k*p.ld] }

// inPlace is how many rows of tiles a matrix is read in place for.
const inPlace = 8

// room makes room for n columns of k elements of type e.
func (p *panels) room(e Elem, n, k int) {
	p.elem, p.k, p.cols = e, (k+e.perWord()-1)/e.perWord(), pieces(n, current.lanes)*current.lanes
	p.ld, p.step = current.panel(), p.k
	p.data = scratch(&p.buf, pieces(n, current.panel())*current.panel()*p.k)
}

// panel returns the panel that begins with column j.
func (p *panels) panel(j int) []float32 { return p.data[j*p.k:][:current.panel()*p.k] }

// packT makes p the transpose of m.
func (p *panels) packT(w *Worker, e Elem, m Mat) {
	p.room(e, m.Rows, m.Cols)
	for j := 0; j < m.Rows; j += current.panel() {
		part := m.RowRange(j, min(j+current.panel(), m.Rows))
		if e == BF16 {
			words := scratchMat(&w.left, part.Rows, p.k)
			roundRows(words, part)
			part = words
		}
		packTransposed(p.panel(j), current.panel(), part, nil)
	}
}

// packFor makes p the matrix m, for products of so many rows. It is read where it lies if packing would cost as much.
func (p *panels) packFor(rows int, e Elem, m Mat) {
	if e == F32 && m.Cols%current.lanes == 0 && rows <= inPlace*current.rows(F32) {
		p.elem, p.k, p.cols, p.ld, p.step, p.data = F32, m.Rows, m.Cols, m.Stride, 1, m.Data
		return
	}
	p.pack(e, m)
}

// pack makes p the matrix m.
func (p *panels) pack(e Elem, m Mat) {
	p.room(e, m.Cols, m.Rows)
	nr := current.panel()
	for j := 0; j < m.Cols; j += nr {
		part := m.ColRange(j, min(j+nr, m.Cols))
		if e == BF16 {
			pairRows(Mat{p.panel(j), p.k, nr, nr}, part)
		} else {
			packRows(p.panel(j), nr, part)
		}
	}
}

// leftBlock returns some rows as a left-hand side of type e.
func (w *Worker) leftBlock(e Elem, m Mat) operand {
	if e != BF16 {
		return leftOf(m, false)
	}
	words := scratchMat(&w.attn.q, m.Rows, e.words(m.Cols))
	roundRows(words, m)
	return leftOf(words, false)
}

// times sets the first columns of c, all that b has, to alpha * a * b, or adds that. c has room for whole vectors.
func (w *Worker) times(c Mat, a operand, b *panels, alpha float32, accumulate bool) {
	if c.Rows == 0 || b.k == 0 {
		return
	}
	t := &w.tile
	*t = tile{rsa: 4 * a.rs, csa: 4 * a.cs, ldb: 4 * b.ld, ldc: 4 * c.Stride, alpha: alpha}
	high := current.rows(b.elem)
	if c.Rows <= high && b.k <= current.chain {
		t.k, t.then = b.k, then(alpha, accumulate, 0)
		w.across(c, a.data, b)
		return
	}
	chains, blocks := pieces(b.k, current.chain), pieces(c.Rows, high)
	for i := range chains {
		k0, k1 := par.Part(b.k, i, chains)
		t.k, t.then = k1-k0, then(alpha, accumulate, i)
		for j := 0; j < b.cols; j += current.panel() {
			t.b = b.at(j, k0)
			t.next = t.b // b is in the second-level cache
			for r := range blocks {
				r0, r1 := par.Part(c.Rows, r, blocks)
				t.a, t.c = &a.data[r0*a.rs+k0*a.cs], &c.Data[r0*c.Stride+j]
				current.micro[b.elem][r1-r0-1][min(2, (b.cols-j)/current.lanes)-1](t)
			}
			w.next.some()
		}
	}
}

// timesT is times with the transpose of m, which is packed for this product alone, while a panel is in the nearest cache.
func (w *Worker) timesT(c Mat, a operand, e Elem, m Mat, alpha float32) {
	for j := 0; j < m.Rows; j += current.panel() {
		w.attn.keys.packT(w, e, m.RowRange(j, min(j+current.panel(), m.Rows)))
		w.times(Mat{c.Data[j:], c.Rows, c.Cols - j, c.Stride}, a, &w.attn.keys, alpha, false)
	}
}

// across runs w.tile over all columns of one row of tiles. Where it asks for what comes next, it does so after each tile.
func (w *Worker) across(c Mat, a []float32, b *panels) {
	t, micro, nr := &w.tile, &current.micro[b.elem][c.Rows-1], current.panel()
	t.a = &a[0]
	whole, at := b.cols/nr*nr, 0
	for at < whole {
		t.b, t.c = b.at(at, 0), &c.Data[at]
		t.next = t.b
		if !w.next.any() && b.step == b.k && current.id != setPortable {
			t.more, at = (whole-at)/nr-1, whole-nr
		}
		micro[1](t)
		at += nr
		w.next.some()
	}
	if at < b.cols {
		t.b, t.c = b.at(at, 0), &c.Data[at]
		t.next = t.b
		micro[0](t)
	}
}
