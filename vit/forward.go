package vit

import (
	"fmt"
	"strconv"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// Forward computes the pooled features [n, Features()] of n images [n, 3, Image, Image], prepared by the
// model's recipe. If a is nil the bare backbone runs. The result is valid until the next call.
func (e *engine) Forward(images []float32, n int, a adapter) kernel.Mat {
	each := e.m.Channels * e.m.Image * e.m.Image
	e.checkBatch("Forward", len(images), n, each)
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		e.begin(images[first*each:], a)
		e.end(a)
	}
	return e.features(n)
}

// PrefixSize returns the number of values per image that enter block From(): Width for each token.
func (e *engine) PrefixSize() int { return e.m.Tokens() * e.m.Width }

// Prefix computes the input of block From() for n images and writes it to dst [n, PrefixSize()]. ForwardFrom
// continues from there, so an image need not pass the blocks below the lowest adapter more than once.
func (e *engine) Prefix(dst, images []float32, n int) {
	each := e.m.Channels * e.m.Image * e.m.Image
	e.checkBatch("Prefix", len(images), n, each)
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		e.begin(images[first*each:], nil)
		x := e.input(e.from)
		copyRows(kernel.View(dst[first*e.PrefixSize():], x.Rows, x.Cols), x)
	}
}

// ForwardFrom continues Forward from the results of Prefix, bit for bit. a must have no deltas before block
// From().
func (e *engine) ForwardFrom(prefix []float32, n int, a adapter) kernel.Mat {
	e.checkBatch("ForwardFrom", len(prefix), n, e.PrefixSize())
	for first := 0; first < n; first += e.pass {
		e.take(first, n)
		x := e.input(e.from)
		copyRows(x, kernel.View(prefix[first*e.PrefixSize():], x.Rows, x.Cols))
		e.end(a)
	}
	return e.features(n)
}

func (e *engine) checkBatch(what string, numbers, n, each int) {
	if n < 1 || n > e.maxBatch || numbers < n*each {
		panic(fmt.Sprintf("vit: %s: %d images in %d numbers, room for %d", what, n, numbers, e.maxBatch))
	}
}

// take selects the images in flight: from image first on of a batch of n, as many as one pass holds.
func (e *engine) take(first, n int) {
	e.fit()
	e.rows = span{First: first, Images: min(e.pass, n-first), Each: e.m.Tokens()}
}

// begin runs the embedding and the blocks before From() on the images in flight.
func (e *engine) begin(images []float32, a adapter) {
	e.embedTokens(images, e.input(0))
	e.mark(compute.Outside, compute.PartEmbed)
	e.blocks(0, e.from, a)
}

// end runs the blocks from From() on, then pools.
func (e *engine) end(a adapter) {
	e.blocks(e.from, e.m.Depth, a)
	e.pool(a)
	e.mark(compute.Outside, compute.PartPool)
}

// features returns the pooled features of the batch, after PoolNorm if the network has it.
func (e *engine) features(n int) kernel.Mat {
	if e.m.PoolNorm {
		return e.feat.RowRange(0, n)
	}
	return e.pooled.RowRange(0, n)
}

// blocks runs blocks [from, to).
func (e *engine) blocks(from, to int, a adapter) {
	for b := from; b < to; b++ {
		e.summarizeAt(b)
		e.block(b, e.input(b), e.input(b+1), a)
		if e.Tap != nil {
			e.tap("block."+strconv.Itoa(b), e.input(b+1))
		}
	}
}

// input returns the matrix from which block b reads its input: its own kept matrix, or the shared residual
// stream. input(Depth) is the last block's output.
func (e *engine) input(b int) kernel.Mat {
	switch {
	case b == e.m.Depth && e.prunes(b-1):
		return e.out.RowRange(0, e.rows.Images)
	case b == e.m.Depth:
		return e.tokens(e.out)
	case b >= e.from:
		return e.tokens(e.keep[b-e.from].in)
	}
	return e.tokens(e.x)
}
