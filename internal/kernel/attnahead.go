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
type ahead [5]struct {
	first               *float32
	stride, lines, rows int // from row to row in bytes; of the cache in each row
}

const (
	aheadOut = iota
	aheadWords
	aheadQueries
	aheadKeys
	aheadValues
)

// set asks for the rows of m.
func (a *ahead) set(i int, m Mat) {
	p := &a[i]
	if p.rows = m.Rows; m.Rows > 0 {
		p.first, p.stride, p.lines = &m.Data[0], 4*m.Stride, pieces(m.Cols, cacheLine/4)
	}
}

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

// aheadOfHead asks for the keys and values of the head after the one of item, if a worker goes on with it.
func (t *attnTask) aheadOfHead(w *Worker, item int) {
	if !t.fetch {
		return
	}
	w.next = ahead{}
	if item++; item < t.Images*t.Heads && 8*t.Keys*t.dim <= aheadBytes {
		image, head := item/t.Heads, item%t.Heads
		w.next.set(aheadKeys, t.part(t.k, image, t.Keys, head))
		w.next.set(aheadValues, t.part(t.v, image, t.Keys, head))
	}
}

// aheadOfBlock asks for where the results of queries r0 to r1 go, and for the queries after them.
func (t *attnTask) aheadOfBlock(w *Worker, image, head, r0, r1 int) {
	if !t.fetch {
		return
	}
	w.next.set(aheadOut, t.part(t.o, image, t.Queries, head).RowRange(r0, r1))
	if !t.Words.Empty() {
		w.next.set(aheadWords, t.Words.part(image*t.Queries+r0, head*t.dim).RowRange(0, r1-r0).ColRange(0, BF16.words(t.dim)))
	}
	height := r1 - r0
	if r1 == t.Queries {
		head, r1 = head+1, 0
	}
	if head == t.Heads {
		image, head = image+1, 0
	}
	if image < t.Images {
		w.next.set(aheadQueries, t.part(t.q, image, t.Queries, head).RowRange(r1, min(r1+height, t.Queries)))
	}
}
