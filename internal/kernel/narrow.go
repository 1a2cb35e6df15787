package kernel

import (
	"slices"
	"unsafe"
)

// Narrow operands. Rows of bfloat16 or bytes are handled as rows of 32-bit words, each with two or four
// neighbours along k, in memory of type float32: so packing and tiles are the same for all element types.

// quant says what a byte q of a row stands for: (q - zero) * scale.
type quant = [2]float32

// narrowScratch is the part of a left-hand side that a worker narrowed last.
type narrowScratch struct {
	words []float32
	quant []quant
	run   uint64 // of the Exec
	row   int    // first row
}

// narrow returns rows a as words of type e, and their quantisation for I8. Items of one run that share rows
// narrow them once a worker.
func (w *Worker) narrow(e Elem, a Mat, run uint64, row int) Mat {
	n := e.words(a.Cols)
	stride := (n+15)/16*16 | 16 // whole cache lines, and an odd number of them
	s := &w.narrowed
	words := Mat{scratch(&s.words, a.Rows*stride), a.Rows, n, stride}
	if s.run == run && s.row == row {
		return words
	}
	s.run, s.row = run, row
	if cap(s.quant) < a.Rows {
		s.quant = make([]quant, a.Rows)
	}
	s.quant = s.quant[:a.Rows]
	for r := range a.Rows {
		if e == BF16 {
			roundRow(words.Row(r), a.Row(r))
		} else {
			s.quant[r] = quantizeRow(words.Row(r), a.Row(r))
		}
	}
	return words
}

// roundRow rounds x to bfloat16, two a word.
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

// quantizeRow turns x into unsigned bytes, four a word, over the range of x and 0.
func quantizeRow(dst, x []float32) quant {
	lo, hi := rangeRow(x)
	scale := (hi - lo) / 255
	if scale == 0 {
		scale = 1
	}
	zero := float32(int32(-lo/scale + 0.5))
	bytesOf(dst, x, 1/scale, zero)
	return quant{zero, scale}
}

// rangeRow returns the least and the greatest of x and 0; the least is NaN if any is not finite.
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

// bytesOf sets the bytes of dst to round(x*factor + zero).
func bytesOf(dst, x []float32, factor, zero float32) {
	n := len(x) &^ 15
	if n > 0 {
		asmQuantize((*uint8)(unsafe.Pointer(&dst[0])), &x[0], n, factor, zero)
	}
	if n < len(x) {
		var from, to [16]float32
		copy(from[:], x[n:])
		asmQuantize((*uint8)(unsafe.Pointer(&to[0])), &from[0], 16, factor, zero)
		copy(dst[n/4:], to[:4])
	}
}

// narrowWeight packs rows of a weight (one panel) as type e. scale and sum are those of its outputs, for I8.
func (w *Worker) narrowWeight(e Elem, panel []float32, rows Mat, scale, sum []float32) {
	n := e.words(rows.Cols)
	words := Mat{scratch(&w.y, rows.Rows*n), rows.Rows, n, n}
	for r := range rows.Rows {
		if e == BF16 {
			roundRow(words.Row(r), rows.Row(r))
			continue
		}
		lo, hi := rangeRow(rows.Row(r))
		scale[r] = max(-lo, hi) / 127
		if scale[r] == 0 {
			scale[r] = 1
		}
		bytesOf(words.Row(r), rows.Row(r), 1/scale[r], signed)
		flipSigns(words.Row(r), rows.Cols)
	}
	packTransposed(panel, current.panel(), words, nil)
	if e == I8 {
		w.sumColumns(sum, panel, n)
	}
}

// signed is what is added to a signed byte to make it unsigned.
const signed = 128

// flipSigns turns n unsigned bytes with the zero point 128 into signed ones; those after them become 0.
func flipSigns(words []float32, n int) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*len(words))
	w := unsafe.Slice((*uint32)(unsafe.Pointer(&words[0])), len(words))
	for i := range w {
		w[i] ^= 0x80808080
	}
	clear(b[n:])
}

// sumColumns sets sum to the sums of the columns of a panel of signed bytes: a row of ones times the panel.
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
	w.tile = tile{k: words, a: &ones[0], csa: 4, b: &panel[0], ldb: 4 * current.panel(), c: &sum[0], alpha: 1,
		next: &panel[0], rowQuant: &quant{0, 1}, colSum: &zeros[0], colScale: &units[0]}
	current.micro[I8][0][1](&w.tile)
}
