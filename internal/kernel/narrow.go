package kernel

import (
	"math"
	"slices"
	"unsafe"
)

// Narrow operands. Rows of bfloat16 or bytes are handled as rows of 32-bit words, each of which holds two or
// four neighbours along k.

// quant gives the value of a byte q of a row: (q - zero) * scale.
type quant = [2]float32

// narrowTask rounds the rows of a to a narrow type, chunk by chunk.
type narrowTask struct {
	a     Mat
	to    Words
	scale []float32 // of the columns, or nil
}

// narrow returns a, its columns multiplied by scale unless that is nil, rounded to type elem. The result is
// valid until the next call.
func (e *Exec) narrow(elem Elem, a Mat, scale []float32) Words {
	n := elem.words(a.Cols)
	stride := ((n+15)/16 | 1) * 16 // an odd number of cache lines, as in NewBuffer
	to := Words{elem: elem, words: Mat{scratch(&e.narrowed.words, a.Rows*stride), a.Rows, n, stride}}
	if elem == I8 {
		if cap(e.narrowed.quant) < a.Rows {
			e.narrowed.quant = make([]quant, a.Rows)
		}
		to.quant = e.narrowed.quant[:a.Rows]
	}
	e.narrowTo(to, a, scale)
	return to
}

func (e *Exec) narrowTo(to Words, a Mat, scale []float32) {
	e.narrowing = narrowTask{a: a, to: to, scale: scale}
	e.pool.Run(chunks(a.Rows), &e.narrowing)
	e.narrowing = narrowTask{}
}

func (t *narrowTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.a.Rows, (i+1)*rowChunk); r++ {
		switch x := t.a.Row(r); {
		case t.scale == nil:
			t.to.setRow(r, x)
		case t.to.elem == F32:
			Mul(t.to.words.Row(r), x, t.scale)
		default:
			roundScaled(t.to.words.Row(r), x, t.scale)
		}
	}
}

// RoundBF16 sets dst to src rounded to bfloat16, two values per word: its rows have half as many columns.
// WidenBF16 is the inverse. Nothing is lost if src is used only as an operand of bfloat16 products.
func (e *Exec) RoundBF16(dst, src Mat) {
	check(dst.Rows == src.Rows && dst.Cols == BF16.words(src.Cols), "RoundBF16", dst, src, src.Cols, 0)
	e.narrowTo(Words{elem: BF16, words: dst}, src, nil)
}

// WidenBF16 sets dst to the values of src, which holds two bfloat16 per word.
func (e *Exec) WidenBF16(dst, src Mat) {
	check(dst.Rows == src.Rows && src.Cols == BF16.words(dst.Cols), "WidenBF16", dst, src, dst.Cols, 0)
	e.widening = widenTask{dst: dst, words: src}
	e.pool.Run(chunks(src.Rows), &e.widening)
	e.widening = widenTask{}
}

// widenTask does the work of WidenBF16, chunk by chunk.
type widenTask struct{ dst, words Mat }

func (t *widenTask) Do(_, i int) {
	for r := i * rowChunk; r < min(t.dst.Rows, (i+1)*rowChunk); r++ {
		widenRow(t.dst.Row(r), t.words.Row(r))
	}
}

func widenRow(dst, words []float32) {
	for i, w := range words[:len(dst)/2] {
		bits := math.Float32bits(w)
		pair := dst[2*i : 2*i+2]
		pair[0], pair[1] = math.Float32frombits(bits<<16), math.Float32frombits(bits&^0xffff)
	}
	if n := len(dst); n%2 == 1 {
		dst[n-1] = math.Float32frombits(math.Float32bits(words[n/2]) << 16)
	}
}

// roundScaled rounds x*scale to bfloat16, some elements at a time.
func roundScaled(dst, x, scale []float32) {
	var piece [512]float32
	for from := 0; from < len(x); from += len(piece) {
		p := piece[:min(len(piece), len(x)-from)]
		Mul(p, x[from:from+len(p)], scale[from:from+len(p)])
		roundRow(dst[from/2:], p)
	}
}

// roundRow rounds x to bfloat16, two values per word.
func roundRow(dst, x []float32) {
	n := len(x) &^ 15
	if n > 0 {
		asmNarrowBF16((*uint16)(unsafe.Pointer(&dst[0])), &x[0], n)
	}
	if n < len(x) {
		var from, to [16]float32
		copy(from[:], x[n:])
		asmNarrowBF16((*uint16)(unsafe.Pointer(&to[0])), &from[0], 16)
		copy(dst[n/2:], to[:])
	}
}

// roundRows rounds the rows of m to bfloat16, two a word.
func roundRows(dst, m Mat) {
	n := m.Cols &^ (current.lanes - 1)
	if n > 0 && m.Rows > 0 {
		o := gridOperands{n: n, rows: m.Rows}
		o.set(0, dst)
		o.set(1, m)
		asmGrid(gridBF16, &o)
	}
	for r := 0; n < m.Cols && r < m.Rows; r++ {
		roundRow(dst.Row(r)[n/2:BF16.words(m.Cols)], m.Row(r)[n:])
	}
}

// pairRows rounds pairs of rows of m to bfloat16 and interleaves them: word j of row i of dst holds m[2i][j]
// and m[2i+1][j]. A missing row counts as zeros.
func pairRows(dst, m Mat) {
	n, whole := m.Cols&^(current.lanes-1), m.Rows/2
	if n > 0 && whole > 0 {
		o := gridOperands{n: n, rows: whole}
		o.set(0, dst)
		o.p[1], o.ld[1] = &m.Data[0], 8*m.Stride
		o.p[2], o.ld[2] = &m.Data[m.Stride], 8*m.Stride
		asmGrid(gridPairBF16, &o)
	}
	for i := 0; i < whole && n < dst.Cols; i++ {
		pairEdge(dst.Row(i)[n:], m.Row(2 * i)[n:], m.Row(2*i + 1)[n:])
	}
	if whole < dst.Rows {
		pairEdge(dst.Row(whole), m.Row(2*whole), nil)
	}
}

// pairEdge is pairRows for two rows, or one, of any length.
func pairEdge(dst, a, b []float32) {
	for j := 0; j < len(dst); j += 16 {
		var x, y, z [16]float32
		copy(x[:], a[min(j, len(a)):])
		copy(y[:], b[min(j, len(b)):])
		asmPairBF16(&z[0], &x[0], &y[0], 16)
		copy(dst[j:], z[:])
	}
}

// quantizeRow quantizes x to unsigned bytes, four per word, over the range that includes all of x and 0.
func quantizeRow(dst, x []float32) quant {
	lo, hi := rangeRow(x)
	scale := (hi - lo) / current.mostLeft
	if scale == 0 {
		scale = 1
	}
	zero := float32(int32(-lo/scale + 0.5))
	bytesOf(dst, x, 1/scale, zero, current.mostLeft)
	return quant{zero, scale}
}

// rangeRow returns the minimum and the maximum of x and 0. The minimum is NaN if any value is not finite.
func rangeRow(x []float32) (lo, hi float32) {
	var least, most [16]float32
	n := len(x) &^ 15
	if n > 0 {
		asmRangeOf(&least[0], &most[0], &x[0], n)
		lo, hi = slices.Min(least[:]), slices.Max(most[:])
	}
	for _, v := range x[n:] {
		lo, hi = min(lo, v, 0*v), max(hi, v)
	}
	return lo, hi
}

// bytesOf sets the bytes of dst to round(x*factor + zero), clamped to [0, most].
func bytesOf(dst, x []float32, factor, zero, most float32) {
	n := len(x) &^ 15
	if n > 0 {
		asmQuantize((*uint8)(unsafe.Pointer(&dst[0])), &x[0], n, factor, zero, most)
	}
	if n < len(x) {
		var from, to [16]float32
		copy(from[:], x[n:])
		asmQuantize((*uint8)(unsafe.Pointer(&to[0])), &from[0], 16, factor, zero, most)
		copy(dst[n/4:], to[:4])
	}
}

// narrowWeight packs rows of a weight (one panel) as type e. For I8 it also sets scale and sum of each output.
func (w *Worker) narrowWeight(e Elem, panel []float32, rows Mat, scale, sum []float32) {
	n := e.words(rows.Cols)
	words := Mat{scratch(&w.y, rows.Rows*n), rows.Rows, n, n}
	for r := range rows.Rows {
		if e == BF16 {
			roundRow(words.Row(r), rows.Row(r))
			continue
		}
		scale[r] = rightScale(rows.Row(r))
		bytesOf(words.Row(r), rows.Row(r), 1/scale[r], signed, 255)
		flipSigns(words.Row(r), rows.Cols)
	}
	packTransposed(panel, current.panel(), words, nil)
	if e == I8 {
		w.sumColumns(sum, panel, n)
	}
}

// rightScale returns the scale of an int8 row of a weight: the smallest with which all values fit, and all sums
// that have a bound.
func rightScale(x []float32) float32 {
	lo, hi := rangeRow(x)
	scale := max(-lo, hi) / current.mostRight
	if current.mostSum > 0 && scale > 0 {
		const rounding = 8 * 0.5001 // rounding error of eight values, in units of the scale
		scale = max(scale, largestSum(x)/(current.mostSum-rounding))
	}
	if scale == 0 {
		return 1
	}
	return scale
}

// largestSum returns the largest sum of magnitudes of eight values that a micro-kernel adds up in int16. Of 16
// neighbours along k it adds up the first two, or the last two, of each four.
func largestSum(x []float32) (most float32) {
	var rest [16]float32
	for ; len(x) > 0; x = x[min(16, len(x)):] {
		s := x
		if len(s) < len(rest) {
			copy(rest[:], x)
			s = rest[:]
		}
		var low, high float32
		for i := 0; i < 16; i += 4 {
			low += magnitude(s[i]) + magnitude(s[i+1])
			high += magnitude(s[i+2]) + magnitude(s[i+3])
		}
		most = max(most, low, high)
	}
	return most
}

func magnitude(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// signed is the offset between signed and unsigned bytes.
const signed = 128

// flipSigns turns n unsigned bytes with zero point 128 into signed bytes, and sets the bytes after them to 0.
func flipSigns(words []float32, n int) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*len(words))
	w := unsafe.Slice((*uint32)(unsafe.Pointer(&words[0])), len(words))
	for i := range w {
		w[i] ^= 0x80808080
	}
	clear(b[n:])
}

// sumColumns sets sum to the column sums of a panel of signed bytes, as the product of a row of ones and the
// panel.
func (w *Worker) sumColumns(sum, panel []float32, words int) {
	ones := scratch(&w.b, words)
	u := unsafe.Slice((*uint32)(unsafe.Pointer(&ones[0])), words)
	for i := range u {
		u[i] = 0x01010101
	}
	var zeros, units [maxPanel]float32
	for i := range units {
		units[i] = 1
	}
	w.tile = tile{k: words / current.wordStep, a: &ones[0], csa: 4, b: &panel[0], ldb: 4 * current.panel(), c: &sum[0], alpha: 1,
		next: &panel[0], rowQuant: &quant{0, 1}, colSum: &zeros[0], colScale: &units[0]}
	current.micro[I8][0][1](&w.tile)
}

// packT packs a panel of the right-hand side pᵀ into dst: rows [n0, n1) and as many columns from k0 on as a
// panel has. The panel is float32 if p is. Otherwise it holds bfloat16 words (n, n+1), or float32 if the CPU
// has no bfloat16 products. For I8 it leaves out the scales of the outputs, and more receives the following
// panel.
func (p *Packed) packT(dst, more []float32, to Elem, n0, n1, k0 int) {
	nr, per := current.panel(), p.elem.perWord()
	row := (k0 / per) * nr
	whole := k0+current.lanes*per <= p.K
	for n := n0; n < n1; n += nr { // n0 is the first column of a panel
		panel := p.panel(n / nr)[row:]
		next := p.panel(min(n+nr, p.N-1) / nr)[row:]
		at := (n - n0) / to.perWord() * nr
		switch {
		case p.elem == F32:
			packTransposed(dst[at:], nr, Mat{Data: panel, Rows: min(nr, p.K-k0), Cols: nr, Stride: nr}, next)
		case whole && p.elem == BF16:
			asmTransposeBF16(&dst[at], 4*nr, &panel[0], 4*nr, nr, &next[0])
		case whole && to == BF16:
			asmTransposeI8(&dst[at], &more[at], 4*nr, &panel[0], 4*nr, nr, &next[0])
		case whole:
			asmTransposeI8F32(&dst[at], &more[at], 4*nr, &panel[0], 4*nr, nr, &next[0])
		default:
			p.packEdgeT(dst[at:], to, panel, k0, 0)
			if p.elem == I8 {
				p.packEdgeT(more[at:], to, panel, k0, nr)
			}
		}
	}
}

// packEdgeT packs one panel of packT if pᵀ may end within the columns from k0+skip on.
func (p *Packed) packEdgeT(dst []float32, to Elem, panel []float32, k0, skip int) {
	nr, per := current.panel(), p.elem.perWord()
	for n := range nr {
		for k := range nr {
			var x float32
			if kk := k + skip; k0+kk < p.K {
				x = p.number(panel[kk/per*nr+n], kk%per)
			}
			if to == F32 {
				dst[n*nr+k] = x
				continue
			}
			word := &dst[n/2*nr+k]
			bits := math.Float32bits(x) >> 16
			if n%2 == 1 {
				bits = math.Float32bits(*word) | bits<<16
			}
			*word = math.Float32frombits(bits)
		}
	}
}
