package serve

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"melo.example/melo/fit"
	"melo.example/melo/lora"
)

// runner computes batches one after the other; each pass uses all workers.
type runner struct {
	*stack   // of the base of the batch, which its items hold
	base     *backbone
	queue    *queue
	counts   *counters
	observer Observer
	done     chan struct{} // closed when run returns
	epoch    time.Time
	since    atomic.Int64 // start of the current batch, in nanoseconds after epoch; 0: none

	images   []*input         // images at the start of rows
	stems    []bool           // for each image: other rows may start with it, too
	shared   bool             // rows of the batch share images
	of       []int            // image of each row
	segments []lora.Segment   // in rows
	ordered  []*item          // items of the batch, by row
	rowOf    []int            // row of each of them
	second   []int            // by row: position in the second pass, counted from 1; 0: none
	spread   []float32        // [rows, 3, side, side], for engines without Branching
	logits   []float32        // of one item in the second pass
	seen     map[any]struct{} // adapters and versions of the batch
}

func newRunner(e *Engine) *runner {
	return &runner{queue: e.queue, counts: &e.counts, observer: e.observer, epoch: time.Now(), done: make(chan struct{}), seen: map[any]struct{}{}}
}

// run computes batches until the queue is closed and empty.
func (r *runner) run() {
	defer close(r.done)
	var batch []*item
	for {
		var left int
		if batch, left = r.queue.take(batch[:0], (*backbone).pick); len(batch) == 0 {
			return
		}
		if batch[0].trace != nil {
			r.traced(batch[0], left)
		} else {
			r.batch(batch, left)
		}
		clear(batch)
	}
}

// batch answers the items of one batch.
func (r *runner) batch(batch []*item, left int) {
	start := time.Now()
	r.since.Store(int64(start.Sub(r.epoch)) + 1)
	r.base = batch[0].handle.content.base
	r.stack = r.base.stack
	rows := r.arrange(batch)
	features, n := r.forward(len(r.images), r.of, r.segments), r.model.Features()
	for i, it := range r.ordered {
		row := r.rowOf[i]
		head := it.handle.adapter.Head()
		it.logits = make([]float32, head.Classes)
		head.Logits(it.logits, features[row*n:(row+1)*n])
		it.fit = r.judge(it, row)
	}
	r.learn(rows, time.Since(start))
	r.mirror(rows)
	r.end(start, rows, left)
}

// end counts a batch and answers its items.
func (r *runner) end(start time.Time, rows, left int) {
	took := time.Since(start)
	r.since.Store(0)
	r.counts.batches.Add(1)
	r.counts.images.Add(uint64(rows))
	r.observer.BatchDone(BatchEvent{Start: start, Duration: took, Images: rows, Requests: len(r.ordered), Adapters: r.different(), Queued: left})
	for _, it := range r.ordered {
		it.compute, it.batch = took, rows
		it.end(nil)
	}
	clear(r.ordered)
	r.stack, r.base = nil, nil
}

// judge returns whether the input of an item, in a row of the last pass, is like the training images of its
// adapter.
func (r *runner) judge(it *item, row int) *fit.Verdict {
	d := it.handle.fit
	if d == nil || r.early == nil || it.test {
		return nil
	}
	v := d.Of(r.early.EarlyRows()[row*d.Size : (row+1)*d.Size])
	return &v
}

// different returns the number of adapters in the batch, and counts the pass for each requested version.
func (r *runner) different() (adapters int) {
	clear(r.seen)
	for _, it := range r.ordered {
		if _, ok := r.seen[it.handle]; !ok {
			r.seen[it.handle] = struct{}{}
			adapters++
		}
		if _, ok := r.seen[it.stats]; !ok && it.stats != nil {
			r.seen[it.stats] = struct{}{}
			it.stats.executed()
		}
	}
	return adapters
}

// arrange assigns rows: those with the same adapter are consecutive, and items that need only the bare base
// share the row of their image. Rows whose adapters leave the first blocks unchanged share their image.
func (r *runner) arrange(batch []*item) (rows int) {
	r.images, r.stems, r.of, r.shared = r.images[:0], r.stems[:0], r.of[:0], false
	r.ordered, r.rowOf, r.segments = r.ordered[:0], r.rowOf[:0], r.segments[:0]
	for i, it := range batch {
		if it == nil {
			continue
		}
		segment := lora.Segment{Adapter: it.handle.adapter}
		if it.bare() {
			segment.Adapter = nil
		}
		first := len(r.of) // first row of the segment
		for j := i; j < len(batch); j++ {
			x := batch[j]
			if x == nil || x.handle != it.handle && (segment.Adapter != nil || !x.bare()) {
				continue
			}
			batch[j] = nil
			image, seen := r.imageOf(x)
			row := -1
			if segment.Adapter == nil && seen {
				row = slices.Index(r.of[first:], image)
			}
			if row += first; row < first {
				row = len(r.of)
				r.of = append(r.of, image)
				segment.Images++
				r.shared = r.shared || seen
			}
			r.ordered, r.rowOf = append(r.ordered, x), append(r.rowOf, row)
		}
		r.segments = append(r.segments, segment)
	}
	for i, in := range r.images {
		copy(r.pixels[i*r.values:(i+1)*r.values], in.data)
	}
	clear(r.images)
	return len(r.of)
}

// imageOf returns the index of an item's image, and whether another row starts with it.
func (r *runner) imageOf(it *item) (image int, seen bool) {
	stem := it.handle.adapter.FirstBlock() > 0
	for i, x := range r.images {
		if stem && r.stems[i] && (x == it.input || sameBits(x.data, it.input.data)) {
			return i, true
		}
	}
	r.images, r.stems = append(r.images, it.input), append(r.stems, stem)
	return len(r.images) - 1, false
}

// sameBits reports whether two inputs are the same image with the same recipe: separate requests may ask
// several adapters about one image at the same time.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// forward returns the features of rows, valid until the next call. The segments assign adapters to rows.
func (r *runner) forward(images int, of []int, segments []lora.Segment) []float32 {
	if images == len(of) && slices.IsSorted(of) { // one row per image, in order
		return r.engine.Features(r.pixels, images, segments...)
	}
	if r.branches != nil {
		return r.branches.Branches(r.pixels, images, of, segments...)
	}
	r.spread = r.spread[:0]
	for _, image := range of {
		r.spread = append(r.spread, r.pixels[image*r.values:(image+1)*r.values]...)
	}
	return r.engine.Features(r.spread, len(of), segments...)
}

// learn records the duration of a pass in the curve, unless its rows shared work.
func (r *runner) learn(rows int, took time.Duration) {
	if !r.shared {
		r.base.curve.record(rows, took)
	}
}

// busy returns how long the current batch has been running; 0 if there is none. It is independent of the wall
// clock.
func (r *runner) busy() time.Duration {
	since := r.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(r.epoch) - time.Duration(since)
}

// executed counts a pass.
func (s *versionStats) executed() {
	s.mu.Lock()
	s.Executions++
	s.mu.Unlock()
}
