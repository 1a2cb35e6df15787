package kernel

import (
	"math"

	"melo.example/melo/internal/par"
)

// Multi-head scaled dot-product attention (Vaswani et al., arXiv 1706.03762, equation 1), one image and
// one head at a time. Scores live in a worker's scratch for as many queries as a tile has rows
// (docs/adr/0135-attention-in-blocks.md). Backward recomputes the probabilities from the kept log-sum-exp of each
// row (Dao et al., arXiv 2205.14135).

// AttnShape describes the operands of Attention. Q has Images*Queries rows, K and V Images*Keys rows;
// all have Heads*dim columns, head by head.
type AttnShape struct {
	Images, Queries, Keys, Heads int
	Scale                        float32 // usually 1/sqrt(dim)
	Elem                         Elem    // of the operands of its products: F32 or BF16
	Words                        Words   // room for those of O, or none

	// Bias [Heads][Keys][Keys], if there is one, is added to the scaled scores. Queries are the first ones of the keys.
	Bias []float32
	// DBias, if AttentionGrad is to add the gradient of Bias to it. Images are summed in order.
	DBias []float32
	// P and DP [Images][Heads][Queries][Keys], if AttentionGrad is to write the probabilities there, and their gradients.
	P, DP []float32
}

// biasRow returns the biases of a query.
func (s *AttnShape) biasRow(bias []float32, head, query int) []float32 {
	return bias[(head*s.Keys+query)*s.Keys:][:s.Keys]
}

// factors are what products q kᵀ are multiplied by on their way to memory, and what is left to multiply scores by: softmax
// wants the latter above 0. That of BF16 is to the base of two.
func (s *AttnShape) factors() (first, then float32) {
	scale := s.Scale
	if s.Elem == BF16 {
		scale = float32(float64(scale) * math.Log2E)
	}
	if s.Bias == nil && scale > 0 {
		return 1, scale
	}
	return scale, 1
}

// addBias adds the biases to scores, of which the first are those of query r0.
func (s *AttnShape) addBias(scores Mat, head, r0 int) {
	for r := range scores.Rows {
		if s.Elem == BF16 {
			Axpy(scores.Row(r), s.biasRow(s.Bias, head, r0+r), math.Log2E)
		} else {
			AddTo(scores.Row(r), s.biasRow(s.Bias, head, r0+r))
		}
	}
}

type attnTask struct {
	AttnShape
	q, k, v, o     Mat
	dq, dk, dv, do Mat
	lse            []float32 // [Images*Heads*Queries]
	dim            int       // of a head
	fetch          bool      // ahead
	backward       bool
	image          int // the first one
	split          int // query blocks an item: more parallel items when there are few heads
	workers        []*Worker
}

type attnScratch struct {
	p, dp, q, o  []float32 // of a block
	keys, values panels    // of the head in work
	largest, sum rowResults

	// On the way back: keys once more, not transposed, and rows of queries or of gradients of outputs; probabilities and
	// gradients of scores of many blocks.
	plainKeys, rows panels
	manyP, manyDS   []float32
}

// Attention sets O = softmax(Scale * Q Kᵀ) V for each image and head. If lse is not nil, it receives
// the log-sum-exp of each row of scores, [Images][Heads][Queries].
func (e *Exec) Attention(s AttnShape, o, q, k, v Mat, lse []float32) {
	e.level()
	items := s.Images * s.Heads
	split := 1
	if items < 4*e.pool.Workers() && s.Queries >= 64 {
		split = 2
	}
	words := s.Words
	if !words.takesParts(o.Cols / s.Heads) {
		s.Words = Words{}
	}
	e.attn = attnTask{AttnShape: s, dim: q.Cols / s.Heads, q: q, k: k, v: v, o: o, lse: lse, split: split, workers: e.workers, fetch: s.fetches(k)}
	e.pool.Run(items*split, &e.attn)
	e.level()
	if s.Words.Empty() && !words.Empty() {
		e.narrowTo(words, o, nil)
	}
}

// AttentionGrad sets dQ, dK and dV from dO, given the operands, the output and the log-sum-exp of Attention.
func (e *Exec) AttentionGrad(s AttnShape, dq, dk, dv, do, o, q, k, v Mat, lse []float32) {
	e.level()
	e.attn = attnTask{AttnShape: s, dim: q.Cols / s.Heads, q: q, k: k, v: v, o: o, dq: dq, dk: dk, dv: dv, do: do,
		lse: lse, backward: true, split: 1, workers: e.workers, fetch: s.fetches(k)}
	if s.DBias == nil {
		e.pool.Run(s.Images*s.Heads, &e.attn)
		e.level()
		return
	}
	for e.attn.image = range s.Images {
		e.pool.Run(s.Heads, &e.attn)
	}
}

func (t *attnTask) Do(worker, i int) {
	w := t.workers[worker]
	part, item := i%t.split, i/t.split
	image, head := t.image+item/t.Heads, item%t.Heads
	t.aheadOfHead(w, item)
	if t.backward {
		t.grad(w, image, head)
		return
	}
	r0, r1 := par.Part(t.Queries, part, t.split)
	blocks := pieces(r1-r0, blockHeight(t.Elem))
	if blocks > 1 {
		w.attn.keys.packT(w, t.Elem, t.part(t.k, image, t.Keys, head))
	}
	w.attn.values.packFor(r1-r0, t.Elem, t.part(t.v, image, t.Keys, head))
	for i := range blocks {
		b0, b1 := par.Part(r1-r0, i, blocks)
		t.forward(w, image, head, r0+b0, r0+b1, blocks > 1)
	}
}

// blockHeight is the number of queries whose scores are held at once: those of a tile, or of some if tiles are low.
func blockHeight(e Elem) int {
	return max(1, maxBlock/current.rows(e)) * current.rows(e)
}

// maxBlock bounds a block's queries.
const maxBlock = 24

// part returns the rows of one image and the columns of one head of m.
func (t *attnTask) part(m Mat, image, each, head int) Mat {
	return m.RowRange(image*each, (image+1)*each).ColRange(head*t.dim, (head+1)*t.dim)
}

// forward computes a block of queries: its scores never leave the nearest caches. Keys are packed, or will be, a panel at a time.
func (t *attnTask) forward(w *Worker, image, head, r0, r1 int, packed bool) {
	t.aheadOfBlock(w, image, head, r0, r1)
	q, o := t.part(t.q, image, t.Queries, head).RowRange(r0, r1), t.part(t.o, image, t.Queries, head).RowRange(r0, r1)
	scores := blockMat(&w.attn.p, r1-r0, t.Keys)
	left := w.leftBlock(t.Elem, q)
	first, then := t.factors()
	if packed {
		w.times(scores, left, &w.attn.keys, first, false)
	} else {
		w.timesT(scores, left, t.Elem, t.part(t.k, image, t.Keys, head), first)
	}
	if t.Bias != nil {
		t.addBias(scores, head, r0)
	}
	p := w.softmax(t.Elem, scores, then)
	if t.lse != nil {
		w.logSums(t.Elem, t.lse[(image*t.Heads+head)*t.Queries+r0:][:r1-r0])
	}
	y := blockMat(&w.attn.o, r1-r0, o.Cols)
	w.times(y, p, &w.attn.values, 1, false)
	w.overTotals(o, y, t.Words, image*t.Queries+r0, head*o.Cols)
}

// scratchMat returns a rows x cols matrix in *buf, grown if needed, with a stride of whole vectors of any set.
func scratchMat(buf *[]float32, rows, cols int) Mat {
	stride := (cols + maxLanes - 1) &^ (maxLanes - 1)
	return Mat{Data: scratch(buf, rows*stride), Rows: rows, Cols: cols, Stride: stride}
}
