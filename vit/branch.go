package vit

import (
	"cmp"
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// branching computes rows of the same image together as far as their adapters allow. The images pass the blocks
// of the bare base once (the stem). Before the first block that a row's adapter changes, the row leaves the
// stem and continues alone. Memory does not grow with the number of rows or adapters: only the tokens of the
// images in flight before one block are kept.
type branching struct {
	stem  kernel.Mat // input of the block that the stem has reached, for the images in flight [pass*T, d]
	early kernel.Mat // summaries of these images [pass, EarlySize]

	rows     []branch          // ordered by image and block
	starts   []int             // index of each image's first row
	images   []int             // in processing order: images that stay longest in the stem first
	group    []branch          // rows that leave together, at most one pass
	segments []compute.Segment // segments of group

	features kernel.Mat // per row [maxBatch, Features()]
	earlyOf  kernel.Mat // per row [maxBatch, EarlySize]
}

// branch is one row.
type branch struct {
	row, image int
	leaves     int // the block before which it leaves the stem
	adapter    *compute.Adapter
}

// Branches implements compute.Branching.
func (f *features) Branches(images []float32, n int, of []int, segments ...compute.Segment) []float32 {
	e, b := f.engine, &f.branching
	e.checkBatch("Branches", len(images), n, e.m.Channels*e.m.Image*e.m.Image)
	if len(of) > e.maxBatch {
		panic(fmt.Sprintf("vit: Branches: %d rows, room for %d", len(of), e.maxBatch))
	}
	b.plan(e.m.Depth, n, of, segments)
	e.fit()
	b.reserve(e)
	for first := 0; first < n; first += e.pass {
		f.climb(images, b.images[first:min(first+e.pass, n)])
	}
	if e.early.on {
		e.early.n = len(of)
		copy(e.early.rows.Data, b.earlyOf.Data[:len(of)*b.earlyOf.Cols])
	}
	return b.features.RowRange(0, len(of)).Data
}

// plan determines where each row leaves the stem. An image with a single row has nothing to share: its row
// leaves at once, so that many such rows form one pass.
func (b *branching) plan(depth, n int, of []int, segments []compute.Segment) {
	b.rows, b.starts, b.images = b.rows[:0], b.starts[:0], b.images[:0]
	var a *compute.Adapter
	left, next := 0, 0
	for row, image := range of {
		for ; left == 0 && next < len(segments); next++ {
			a, left = segments[next].Adapter, segments[next].Images
		}
		left--
		b.rows = append(b.rows, branch{row: row, image: image, leaves: min(a.FirstBlock(), depth-1), adapter: a})
	}
	slices.SortStableFunc(b.rows, func(x, y branch) int { return cmp.Or(x.image-y.image, x.leaves-y.leaves) })
	at := 0
	for image := range n {
		from := at
		for at < len(b.rows) && b.rows[at].image == image {
			at++
		}
		if at == from+1 {
			b.rows[from].leaves = 0
		}
		b.starts, b.images = append(b.starts, from), append(b.images, image)
	}
	b.starts = append(b.starts, at)
	slices.SortStableFunc(b.images, func(x, y int) int { return b.last(y) - b.last(x) })
}

// of returns the rows of an image, ordered by where they leave.
func (b *branching) of(image int) []branch { return b.rows[b.starts[image]:b.starts[image+1]] }

// last returns the block before which the last row of an image leaves.
func (b *branching) last(image int) int {
	if rows := b.of(image); len(rows) > 0 {
		return rows[len(rows)-1].leaves
	}
	return -1
}

// reserve allocates the buffers.
func (b *branching) reserve(e *engine) {
	if rows := e.pass * e.m.Tokens(); b.stem.Rows != rows {
		b.stem = kernel.NewBuffer(rows, e.m.Width)
	}
	if b.features.Data == nil {
		b.features = kernel.NewMat(e.maxBatch, e.m.Features())
	}
	if e.early.on && b.early.Rows != e.pass {
		size := compute.EarlySize(&e.m.Config)
		b.early, b.earlyOf = kernel.NewMat(e.pass, size), kernel.NewMat(e.maxBatch, size)
	}
}

// climb computes the rows of some images, at most one pass.
func (f *features) climb(images []float32, some []int) {
	e, b := f.engine, &f.branching
	tokens, each := e.m.Tokens(), e.m.Channels*e.m.Image*e.m.Image
	for i, image := range some {
		e.rows = span{Images: 1, Each: tokens}
		e.embedTokens(images[image*each:(image+1)*each], b.stem.RowRange(i*tokens, (i+1)*tokens))
	}
	e.mark(compute.Outside, compute.PartEmbed)
	for block := range e.m.Depth {
		f.leave(some, block)
		for len(some) > 0 && b.last(some[len(some)-1]) <= block {
			some = some[:len(some)-1]
		}
		if len(some) == 0 {
			return
		}
		e.rows = span{Images: len(some), Each: tokens}
		x := e.tokens(b.stem)
		if e.early.on && block == e.early.block {
			e.summarize(b.early, x)
		}
		e.block(block, x, x, nil)
	}
}

// leave computes the rows that leave the stem before a block.
func (f *features) leave(some []int, block int) {
	e, b, tokens := f.engine, &f.branching, f.m.Tokens()
	for i, image := range some {
		for _, r := range b.of(image) {
			if r.leaves != block {
				continue
			}
			n := len(b.group)
			copyRows(e.x.RowRange(n*tokens, (n+1)*tokens), b.stem.RowRange(i*tokens, (i+1)*tokens))
			if e.early.on && block > e.early.block {
				copy(b.earlyOf.Row(r.row), b.early.Row(i))
			}
			if b.group = append(b.group, r); len(b.group) == e.pass {
				f.goOn(block)
			}
		}
	}
	f.goOn(block)
}

// goOn computes the rest of the network, from a block on, for the rows of the group, whose tokens are in x.
func (f *features) goOn(block int) {
	e, b := f.engine, &f.branching
	if len(b.group) == 0 {
		return
	}
	b.segments = b.segments[:0]
	for _, r := range b.group {
		if k := len(b.segments); k > 0 && b.segments[k-1].Adapter == r.adapter {
			b.segments[k-1].Images++
			continue
		}
		b.segments = append(b.segments, compute.Segment{Adapter: r.adapter, Images: 1})
	}
	f.set.assign(b.segments...)
	e.rows = span{Images: len(b.group), Each: e.m.Tokens()}
	e.blocks(block, e.m.Depth, &f.set)
	e.pool(&f.set)
	e.mark(compute.Outside, compute.PartPool)
	done := e.features(len(b.group))
	for i, r := range b.group {
		copy(b.features.Row(r.row), done.Row(i))
		if e.early.on && block <= e.early.block {
			copy(b.earlyOf.Row(r.row), e.early.rows.Row(i))
		}
	}
	b.group = b.group[:0]
}
