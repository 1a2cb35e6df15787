package kernel

// Rows of one head lie far apart in matrices that have all heads, so no processor fetches them before they are asked for, and a
// pass has more of them than the second-level cache holds. Attention therefore asks for what comes next, a few rows after each
// tile, while it computes.

const (
	aheadRows  = 12        // after a tile: those of a block, and their share of keys and values, are there in time
	aheadBytes = 320 << 10 // of the next head's keys and values, beside those that are in work
)

// aheadFrom is how many numbers an operand has that is worth asking for.
const aheadFrom = 48 << 10

// ahead are rows that will be needed, the most urgent first.
type ahead [aheads]struct {
	first               *float32
	stride, lines, rows int // from row to row in bytes; of the cache in each row
}

const (
	aheadOut = iota // of the block in work
	aheadWords
	aheadQueries // of the next block
	aheadOutputs
	aheadOutputsGrad
	aheadKeysGrad // of the head in work
	aheadValuesGrad
	aheadKeys // of the next head
	aheadValues
	aheads
)

// set asks for the rows of m.
func (a *ahead) set(i int, m Mat) {
	p := &a[i]
	if p.rows = m.Rows; m.Rows > 0 {
		p.first, p.stride, p.lines = &m.Data[0], 4*m.Stride, pieces(m.Cols, cacheLine/4)
	}
}

// fetches says that it is worth asking: there is assembly for it, and there are keys that the second-level cache does not hold.
func (s *AttnShape) fetches(k Mat) bool { return fast() && k.Rows*k.Cols >= aheadFrom && s.Queries > 1 }

// any says that there is something to ask for.
func (a *ahead) any() bool {
	for i := range a {
		if a[i].rows > 0 {
			return true
		}
	}
	return false
}

// some fetches a few rows into the second-level cache.
func (a *ahead) some() {
	left := aheadRows
	for i := range a {
		p := &a[i]
		if p.rows == 0 {
			continue
		}
		n := min(left, p.rows)
		asmFetchRows(p.first, p.stride, p.lines, n)
		if p.rows -= n; p.rows > 0 {
			p.first = at(p.first, n*p.stride)
		}
		if left -= n; left == 0 {
			return
		}
	}
}

// aheadOfHead asks for the keys and values of the head after the one of item, if a worker goes on with it, and for where the
// gradients of those of item go.
func (t *attnTask) aheadOfHead(w *Worker, item int) {
	w.next = ahead{}
	if !t.fetch || 8*t.Keys*t.dim > aheadBytes {
		return
	}
	image, head := t.image+item/t.Heads, item%t.Heads
	if t.backward {
		w.next.set(aheadKeysGrad, t.part(t.dk, image, t.Keys, head))
		w.next.set(aheadValuesGrad, t.part(t.dv, image, t.Keys, head))
	}
	if image, head = t.after(image, head); image < t.Images {
		w.next.set(aheadKeys, t.part(t.k, image, t.Keys, head))
		w.next.set(aheadValues, t.part(t.v, image, t.Keys, head))
	}
}

// after returns the head after another.
func (t *attnTask) after(image, head int) (int, int) {
	if head++; head == t.Heads {
		return image + 1, 0
	}
	return image, head
}

// aheadOfBlock asks for where the results of queries r0 to r1 go, and for the operands of the queries after them.
func (t *attnTask) aheadOfBlock(w *Worker, image, head, r0, r1 int) {
	if !t.fetch {
		return
	}
	out := t.o
	if t.backward {
		out = t.dq
	}
	w.next.set(aheadOut, t.part(out, image, t.Queries, head).RowRange(r0, r1))
	if !t.Words.Empty() && !t.backward {
		w.next.set(aheadWords, t.Words.part(image*t.Queries+r0, head*t.dim).RowRange(0, r1-r0).ColRange(0, BF16.words(t.dim)))
	}
	height := r1 - r0
	if r1 == t.Queries {
		image, head = t.after(image, head)
		r1 = 0
	}
	if image == t.Images {
		return
	}
	next := func(m Mat) Mat { return t.part(m, image, t.Queries, head).RowRange(r1, min(r1+height, t.Queries)) }
	w.next.set(aheadQueries, next(t.q))
	if t.backward {
		w.next.set(aheadOutputs, next(t.o))
		w.next.set(aheadOutputsGrad, next(t.do))
	}
}
