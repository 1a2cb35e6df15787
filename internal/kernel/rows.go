package kernel

// Row-parallel forms of the slice functions. A task handles rowChunk rows. Every row is computed independently,
// so the result does not depend on the split.

const rowChunk = 16

type rowTasks struct {
	norm     normTask
	normGrad normGradTask
	act      actTask
	actGrad  actGradTask
	gate     gateTask
	gateGrad gateGradTask
}

// RowStats are the mean and reciprocal standard deviation of each row of a LayerNorm's input.
type RowStats struct{ Mean, RStd []float32 }

// NewRowStats allocates statistics for n rows.
func NewRowStats(n int) RowStats { return RowStats{make([]float32, n), make([]float32, n)} }

// Slice returns the statistics of rows [r0, r1).
func (s RowStats) Slice(r0, r1 int) RowStats { return RowStats{s.Mean[r0:r1], s.RStd[r0:r1]} }

type normTask struct {
	dst, x     Mat
	gain, bias []float32
	eps        float32
	stats      RowStats
	words      Words
	apply      bool
}

// LayerNorm normalises each row of x [rows, d] into dst (which may be x). If st has room it stores the row
// statistics there.
func (e *Exec) LayerNorm(dst, x Mat, gain, bias []float32, eps float32, st RowStats) {
	e.LayerNormWords(dst, x, gain, bias, eps, st, Words{})
}

// LayerNormWords is LayerNorm. If words has room it also writes the rounded form of dst there.
func (e *Exec) LayerNormWords(dst, x Mat, gain, bias []float32, eps float32, st RowStats, words Words) {
	e.tasks.norm = normTask{dst: dst, x: x, gain: gain, bias: bias, eps: eps, stats: st, words: words}
	e.pool.Run(chunks(x.Rows), &e.tasks.norm)
}

// LayerNormApply repeats LayerNorm with stored statistics, bit for bit.
func (e *Exec) LayerNormApply(dst, x Mat, gain, bias []float32, st RowStats) {
	e.tasks.norm = normTask{dst: dst, x: x, gain: gain, bias: bias, stats: st, apply: true}
	e.pool.Run(chunks(x.Rows), &e.tasks.norm)
}

func (t *normTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.x.Rows, (i+1)*rowChunk); r++ {
		switch {
		case t.apply:
			LayerNormApply(t.dst.Row(r), t.x.Row(r), t.gain, t.bias, t.stats.Mean[r], t.stats.RStd[r])
		case t.stats.Mean != nil:
			t.stats.Mean[r], t.stats.RStd[r] = LayerNorm(t.dst.Row(r), t.x.Row(r), t.gain, t.bias, t.eps)
		default:
			LayerNorm(t.dst.Row(r), t.x.Row(r), t.gain, t.bias, t.eps)
		}
		if !t.words.Empty() {
			t.words.setRow(r, t.dst.Row(r))
		}
	}
}

type normGradTask struct {
	dx, dy, x  Mat
	gain       []float32
	stats      RowStats
	accumulate bool
}

// LayerNormGrad writes the gradient of LayerNorm's input to dx, or adds it with accumulate.
func (e *Exec) LayerNormGrad(dx, dy, x Mat, gain []float32, st RowStats, accumulate bool) {
	e.tasks.normGrad = normGradTask{dx, dy, x, gain, st, accumulate}
	e.pool.Run(chunks(x.Rows), &e.tasks.normGrad)
}

func (t *normGradTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.x.Rows, (i+1)*rowChunk); r++ {
		LayerNormGrad(t.dx.Row(r), t.dy.Row(r), t.x.Row(r), t.gain, t.stats.Mean[r], t.stats.RStd[r], t.accumulate)
	}
}

type actTask struct {
	dst, x Mat
	act    Activation
}

// Activate applies act to each row of x; dst may be x.
func (e *Exec) Activate(dst, x Mat, act Activation) {
	e.tasks.act = actTask{dst, x, act}
	e.pool.Run(chunks(x.Rows), &e.tasks.act)
}

func (t *actTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.x.Rows, (i+1)*rowChunk); r++ {
		Activate(t.dst.Row(r), t.x.Row(r), t.act)
	}
}

type actGradTask struct {
	dx, dy, x Mat
	act       Activation
}

// ActivateGrad sets dx = dy * act'(x) row by row; dx may be dy.
func (e *Exec) ActivateGrad(dx, dy, x Mat, act Activation) {
	e.tasks.actGrad = actGradTask{dx, dy, x, act}
	e.pool.Run(chunks(x.Rows), &e.tasks.actGrad)
}

func (t *actGradTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.x.Rows, (i+1)*rowChunk); r++ {
		ActivateGrad(t.dx.Row(r), t.dy.Row(r), t.x.Row(r), t.act)
	}
}

type gateTask struct{ dst, gu Mat }

// SwiGLU sets dst [rows, h] = silu(gate) * up from gu [rows, 2h], gate first.
func (e *Exec) SwiGLU(dst, gu Mat) {
	e.tasks.gate = gateTask{dst, gu}
	e.pool.Run(chunks(gu.Rows), &e.tasks.gate)
}

func (t *gateTask) Do(_, i int) {
	h := t.dst.Cols
	for r := i * rowChunk; r < min(t.gu.Rows, (i+1)*rowChunk); r++ {
		gu := t.gu.Row(r)
		SwiGLU(t.dst.Row(r), gu[:h], gu[h:])
	}
}

type gateGradTask struct{ dgu, dy, gu Mat }

// SwiGLUGrad sets dgu [rows, 2h] from dy [rows, h] and the kept input gu.
func (e *Exec) SwiGLUGrad(dgu, dy, gu Mat) {
	e.tasks.gateGrad = gateGradTask{dgu, dy, gu}
	e.pool.Run(chunks(gu.Rows), &e.tasks.gateGrad)
}

func (t *gateGradTask) Do(_, i int) {
	h := t.dy.Cols
	for r := i * rowChunk; r < min(t.gu.Rows, (i+1)*rowChunk); r++ {
		d, gu := t.dgu.Row(r), t.gu.Row(r)
		SwiGLUGrad(d[:h], d[h:], t.dy.Row(r), gu[:h], gu[h:])
	}
}

func chunks(rows int) int { return (rows + rowChunk - 1) / rowChunk }
