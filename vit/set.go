package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// set applies each image's adapter in the forward pass of a mixed batch. Products with the base's weights run
// once over all rows; the low-rank products run per segment, on all workers at once. It is not safe for
// concurrent use.
type set struct {
	segments []compute.Segment
	thin     thinTask
	back     thinRoom // for Backward
}

// thinTask adds the deltas of the segments at one site. Each item is a range of rows.
type thinTask struct {
	ex    *kernel.Exec
	x, y  kernel.Mat
	items []thinItem
	room  []thinRoom // per worker
}

// thinRoom is the scratch memory of one item.
type thinRoom struct {
	u    []float32 // x Aᵀ
	a, b []float32 // A and B of an adapter that is stored in bfloat16
}

// thinItem is the rows [r0, r1) of one segment.
type thinItem struct {
	delta  *compute.Delta
	r0, r1 int
}

// thinRows limits the rows of an item, so that a batch with one adapter keeps all workers busy, too.
const thinRows = 200

// assign replaces the segments. Their numbers of images must add up to the batch of the next pass.
func (s *set) assign(segments ...compute.Segment) {
	s.segments = append(s.segments[:0], segments...)
}

// Has reports whether any segment has a delta at site.
func (s *set) Has(site Site) bool {
	for _, seg := range s.segments {
		if seg.Adapter != nil && seg.Adapter.Delta(site) != nil {
			return true
		}
	}
	return false
}

// Forward adds each segment's delta of x to y.
func (s *set) Forward(ex *kernel.Exec, site Site, rows span, x, y kernel.Mat) {
	t := &s.thin
	t.ex, t.x, t.y, t.items = ex, x, y, t.items[:0]
	first := -rows.First // first row of the segment within the images in flight
	for _, seg := range s.segments {
		i0, i1 := max(first, 0), min(first+seg.Images, rows.Images)
		first += seg.Images
		if seg.Adapter == nil || i0 >= i1 {
			continue
		}
		r0, r1 := i0*rows.Each, i1*rows.Each
		if d := seg.Adapter.Delta(site); d != nil {
			parts := (r1 - r0 + thinRows - 1) / thinRows
			for i := range parts {
				from, to := par.Part(r1-r0, i, parts)
				t.items = append(t.items, thinItem{d, r0 + from, r0 + to})
			}
		}
	}
	t.reserve(ex.Pool().Workers())
	ex.Pool().Run(len(t.items), t)
}

// reserve makes room for the largest item in every worker, because any worker may get it.
func (t *thinTask) reserve(workers int) {
	u, a, b := 0, 0, 0
	for _, it := range t.items {
		u = max(u, (it.r1-it.r0)*it.delta.Rank)
		a, b = max(a, len(it.delta.A.BF16)), max(b, len(it.delta.B.BF16))
	}
	for len(t.room) < workers {
		t.room = append(t.room, thinRoom{})
	}
	for w := range t.room {
		room := &t.room[w]
		grow(&room.u, u, 1)
		grow(&room.a, a, 1)
		grow(&room.b, b, 1)
	}
}

// Do adds one item's delta.
func (t *thinTask) Do(worker, i int) {
	it := t.items[i]
	d, w, room := it.delta, t.ex.Worker(worker), &t.room[worker]
	x, y := t.x.RowRange(it.r0, it.r1), t.y.RowRange(it.r0, it.r1)
	u := grow(&room.u, x.Rows, d.Rank)
	w.Gemm(u, x, matrix(&d.A, room.a, d.Rank, x.Cols), false, true, d.Scale, false)
	w.Gemm(y, u, matrix(&d.B, room.b, y.Cols, d.Rank), false, true, 1, true)
}

// Backward adds each segment's part of the input gradient to dx. Its matrices are frozen; trainable trains
// them.
func (s *set) Backward(ex *kernel.Exec, site Site, rows span, _, dy, dx kernel.Mat) {
	if dx.Data == nil {
		return
	}
	room, r0 := &s.back, 0
	for _, seg := range s.segments {
		r1 := r0 + seg.Images*rows.Each
		if seg.Adapter != nil {
			if d := seg.Adapter.Delta(site); d != nil {
				grow(&room.a, len(d.A.BF16), 1)
				grow(&room.b, len(d.B.BF16), 1)
				du := grow(&room.u, r1-r0, d.Rank)
				ex.GemmMat(du, dy.RowRange(r0, r1), matrix(&d.B, room.b, dy.Cols, d.Rank), false, d.Scale, false)
				ex.GemmMat(dx.RowRange(r0, r1), du, matrix(&d.A, room.a, d.Rank, dx.Cols), false, 1, true)
			}
		}
		r0 = r1
	}
}

// matrix returns values as a rows x cols matrix. Values in bfloat16 are converted into room.
func matrix(x *compute.Numbers, room []float32, rows, cols int) kernel.Mat {
	return kernel.View(x.Float32(room), rows, cols)
}

// grow returns a rows x cols matrix in *buf, enlarging it if necessary.
func grow(buf *[]float32, rows, cols int) kernel.Mat {
	if n := rows * cols; cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return kernel.View((*buf)[:rows*cols], rows, cols)
}
