package vit

import (
	"fmt"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// engine runs a model on batches of up to MaxBatch images. It owns every buffer that a pass needs, so that
// Forward and Backward allocate nothing. It is not safe for concurrent use, but engines may share a model and a
// pool.
type engine struct {
	m        *model
	ex       *kernel.Exec
	maxBatch int
	pass     int // number of images that pass through the blocks together
	from     int // blocks from this one on keep what Backward reads; Depth: none

	// Tap, if set, is called with the output of each stage ("patch", "block.0", ..., "norm", "pooled"), as
	// [rows, d]. It disables the shortcut that computes the class token alone in the last block, so that all
	// rows are valid.
	Tap func(stage string, x kernel.Mat)

	// Mark, if set, is called after each operation of Forward and Backward with its block (or Outside) and
	// kind. The time since the previous call is the duration of the operation.
	Mark func(block int, p compute.Part)

	rows    span       // images in flight: the batch, or a part of it
	patches []float32  // [n*grid*grid, 3*patch*patch]
	x       kernel.Mat // residual stream of blocks that keep nothing [n*T, d]
	h       kernel.Mat // LayerNorm output [n*T, d]
	qkv     kernel.Mat // of blocks that keep none, or keep it rounded [n*T, 3d]
	o       kernel.Mat // attention output [n*T, d]
	up      kernel.Mat // MLP pre-activation [n*T, up], inference and SwiGLU
	act     kernel.Mat // MLP activation [n*T, mlp]; allocated on first use
	innerO  kernel.Mat // attention output after AttnNorm [n*T, d]; allocated on first use
	innerU  kernel.Mat // MLP activation after MLPNorm [n*T, mlp]; allocated on first use
	y       kernel.Mat // output of a map to which an adapter adds before LayerScale and residual [n*T, d]

	// Pre-rounded operands of the products of blocks with narrow weights. words belongs to h, then o, then h
	// again; actWords to act.
	words, actWords kernel.Words

	keep   []blockState // per block from..Depth-1
	out    kernel.Mat   // last block's output
	embed  kernel.Mat   // tokens before the pre-norm, if that norm is trained
	normed kernel.Mat   // after the final norm
	pooled kernel.Mat   // [n, features before PoolNorm]
	feat   kernel.Mat   // [n, Features()]
	preSt  kernel.RowStats
	normSt kernel.RowStats
	poolSt kernel.RowStats

	pooling *poolState // buffers of attention pooling, else nil
	early   early
	trace   *trace // nil: nothing observes the backward pass

	grad gradState
	im   im2colTask
	rot  rotateTask
	col  colTask
}

// blockState is what the forward pass keeps of one block for Backward.
type blockState struct {
	in, mid  kernel.Mat // block input; after attention
	qkv, o   kernel.Mat
	rounded  kernel.Mat // instead of qkv: q, k and v as bfloat16 pairs, if attention rounds its operands anyway
	pre      kernel.Mat // MLP pre-activation
	lse      []float32
	st1, st2 kernel.RowStats

	stAttn, stMLP kernel.RowStats // statistics of AttnNorm and MLPNorm
}

// newEngine returns an engine for up to maxBatch images. Backward reaches down to block from. With from ==
// Depth the engine is for inference and keeps the least memory.
func newEngine(m *model, pool compute.Workers, maxBatch, from int) *engine {
	if maxBatch < 1 || from < 0 || from > m.Depth {
		panic(fmt.Sprintf("vit: newEngine: batch %d, from block %d of %d", maxBatch, from, m.Depth))
	}
	e := &engine{m: m, ex: kernel.NewExec(pool), maxBatch: maxBatch, pass: maxBatch, from: from}
	if from == m.Depth {
		e.pass = e.passImages()
	}
	e.makeBuffers()
	e.poolSt = kernel.NewRowStats(maxBatch)
	e.pooled = kernel.NewMat(maxBatch, m.Features())
	e.feat = kernel.NewMat(maxBatch, m.Features())
	return e
}

// makeBuffers allocates the buffers of a pass.
func (e *engine) makeBuffers() {
	m, from := e.m, e.from
	n, d := e.pass*m.Tokens(), m.Width
	_, up := m.Dims(FC1)
	g := m.Grid()
	e.patches = make([]float32, e.pass*g*g*m.PatchEmbed.In)
	e.h = kernel.NewBuffer(n, d)
	if from > 0 {
		e.x, e.qkv, e.o = kernel.NewBuffer(n, d), kernel.NewBuffer(n, 3*d), kernel.NewBuffer(n, d)
	}
	if from > 0 && m.SwiGLU {
		e.up = kernel.NewBuffer(n, up)
	}
	if from == 0 && e.rounds() {
		e.qkv = kernel.NewBuffer(n, 3*d)
	}
	e.act, e.y, e.innerO, e.innerU = kernel.Mat{}, kernel.Mat{}, kernel.Mat{}, kernel.Mat{}
	e.words, e.actWords = kernel.NewWords(elem(m.Precision), n, d), kernel.Words{}
	switch keeps := from < m.Depth; {
	case m.Precision != BF16:
	case keeps: // the backward pass needs act, the forward pass one or the other
		e.actWords = kernel.WordsIn(elem(m.Precision), e.activations(n))
	default:
		e.actWords = kernel.NewWords(elem(m.Precision), n, m.MLP)
	}
	e.keep = make([]blockState, m.Depth-from)
	for i := range e.keep {
		e.keep[i] = e.newBlockState(n, up, e.queryRows(from+i))
	}
	e.out = kernel.NewBuffer(e.queryRows(m.Depth-1), d)
	e.normSt = kernel.NewRowStats(n)
	e.makePool()
}

// LimitPass sets how many images of a batch pass through the blocks together if nothing is kept for a backward
// pass (From() == Depth). A batch is slow if its activations do not stay in the caches between operations. The
// default suits most machines, and results do not depend on it. LimitPass must not be called during a pass.
func (e *engine) LimitPass(images int) {
	if e.from < e.m.Depth {
		return
	}
	e.pass = min(max(images, 1), e.maxBatch)
	e.makeBuffers()
}

// newBlockState allocates the state of one block for n tokens, of which queries are still needed after
// attention.
func (e *engine) newBlockState(n, up, queries int) blockState {
	m := e.m
	s := blockState{
		in: kernel.NewBuffer(n, m.Width), mid: kernel.NewBuffer(queries, m.Width), o: kernel.NewBuffer(queries, m.Width),
		pre: kernel.NewBuffer(queries, up), lse: make([]float32, n*m.Heads),
		st1: kernel.NewRowStats(n), st2: kernel.NewRowStats(n),
	}
	if m.AttnNorm {
		s.stAttn = kernel.NewRowStats(n)
	}
	if m.MLPNorm {
		s.stMLP = kernel.NewRowStats(n)
	}
	if e.rounds() {
		s.rounded = kernel.NewBuffer(n, (3*m.Width+1)/2)
	} else {
		s.qkv = kernel.NewBuffer(n, 3*m.Width)
	}
	return s
}

// KeptBytes returns the bytes per image that a training pass keeps for the backward pass through block from and
// those above.
func KeptBytes(c *Config, p Precision, from int) int64 {
	m := &model{}
	m.Config, m.Precision = *c, p
	_, up := c.Dims(FC1)
	e, bytes := &engine{m: m, pass: 1}, int64(0)
	for b := from; b < c.Depth; b++ {
		n, queries := int64(c.Tokens()), int64(e.queryRows(b))
		width, kept := int64(c.Width), int64(3*c.Width)
		if e.rounds() {
			kept = (kept + 1) / 2
		}
		bytes += 4 * (n*(width+kept+int64(c.Heads)+4) + queries*(2*width+int64(up)))
	}
	return bytes
}

// TracedBytes estimates the memory of a tracer for so many images at once: what it keeps on its way, and what the way back
// works in.
func TracedBytes(c *Config, p Precision, t compute.Tracing, images int) int64 {
	const word = 4
	n, tokens, d := int64(images), int64(c.Tokens()), int64(c.Width)
	_, up := c.Dims(FC1)
	bytes := n*KeptBytes(c, p, t.From) + word*n*int64(c.Channels*c.Image*c.Image)
	bytes += word * n * tokens * (16*d + 2*int64(up) + int64(c.MLP)) // activations at hand, and their gradients
	if t.Attention {
		bytes += 2 * word * n * int64(c.Heads) * tokens * tokens
	}
	return bytes
}

// rounds reports whether attention rounds q, k and v to bfloat16. They are then kept in that form.
func (e *engine) rounds() bool { return edgePrecision(e.m.Precision) == BF16 }

// keepRounded keeps q, k and v of block b in rounded form for the backward pass, if they lie in the shared
// buffer.
func (e *engine) keepRounded(b int) {
	if b >= e.from && e.rounds() {
		e.ex.RoundBF16(e.tokens(e.keep[b-e.from].rounded), e.tokens(e.qkv))
	}
}

// restoreRounded is the inverse of keepRounded.
func (e *engine) restoreRounded(b int) {
	if e.rounds() {
		e.ex.WidenBF16(e.tokens(e.qkv), e.tokens(e.keep[b-e.from].rounded))
	}
}

// queryRows returns the number of rows that are needed after attention in block b.
func (e *engine) queryRows(b int) int {
	if e.prunes(b) {
		return e.pass
	}
	return e.pass * e.m.Tokens()
}

// fit enlarges the buffers if necessary: a Tap needs all rows of all blocks at once.
func (e *engine) fit() {
	if e.Tap != nil && e.pass < e.maxBatch {
		e.LimitPass(e.maxBatch)
	}
	last := e.m.Depth - 1
	if n := e.queryRows(last); e.out.Rows < n {
		e.out = kernel.NewBuffer(n, e.m.Width)
		if last >= e.from {
			_, up := e.m.Dims(FC1)
			e.keep[last-e.from] = e.newBlockState(n, up, n)
		}
	}
}

// activations returns the first rows of act, allocated on first use.
func (e *engine) activations(rows int) kernel.Mat {
	if e.act.Data == nil {
		e.act = kernel.NewBuffer(e.pass*e.m.Tokens(), e.m.MLP)
	}
	return e.act.RowRange(0, rows)
}

// MaxBatch returns the largest number of images per batch.
func (e *engine) MaxBatch() int { return e.maxBatch }

// From returns the lowest block that Backward reaches.
func (e *engine) From() int { return e.from }

// prunes reports whether block b computes queries, projection and MLP for the class token only: the last block
// does, if nothing reads the other tokens.
func (e *engine) prunes(b int) bool {
	return b == e.m.Depth-1 && e.m.Pooling == PoolClass && e.Tap == nil
}

// tokens returns the rows of m for the images in flight.
func (e *engine) tokens(m kernel.Mat) kernel.Mat { return m.RowRange(0, e.rows.Images*e.rows.Each) }

// classRows views the first token of each image of x [n*T, cols] as [n, cols].
func classRows(x kernel.Mat, r span) kernel.Mat {
	return kernel.Mat{Data: x.Data, Rows: r.Images, Cols: x.Cols, Stride: r.Each * x.Stride}
}

func (e *engine) tap(stage string, x kernel.Mat) {
	if e.Tap != nil {
		e.Tap(stage, x)
	}
}

// passTokens is the default number of tokens per worker in a pass. Measured on ViT-Ti and ViT-B: with twice as
// many, the activations of a block no longer stay in the cache between its operations; with half as many, the
// weights are read too often and products are cut into pieces that are too small.
const passTokens = 400

// passImages is the default of LimitPass.
func (e *engine) passImages() int { return passFor(e.m.Tokens(), e.ex.Pool().Workers(), e.maxBatch) }

func passFor(tokens, workers, maxBatch int) int {
	return min(max(1, (passTokens*workers+tokens/2)/tokens), maxBatch)
}

func (e *engine) mark(block int, p compute.Part) {
	if block == arch.PoolBlock {
		block, p = compute.Outside, compute.PartPool
	}
	if e.Mark != nil {
		e.Mark(block, p)
	}
}
