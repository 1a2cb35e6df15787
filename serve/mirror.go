package serve

import (
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
)

// mirrored tells whether the answer of an item is the mean over its image and the mirror image.
func (it *item) mirrored() bool { return it.handle.content.card.Mirror && !it.test }

// mirror makes the second pass of a batch that was arranged and answered once: of the rows that an adapter wants the
// mirror image of, and of no others. Those answers become the means of both. It returns the rows of the pass.
func (r *runner) mirror(rows int) int {
	r.second = append(r.second[:0], make([]int, rows)...)
	wanted := 0
	for i, it := range r.ordered {
		if it.mirrored() {
			if at := r.rowOf[i]; r.second[at] == 0 {
				r.second[at] = 1
				wanted++
			}
		}
	}
	if wanted == 0 {
		return 0
	}
	start, next := time.Now(), r.moveTogether()
	imaging.Mirror(r.pixels[:wanted*r.values], r.model.Image)
	features, n := r.engine.Features(r.pixels, wanted, next...), r.model.Features()
	for i, it := range r.ordered {
		if !it.mirrored() {
			continue
		}
		row := r.second[r.rowOf[i]] - 1
		head := it.handle.adapter.Head()
		r.logits = append(r.logits[:0], it.logits...)
		head.Logits(r.logits, features[row*n:(row+1)*n])
		for k, v := range r.logits {
			it.logits[k] = (it.logits[k] + v) / 2
		}
	}
	r.curve.record(wanted, time.Since(start))
	return wanted
}

// moveTogether moves the pixels of the rows that are marked in second to the front, notes there where each of them is,
// counted from 1, and returns the segments of what is left.
func (r *runner) moveTogether() (next []lora.Segment) {
	row, to := 0, 0
	for _, s := range r.segments {
		left := 0
		for range s.Images {
			if r.second[row] != 0 {
				copy(r.pixels[to*r.values:(to+1)*r.values], r.pixels[row*r.values:(row+1)*r.values])
				to++
				r.second[row] = to
				left++
			}
			row++
		}
		if s.Images = left; left > 0 {
			next = append(next, s)
		}
	}
	return next
}
