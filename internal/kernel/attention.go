package kernel

// Multi-head scaled dot-product attention (Vaswani et al., arXiv 1706.03762, equation 1), one image and
// one head at a time. Scores live in a worker's scratch for at most attnRows queries; backward
// recomputes the probabilities from the kept log-sum-exp of each row (Dao et al., arXiv 2205.14135).

// attnRows bounds the queries whose scores are held at once: at 197 tokens the scores of one head
// (160 KB) stay in a 512 KB second-level cache.
const attnRows = 208

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

// scores turns products q kᵀ, the first that of query r0, into scores, and returns what is left to multiply them by.
func (s *AttnShape) scores(p Mat, head, r0 int) (scale float32) {
	if s.Bias == nil {
		return s.Scale
	}
	for r := range p.Rows {
		row := p.Row(r)
		Scale(row, row, s.Scale)
		AddTo(row, s.biasRow(s.Bias, head, r0+r))
	}
	return 1
}

type attnTask struct {
	AttnShape
	q, k, v, o     Mat
	dq, dk, dv, do Mat
	lse            []float32 // [Images*Heads*Queries]
	backward       bool
	image          int // the first one
	split          int // query blocks an item: more parallel items when there are few heads
	workers        []*Worker
}

type attnScratch struct {
	p, dp        []float32
	largest, sum rowResults
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
	e.attn = attnTask{AttnShape: s, q: q, k: k, v: v, o: o, lse: lse, split: split, workers: e.workers}
	e.pool.Run(items*split, &e.attn)
	if s.Words.Empty() && !words.Empty() {
		e.narrowTo(words, o, nil)
	}
}

// AttentionGrad sets dQ, dK and dV from dO, given the operands, the output and the log-sum-exp of Attention.
func (e *Exec) AttentionGrad(s AttnShape, dq, dk, dv, do, o, q, k, v Mat, lse []float32) {
	e.level()
	e.attn = attnTask{AttnShape: s, q: q, k: k, v: v, o: o, dq: dq, dk: dk, dv: dv, do: do,
		lse: lse, backward: true, split: 1, workers: e.workers}
	if s.DBias == nil {
		e.pool.Run(s.Images*s.Heads, &e.attn)
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
	if t.backward {
		t.grad(w, image, head)
		return
	}
	r0, r1 := part*t.Queries/t.split, (part+1)*t.Queries/t.split
	for ; r0 < r1; r0 += attnRows {
		t.forward(w, image, head, r0, min(r0+attnRows, r1))
	}
}

// part returns the rows of one image and the columns of one head of m.
func (t *attnTask) part(m Mat, image, each, head int) Mat {
	dim := m.Cols / t.Heads
	return m.RowRange(image*each, (image+1)*each).ColRange(head*dim, (head+1)*dim)
}

func (t *attnTask) forward(w *Worker, image, head, r0, r1 int) {
	q := t.part(t.q, image, t.Queries, head).RowRange(r0, r1)
	k, v := t.part(t.k, image, t.Keys, head), t.part(t.v, image, t.Keys, head)
	p := scratchMat(&w.attn.p, r1-r0, t.Keys)
	w.product(t.Elem, p, q, k, false, true, 1, false)
	var lse []float32
	if t.lse != nil {
		lse = t.lse[(image*t.Heads+head)*t.Queries+r0:][:r1-r0]
	}
	w.softmaxRows(p, t.scores(p, head, r0), lse)
	o := t.part(t.o, image, t.Queries, head).RowRange(r0, r1)
	w.product(t.Elem, o, p, v, false, false, 1, false)
	if !t.Words.Empty() {
		t.Words.setPart(image*t.Queries+r0, head*o.Cols, o)
	}
}

func (t *attnTask) grad(w *Worker, image, head int) {
	k, v := t.part(t.k, image, t.Keys, head), t.part(t.v, image, t.Keys, head)
	dk, dv := t.part(t.dk, image, t.Keys, head), t.part(t.dv, image, t.Keys, head)
	q, dq := t.part(t.q, image, t.Queries, head), t.part(t.dq, image, t.Queries, head)
	o, do := t.part(t.o, image, t.Queries, head), t.part(t.do, image, t.Queries, head)
	lse := t.lse[(image*t.Heads+head)*t.Queries:]
	for r0 := 0; r0 < t.Queries; r0 += attnRows {
		r1 := min(r0+attnRows, t.Queries)
		qb, dob, ob := q.RowRange(r0, r1), do.RowRange(r0, r1), o.RowRange(r0, r1)
		p := scratchMat(&w.attn.p, r1-r0, t.Keys)
		w.product(t.Elem, p, qb, k, false, true, 1, false)
		softmaxRowsFromLSE(p, t.scores(p, head, r0), lse[r0:])
		w.product(t.Elem, dv, p, dob, true, false, 1, r0 > 0)
		dp := scratchMat(&w.attn.dp, r1-r0, t.Keys)
		w.product(t.Elem, dp, dob, v, false, true, 1, false)
		t.show(p, dp, (image*t.Heads+head)*t.Queries+r0)
		w.softmaxGradRows(dp, p, ob, dob, t.Scale)
		if t.DBias != nil {
			for r := range dp.Rows {
				Axpy(t.biasRow(t.DBias, head, r0+r), dp.Row(r), 1/t.Scale)
			}
		}
		w.product(t.Elem, dq.RowRange(r0, r1), dp, k, false, false, 1, false)
		w.product(t.Elem, dk, dp, qb, true, false, 1, r0 > 0)
	}
}

// show copies probabilities and their gradients to where somebody wants them, from a row on.
func (t *attnTask) show(p, dp Mat, first int) {
	if t.P == nil {
		return
	}
	for r := range p.Rows {
		copy(t.P[(first+r)*t.Keys:][:t.Keys], p.Row(r))
		copy(t.DP[(first+r)*t.Keys:][:t.Keys], dp.Row(r))
	}
}

// scratchMat returns a rows x cols matrix in *buf, grown if needed, with a stride of whole vectors of any set.
func scratchMat(buf *[]float32, rows, cols int) Mat {
	stride := (cols + maxLanes - 1) &^ (maxLanes - 1)
	if n := rows * stride; cap(*buf) < n {
		*buf = alignedFloats(n)
	}
	return Mat{Data: (*buf)[:rows*stride], Rows: rows, Cols: cols, Stride: stride}
}
