package kernel

import "melo.example/melo/internal/par"

// Matrix products. Whatever the shape, an element of the result is a single chain of sums over k within blocks
// of kBlock (see docs/numerics.md). So the result does not depend on how rows and columns are cut into tiles,
// items and batches.

const (
	// blockRows is the height of a work item. For one chain, this many rows of A fit into the second-level
	// cache, from where they are read again for each panel of B. The rows of one image at 224 pixels are one
	// item.
	blockRows = 208
	// blockCols is the width of a work item, and the number of columns that are finished before the epilogue
	// runs. That much of B stays in the cache while the rows are processed.
	blockCols = 128
	// kBlock is the length of a chain where the right-hand side is packed on the fly.
	kBlock = 1024
)

type gemmTask struct {
	op     gemmOp
	c, a   Mat
	b      *Packed
	bm     Mat // an unpacked right-hand side
	ep     Epilogue
	transB bool
	alpha  float32
	add    bool // add to c
	elem   Elem // of the left-hand side
	each   int  // rows of a and b that form one chain (opTN)

	quant                []quant // for each row of a, if b is int8
	rowBlocks, colGroups int
	workers              []*Worker
}

type gemmOp uint8

const (
	opPacked gemmOp = iota
	opPackedT
	opMat
	opTN
)

// runGemm cuts c into items of at most rows x cols and computes them.
func (e *Exec) runGemm(rows, cols int) {
	e.level()
	t := &e.gemm
	t.workers = e.workers
	g := grid{rows: pieces(t.c.Rows, current.rows(t.elem)), cols: pieces(t.c.Cols, current.panel()), workers: e.pool.Workers(), extra: packingTiles}
	if t.op == opPacked {
		g.extra = 1
	}
	if t.op == opPackedT {
		g.cols = pieces(t.c.Cols, cols)
	}
	rowBlocks := pieces(t.c.Rows, rows)
	if g.rows >= 3*g.workers*g.extra { // workers keep to their rows, which are in their caches
		rowBlocks = max(rowBlocks, g.workers)
	}
	t.rowBlocks, t.colGroups = g.cut(rowBlocks, pieces(t.c.Cols, cols))
	e.pool.Run(t.rowBlocks*t.colGroups, t)
	*t = gemmTask{}
}

// grid is a product in units of tiles, to be divided among workers.
type grid struct {
	rows, cols, workers int
	extra               int // cost per item and column of tiles beyond the tiles themselves, in tiles
}

// packingTiles is the approximate cost of packing a panel of the right-hand side, in tiles.
const packingTiles = 4

// cut returns the numbers of row blocks and column groups into which the grid is cut. They are at least as
// large as given, and larger if some workers would otherwise wait long for others, for example two workers with
// three items.
func (g grid) cut(rowBlocks, colGroups int) (int, int) {
	if rowBlocks*colGroups == 0 {
		return 0, 0
	}
	least, r, c := g.time(rowBlocks, colGroups), rowBlocks, colGroups
	if least*g.workers*19 <= (g.rows+g.extra)*g.cols*20 {
		return r, c
	}
	for i := rowBlocks; i <= min(rowBlocks+g.workers, g.rows); i++ {
		for j := colGroups; j <= min(2*colGroups+g.workers, g.cols); j++ {
			if t := g.time(i, j); t < least {
				least, r, c = t, i, j
			}
		}
	}
	return r, c
}

// time returns how long the busiest worker takes, in tiles, if all items are as large as the largest.
func (g grid) time(rowBlocks, colGroups int) int {
	return pieces(rowBlocks*colGroups, g.workers) * (pieces(g.rows, rowBlocks) + g.extra) * pieces(g.cols, colGroups)
}

// pieces returns how many pieces of a size cover n.
func pieces(n, size int) int { return (n + size - 1) / size }

// Do computes one item.
func (t *gemmTask) Do(worker, i int) {
	w := t.workers[worker]
	row, col := i/t.colGroups, i%t.colGroups
	panels := (t.c.Cols + current.panel() - 1) / current.panel()
	r0, r1 := par.Part(t.c.Rows, row, t.rowBlocks)
	p0, p1 := par.Part(panels, col, t.colGroups)
	c0, c1 := p0*current.panel(), min(p1*current.panel(), t.c.Cols)
	c := t.c.RowRange(r0, r1).ColRange(c0, c1)
	switch t.op {
	case opPacked:
		t.packed(w, c, t.a.RowRange(r0, r1), r0, c0)
	case opPackedT:
		t.packedT(w, c, t.a.RowRange(r0, r1), c0)
	case opMat:
		b := t.bm
		if t.transB {
			b = b.RowRange(c0, c1)
		} else {
			b = b.ColRange(c0, c1)
		}
		w.Gemm(c, t.a.RowRange(r0, r1), b, false, t.transB, t.alpha, t.add)
	case opTN:
		a, b := t.a.ColRange(r0, r1), t.bm.ColRange(c0, c1)
		for k := 0; k < a.Rows; k += t.each {
			w.Gemm(c, a.RowRange(k, k+t.each), b.RowRange(k, k+t.each), true, false, 1, true)
		}
	}
}

// Gemm computes c = epilogue(a Bᵀ) for a [m, K] and the packed weight b [N, K]; c is [m, N].
func (e *Exec) Gemm(c, a Mat, b *Packed, ep Epilogue) {
	check(c.Rows == a.Rows && c.Cols == b.N && a.Cols == b.K, "Gemm", c, a, b.N, b.K)
	if b.elem != F32 {
		e.GemmWords(c, e.narrow(b.elem, a, nil), b, ep)
		return
	}
	e.gemm = gemmTask{op: opPacked, c: c, a: a, b: b, ep: ep}
	e.runGemm(blockRows, blockCols)
}

// GemmWords is Gemm for a left-hand side that is already rounded to b's element type.
func (e *Exec) GemmWords(c Mat, a Words, b *Packed, ep Epilogue) {
	check(a.elem == b.elem && c.Rows == a.words.Rows && c.Cols == b.N && a.words.Cols == b.elem.words(b.K), "GemmWords", c, a.words, b.N, b.K)
	check(ep.Words.Empty() || ep.Words.elem == BF16, "GemmWords to words", c, ep.Words.words, b.N, b.K)
	e.gemm = gemmTask{op: opPacked, c: c, a: a.words, b: b, ep: ep, elem: b.elem, quant: a.quant}
	e.runGemm(blockRows, blockCols)
}

// packed computes one item of Gemm, rows r0.. and columns c0... The epilogue runs while the item is in the
// cache.
func (t *gemmTask) packed(w *Worker, c, a Mat, r0, c0 int) {
	y, plain := c, t.ep.empty()
	if !plain {
		y = View(scratch(&w.y, c.Rows*c.Cols), c.Rows, c.Cols)
	}
	right := right{data: t.b.data[c0*a.Cols:], stride: current.panel(), elem: t.b.elem}
	if t.b.elem == I8 {
		right.scale, right.sum, right.rows = t.b.scale[c0:], t.b.sum[c0:], t.quant[r0:]
	}
	w.columns(y, leftOf(a, false), a.Cols, right, 1, false)
	if !plain {
		t.ep.apply(c, y, r0, c0)
	}
}

// empty reports whether there is nothing to do after the product.
func (ep *Epilogue) empty() bool {
	return ep.Bias == nil && ep.Pre.Data == nil && ep.Act == Identity && ep.Scale == nil && ep.Residual.Data == nil && ep.Words.Empty()
}

// GemmPackedT computes c = a B (or adds it to c) for a [m, N] and the packed weight b [N, K]; c is [m, K]. The
// weight is transposed on the fly, panel by panel, so that training needs no second copy of the base. With
// narrow weights, a is rounded to bfloat16 if the CPU has such products. For I8 its columns are first
// multiplied by the scales of the outputs.
func (e *Exec) GemmPackedT(c, a Mat, b *Packed, accumulate bool) {
	check(c.Rows == a.Rows && c.Cols == b.K && a.Cols == b.N, "GemmPackedT", c, a, b.K, b.N)
	cols, elem := current.panel(), F32
	if b.elem != F32 && Has(BF16) {
		elem = BF16
	}
	if b.elem == I8 {
		cols *= 2 // one pass over the bytes gives two panels
	}
	if b.elem != F32 {
		a = e.narrow(elem, a, b.scale).words
	}
	e.gemm = gemmTask{op: opPackedT, c: c, a: a, b: b, add: accumulate, elem: elem}
	e.runGemm(max(c.Rows, 1), cols)
}

func (t *gemmTask) packedT(w *Worker, c, a Mat, c0 int) {
	nr, per := current.panel(), t.elem.perWord()
	buf := scratch(&w.b, 2*kBlock*nr)
	first, second := buf[:kBlock*nr], buf[kBlock*nr:]
	for n0 := 0; n0 < t.b.N; n0 += kBlock { // kBlock is a multiple of nr
		n1 := min(n0+kBlock, t.b.N)
		words := (n1 - n0 + per - 1) / per
		t.b.packT(first, second, t.elem, n0, n1, c0)
		for j := 0; j < c.Cols; j += nr {
			part := c.ColRange(j, min(j+nr, c.Cols))
			r := right{data: buf[j/nr*kBlock*nr:], stride: nr, elem: t.elem}
			w.columns(part, leftOf(a.ColRange(n0/per, n0/per+words), false), words, r, 1, t.add || n0 > 0)
		}
	}
}

// GemmMat computes c = alpha a b, or alpha a bᵀ with transB, for unpacked matrices. With accumulate it adds to
// c.
func (e *Exec) GemmMat(c, a, b Mat, transB bool, alpha float32, accumulate bool) {
	n, k := b.Cols, b.Rows
	if transB {
		n, k = k, n
	}
	check(c.Rows == a.Rows && c.Cols == n && a.Cols == k, "GemmMat", c, a, n, k)
	e.gemm = gemmTask{op: opMat, c: c, a: a, bm: b, transB: transB, alpha: alpha, add: accumulate}
	e.runGemm(blockRows, 8*blockCols)
}

// GemmTN adds aᵀ b to c [M, N] for a [T, M] and b [T, N]. It computes one sum for each run of each rows, and
// adds these in order.
func (e *Exec) GemmTN(c, a, b Mat, each int) {
	check(c.Rows == a.Cols && c.Cols == b.Cols && a.Rows == b.Rows && each > 0 && a.Rows%each == 0, "GemmTN", c, a, b.Rows, b.Cols)
	e.gemm = gemmTask{op: opTN, c: c, a: a, bm: b, each: each}
	e.runGemm(blockRows, blockCols)
}

// Gemm computes c = alpha op(a) op(b) on one thread. With accumulate it adds to c. op transposes if transA or
// transB is set.
func (w *Worker) Gemm(c, a, b Mat, transA, transB bool, alpha float32, accumulate bool) {
	left, k := leftOf(a, transA), a.Cols
	if transA {
		k = a.Rows
	}
	for j := 0; j < c.Cols; j += current.panel() {
		cols := min(current.panel(), c.Cols-j)
		var part Mat
		if transB {
			part = b.RowRange(j, j+cols)
		} else {
			part = b.ColRange(j, j+cols)
		}
		r := w.rightOf(part, transB, k, c.Rows)
		w.columns(c.ColRange(j, j+cols), left, k, r, alpha, accumulate)
	}
}

// rightOf packs b, or its transpose, into a panel with k rows, for a product with the given number of rows.
func (w *Worker) rightOf(b Mat, trans bool, k, rows int) right {
	cols := b.Cols
	if trans {
		cols = b.Rows
	}
	width := (cols + current.lanes - 1) / current.lanes * current.lanes
	r := right{data: scratch(&w.b, k*width), stride: width}
	switch {
	case trans:
		packTransposed(r.data, width, b, nil)
	case cols == width && rows <= 2*current.rows(F32):
		r.data, r.stride = b.Data, b.Stride // read in place: packing would cost as much as the product
	default:
		packRows(r.data, width, b)
	}
	return r
}

func check(ok bool, op string, c, a Mat, n, k int) {
	if !ok {
		panic(shapeError(op, c, a, n, k))
	}
}
