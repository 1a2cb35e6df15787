package main

import "fmt"

// Kernels that make the narrow left-hand sides of matrix products.

// narrowBF16 returns the kernel that rounds n (a multiple of the lanes) numbers to bfloat16.
func narrowBF16(t *Target) *Func {
	f := NewFunc(t, "narrowBF16", "sets dst = bfloat16 of src for n numbers, a multiple of the lanes.",
		Arg{"dst", "*uint16"}, Arg{"src", "*float32"}, Arg{"n", "int"})
	dst, src, n, v := f.Arg("dst"), f.Arg("src"), f.Arg("n"), f.V()
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.StoreBF16(At(dst, 0), v)
	f.AddI(src, t.Bytes())
	f.AddI(dst, t.Bytes()/2)
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Ret()
	return f
}

// pairBF16 returns the kernel that rounds two rows to bfloat16 and interleaves them.
func pairBF16(t *Target) *Func {
	f := NewFunc(t, "pairBF16", "sets word i of dst to the bfloat16 (a[i], b[i]) for n numbers, a multiple of the lanes.",
		Arg{"dst", "*float32"}, Arg{"a", "*float32"}, Arg{"b", "*float32"}, Arg{"n", "int"})
	dst, a, b, n := f.Arg("dst"), f.Arg("a"), f.Arg("b"), f.Arg("n")
	x, y := f.V(), f.V()
	f.Label("loop")
	f.Load(x, At(a, 0))
	f.Load(y, At(b, 0))
	f.Op1(VRoundBF16, x, x)
	f.Op1(VRoundBF16, y, y)
	f.Shift(VShl, y, y, 16)
	f.Op2(VOr, x, x, y)
	f.Store(At(dst, 0), x)
	for _, p := range []G{dst, a, b} {
		f.AddI(p, t.Bytes())
	}
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Ret()
	return f
}

// timesZero returns the kernel that looks for numbers that are not finite.
func timesZero(t *Target) *Func {
	f := NewFunc(t, "timesZero", "stores at out, a vector, sums of 0*src: NaN in a lane that has a number that is not finite, else 0. n is a\nmultiple of four vectors.",
		Arg{"out", "*float32"}, Arg{"src", "*float32"}, Arg{"n", "int"})
	out, src, n := f.Arg("out"), f.Arg("src"), f.Arg("n")
	zero, acc, v := f.V(), f.Vs(4), f.Vs(4)
	for _, r := range append([]V{zero}, acc...) {
		f.Zero(r)
	}
	f.Label("loop")
	for i := range acc {
		f.Load(v[i], At(src, i*t.Bytes()))
		f.Op2(VFMA, acc[i], v[i], zero)
	}
	f.AddI(src, 4*t.Bytes())
	f.SubJumpNZ(n, 4*t.Lanes, "loop")
	for i := 1; i < 4; i++ {
		f.Op2(VAdd, acc[0], acc[0], acc[i])
	}
	f.Store(At(out, 0), acc[0])
	f.Ret()
	return f
}

// rangeOf returns the kernel that finds the least and the greatest of n numbers and 0, lane by lane.
func rangeOf(t *Target) *Func {
	f := NewFunc(t, "rangeOf", "stores the least and the greatest of src and 0, of each lane of a vector, at least and most; in a lane with\na number that is not finite, the least is NaN.",
		Arg{"least", "*float32"}, Arg{"most", "*float32"}, Arg{"src", "*float32"}, Arg{"n", "int"})
	least, most, src, n := f.Arg("least"), f.Arg("most"), f.Arg("src"), f.Arg("n")
	lo, hi, v := f.V(), f.V(), f.V()
	zero, odd := f.V(), f.V() // odd stays 0 until a number that is not finite comes
	for _, r := range []V{lo, hi, zero, odd} {
		f.Zero(r)
	}
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.Op2(VMin, lo, lo, v)
	f.Op2(VMax, hi, hi, v)
	f.Op2(VFMA, odd, v, zero)
	f.AddI(src, t.Bytes())
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Op2(VAdd, lo, lo, odd)
	f.Store(At(least, 0), lo)
	f.Store(At(most, 0), hi)
	f.Ret()
	return f
}

// quantize returns the kernel that sets dst = round(src*factor + zero) as unsigned bytes.
func quantize(t *Target) *Func {
	f := NewFunc(t, "quantize", "sets dst = round(src*factor + zero), between 0 and most, for n numbers, a multiple of the lanes.",
		Arg{"dst", "*uint8"}, Arg{"src", "*float32"}, Arg{"n", "int"}, Arg{"factor", "float32"}, Arg{"zero", "float32"}, Arg{"most", "float32"})
	dst, src, n := f.Arg("dst"), f.Arg("src"), f.Arg("n")
	factor, zero, v, spare := f.V(), f.V(), f.V(), f.V()
	f.Dup(factor, f.ArgAddr("factor"))
	f.Dup(zero, f.ArgAddr("zero"))
	low, high := f.V(), f.V()
	f.Zero(low)
	f.Dup(high, f.ArgAddr("most"))
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.Op2(VMul, v, v, factor)
	f.Op2(VAdd, v, v, zero)
	f.Op2(VMax, v, low, v)
	f.Op2(VMin, v, high, v)
	f.Op1(VRoundI, v, v)
	f.StoreU8(At(dst, 0), v, spare)
	f.AddI(src, t.Bytes())
	f.AddI(dst, t.Lanes)
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Ret()
	return f
}

// transposeBF16 returns the packing kernel for the transpose of a packed bfloat16 weight. src has a row for
// each pair of k, with a word (k, k+1) for each of n columns; dst gets a row for each pair of columns, with a
// word (n, n+1) for each of the k of as many pairs as a vector has lanes: two vectors.
func transposeBF16(t *Target) *Func {
	f := NewFunc(t, "transposeBF16", "sets word k of row n/2 of dst to the bfloat16 (n, n+1) of column k, from words (k, k+1) of\nrow k/2 of src, for 32 values of k and n (a multiple of 4) columns; strides in bytes.\nMeanwhile it fetches as much from next on.",
		Arg{"dst", "*float32"}, Arg{"ldd", "int"}, Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"next", "*float32"})
	dst, ldd, src, lds, n, next := f.Arg("dst"), f.Arg("ldd"), f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("next")
	// Zips work within 128-bit parts, so rows are loaded in the order in which the result comes out right:
	// part g has rows 2g, 2g+1 and 8+2g, 8+2g+1.
	far := f.G() // 8 rows
	f.MovG(far, lds)
	f.ShlG(far, 3)
	low := f.NewConstBits(0xffff)
	high := f.NewConstBits(0xffff0000)
	v := f.Vs(4)
	f.Label("loop")
	fetch(f, next)
	near, beyond := f.G(), f.G()
	f.MovG(near, src)
	f.MovG(beyond, src)
	f.AddG(beyond, far)
	for part := range t.Lanes / 4 {
		for i, m := range []Mem{At(near, 0), {Base: near, Index: lds}, At(beyond, 0), {Base: beyond, Index: lds}} {
			f.Ins(v[i], part, m)
		}
		for range 2 {
			f.AddG(near, lds)
			f.AddG(beyond, lds)
		}
	}
	w := transpose4(f, v)
	a, b, even, odd := f.V(), f.V(), f.V(), f.V()
	for i := 0; i < 4; i += 2 {
		f.Op2(VAnd, even, w[i], low)
		f.Shift(VShl, a, w[i+1], 16)
		f.Op2(VOr, even, even, a)
		f.Shift(VShr, odd, w[i], 16)
		f.Op2(VAnd, b, w[i+1], high)
		f.Op2(VOr, odd, odd, b)
		f.Op2(VZipLo, a, even, odd)
		f.Op2(VZipHi, b, even, odd)
		f.Store(At(dst, 0), a)
		f.Store(At(dst, t.Bytes()), b)
		f.AddG(dst, ldd)
	}
	f.AddI(src, 16)
	f.SubJumpNZ(n, 4, "loop")
	f.Ret()
	return f
}

// transposeI8 returns the packing kernel for the transpose of a packed weight of bytes, as bfloat16 without
// the scales. src has a row for each four of k; dst and more get the rows of two panels.
func transposeI8(t *Target) *Func {
	f := NewFunc(t, "transposeI8", "sets word k of row n/2 of dst to the bfloat16 (n, n+1) of column k, from words (k..k+3) of signed\nbytes of row k/4 of src, for 32 values of k and n (a multiple of 4) columns, and of more for the 32 after\nthem; strides in bytes. Meanwhile it fetches as much from next on.",
		Arg{"dst", "*float32"}, Arg{"more", "*float32"}, Arg{"ldd", "int"}, Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"next", "*float32"})
	dst, more, ldd, src, lds, n, next := f.Arg("dst"), f.Arg("more"), f.Arg("ldd"), f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("next")
	high := f.NewConstBits(0xffff0000)
	v := f.Vs(4)
	f.Label("loop")
	fetch(f, next)
	w := loadSpread(f, v, src, lds)
	pairs := f.Vs(4) // of byte 0, 1, 2, 3 of the words
	a := f.V()
	for i := 0; i < 4; i += 2 {
		for b := range 4 {
			widenByte(f, pairs[b], w[i], b)
			f.Shift(VShr, pairs[b], pairs[b], 16)
			widenByte(f, a, w[i+1], b)
			f.Op2(VAnd, a, a, high)
			f.Op2(VOr, pairs[b], pairs[b], a)
		}
		storeFour(f, transpose4(f, pairs), dst, more)
		f.AddG(dst, ldd)
		f.AddG(more, ldd)
	}
	f.AddI(src, 16)
	f.SubJumpNZ(n, 4, "loop")
	f.Ret()
	return f
}

// transposeI8F32 is transposeI8 to float32: dst and more get a row for each of n columns, with as many values
// of k as two vectors have.
func transposeI8F32(t *Target) *Func {
	f := NewFunc(t, "transposeI8F32", fmt.Sprintf("sets number k of row n of dst to that of column k, from words (k..k+3) of signed bytes of row\nk/4 of src, for %[1]d values of k and n (a multiple of 4) columns, and of more for the %[1]d after them;\nstrides in bytes. Meanwhile it fetches as much from next on.", 2*t.Lanes),
		Arg{"dst", "*float32"}, Arg{"more", "*float32"}, Arg{"ldd", "int"}, Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"next", "*float32"})
	dst, more, ldd, src, lds, n, next := f.Arg("dst"), f.Arg("more"), f.Arg("ldd"), f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("next")
	v := f.Vs(4)
	f.Label("loop")
	fetch(f, next)
	columns := loadSpread(f, v, src, lds)
	bytes := f.Vs(4)
	for _, column := range columns {
		for b, x := range bytes {
			widenByte(f, x, column, b)
		}
		storeFour(f, transpose4(f, bytes), dst, more)
		f.AddG(dst, ldd)
		f.AddG(more, ldd)
	}
	f.AddI(src, 16)
	f.SubJumpNZ(n, 4, "loop")
	f.Ret()
	return f
}

// loadSpread loads four columns of as many rows as a vector has lanes and transposes them. Row P*i+g, where P
// is the number of parts, comes to place i of part g, so that a second transpose4 of the bytes of a column
// leaves them in order.
func loadSpread(f *Func, v []V, src, lds G) []V {
	row := f.G()
	f.MovG(row, src)
	for i := range 4 {
		for part := range f.T.Lanes / 4 {
			f.Ins(v[i], part, At(row, 0))
			f.AddG(row, lds)
		}
	}
	f.FreeG(row)
	return transpose4(f, v)
}

// storeFour stores four vectors, two at dst and two at more.
func storeFour(f *Func, v []V, dst, more G) {
	for j, x := range v {
		f.Store(At([]G{dst, more}[j/2], j%2*f.T.Bytes()), x)
	}
}

// widenByte sets v to the float32 of signed byte b of each word of a.
func widenByte(f *Func, v, a V, b int) {
	if b < 3 {
		f.Shift(VShl, v, a, 24-8*b)
		a = v
	}
	f.Shift(VSar, v, a, 24)
	f.Op1(VFloat, v, v)
}

// fetchRows returns the kernel that fetches ahead.
func fetchRows(t *Target) *Func {
	f := NewFunc(t, "fetchRows", "fetches n cache lines of each of some rows, both positive, that lie lds bytes apart, into the second-level cache.",
		Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"rows", "int"})
	src, lds, n, rows, at, left := f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("rows"), f.G(), f.G()
	f.Label("row")
	f.MovG(at, src)
	f.MovG(left, n)
	f.Label("line")
	f.Prefetch(At(at, 0))
	f.AddI(at, 64)
	f.SubJumpNZ(left, 1, "line")
	f.AddG(src, lds)
	f.SubJumpNZ(rows, 1, "row")
	f.Ret()
	return f
}

// fetch reads ahead what one step of a transposing kernel takes in, and moves next on.
func fetch(f *Func, next G) {
	for line := 0; line < 4*f.T.Bytes(); line += 64 {
		f.Prefetch(At(next, line))
	}
	f.AddI(next, 4*f.T.Bytes())
}

// transpose4 transposes 4 x 4 words in each 128-bit part of v. It returns v.
func transpose4(f *Func, v []V) []V {
	w := f.Vs(4)
	f.Op2(VZipLo, w[0], v[0], v[1])
	f.Op2(VZipHi, w[1], v[0], v[1])
	f.Op2(VZipLo, w[2], v[2], v[3])
	f.Op2(VZipHi, w[3], v[2], v[3])
	f.Op2(VZipLo64, v[0], w[0], w[2])
	f.Op2(VZipHi64, v[1], w[0], w[2])
	f.Op2(VZipLo64, v[2], w[1], w[3])
	f.Op2(VZipHi64, v[3], w[1], w[3])
	f.FreeV(w...)
	return v
}
