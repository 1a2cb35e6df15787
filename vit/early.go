package vit

import (
	"fmt"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// early keeps summaries of the input of one block; see compute.Early. The zero value keeps none.
type early struct {
	on    bool
	block int
	rows  kernel.Mat // [maxBatch, EarlySize]
	n     int        // number of rows of the last pass
}

// KeepEarly implements compute.Keeper.
func (e *engine) KeepEarly(block int) {
	if block >= e.m.Depth {
		panic(fmt.Sprintf("vit: KeepEarly: block %d of %d", block, e.m.Depth))
	}
	e.early.on, e.early.block = block >= 0, block
	if e.early.on && e.early.rows.Data == nil {
		e.early.rows = kernel.NewMat(e.maxBatch, compute.EarlySize(&e.m.Config))
	}
}

// EarlyRows implements compute.Keeper.
func (e *engine) EarlyRows() []float32 {
	return e.early.rows.Data[:e.early.n*e.early.rows.Cols]
}

// summarizeAt keeps the summaries of the images in flight if block b is the one whose input is summarised.
func (e *engine) summarizeAt(b int) {
	if !e.early.on || b != e.early.block {
		return
	}
	e.summarize(e.early.rows.RowRange(e.rows.First, e.rows.First+e.rows.Images), e.input(b))
	e.early.n = e.rows.First + e.rows.Images
}

// summarize writes the summaries of the images in flight, whose tokens are x, to the first rows of dst.
func (e *engine) summarize(dst, x kernel.Mat) {
	r, d := e.rows, e.m.Width
	for i := range r.Images {
		row, tokens := dst.Row(i), x.RowRange(i*r.Each, (i+1)*r.Each)
		if e.m.Class {
			copy(row, tokens.Row(0))
			row = row[d:]
		}
		e.m.meanPatches(row, tokens)
	}
}

// EarlyOnly implements compute.Early.
func (f *features) EarlyOnly(images []float32, n int, segments ...compute.Segment) []float32 {
	var a adapter
	if len(segments) > 0 {
		f.set.assign(segments...)
		a = &f.set
	}
	e := f.engine
	each := e.m.Channels * e.m.Image * e.m.Image
	e.checkBatch("EarlyOnly", len(images), n, each)
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		e.embedTokens(images[first*each:], e.input(0))
		e.blocks(0, e.early.block, a)
		e.summarizeAt(e.early.block)
	}
	return e.EarlyRows()
}
