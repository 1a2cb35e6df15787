package serve

import (
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
)

// mirrored reports whether the answer of an item is the mean over its image and the mirror image.
func (it *item) mirrored() bool { return it.handle.content.card.Mirror && !it.test }

// mirror computes the second pass of a batch, for the rows whose adapters also need the mirror image. Their
// answers become the means of both passes. It returns the number of rows of the second pass.
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
	start := time.Now()
	images, of, next := r.moveTogether()
	imaging.Mirror(r.pixels[:images*r.values], r.model.Image)
	features, n := r.forward(images, of, next), r.model.Features()
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
	r.learn(wanted, time.Since(start))
	return wanted
}

// moveTogether moves the images of the rows marked in second to the front, and stores there the position of
// each row in the second pass, counted from 1. It returns the number of images, the image of each row, and the
// segments of these rows.
func (r *runner) moveTogether() (images int, of []int, next []lora.Segment) {
	place := make([]int, len(r.images)) // counted from 1; 0: no row needs the image
	for row, image := range r.of {
		if r.second[row] != 0 {
			place[image] = 1
		}
	}
	for i := range place {
		if place[i] != 0 {
			copy(r.pixels[images*r.values:(images+1)*r.values], r.pixels[i*r.values:(i+1)*r.values])
			images++
			place[i] = images
		}
	}
	row := 0
	for _, s := range r.segments {
		left := 0
		for range s.Images {
			if r.second[row] != 0 {
				of = append(of, place[r.of[row]]-1)
				r.second[row] = len(of)
				left++
			}
			row++
		}
		if s.Images = left; left > 0 {
			next = append(next, s)
		}
	}
	return images, of, next
}
