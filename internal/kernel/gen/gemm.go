package main

import "fmt"

// Offsets in the struct tile of package kernel.
const (
	tileK, tileA, tileRSA, tileCSA, tileB, tileLDB, tileC, tileLDC, tileAlpha, tileAcc, tileNext = 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80
	tileRowQuant, tileColSum, tileColScale, tileMore                                             = 88, 96, 104, 112
	tileSize                                                                                     = 120
)

// element is an element type of the operands of a product, and how the products are summed.
type element struct {
	name   string // after "micro"
	per    int    // elements of one row in 32 bits; k counts such words
	atOnce int    // words in one step over k
	dot    Op
	doc    string
}

var (
	float32s = element{"", 1, 1, VFMAS, "of float32"}
	bfloat16 = element{"BF", 2, 1, VDotBF16, "of bfloat16 pairs along k, summed in float32"}
	bytes8   = element{"U8", 4, 1, VDotU8S8, "of unsigned by signed bytes, four along k, summed in int32 and scaled"}
	// Without instructions that multiply bytes and sum in int32, four sums of two products are added in int16
	// before they are widened. There is no overflow if values of A are at most 127, and the magnitudes of the
	// eight values of B in one sum add up to at most 258.
	bytes7 = element{"U7", 4, 4, VMulU8S8, "of unsigned numbers of seven bits by signed bytes, sixteen along k a step, summed in int32 and scaled"}
)

// rows returns the height of the largest tile for the element type.
func (e element) rows(t *Target) int {
	if e.dot == VMulU8S8 {
		return t.Rows - 2 // more registers for intermediate results
	}
	return t.Rows
}

// micro returns the micro-kernel for a tile of rows x (cols vectors): C = alpha*A*B, or += with acc. A is read
// by broadcasting elements, B in vectors, and the tile stays in registers for all of k:
//
//	for each k: c[i][j] += a[i*rsa + k*csa] * b[k*ldb + j]
//
// With more above 0, which byte kernels ignore, that many tiles to the right follow. The columns of B of each begin where
// those of the previous tile end.
//
// Strides are arbitrary, so that one kernel serves A, its transpose, packed B and unpacked B. If elements are
// narrow, two or four neighbours along k lie in one 32-bit word, and k counts words. Seven-bit values are
// processed in steps of four words, and k counts steps.
func micro(t *Target, e element, rows, cols int) *Func {
	f := NewFunc(t, fmt.Sprintf("micro%s%dx%d", e.name, rows, cols),
		fmt.Sprintf("computes a tile of %d rows and %d columns %s.", rows, cols*t.Lanes, e.doc), Arg{"t", "*tile"})
	p := f.Arg("t")
	field := func(offset int) G {
		g := f.G()
		f.LoadG(g, At(p, offset))
		return g
	}
	a, csa, b, ldb, k := newRowAddr(f, field(tileA), field(tileRSA), rows), field(tileCSA), field(tileB), field(tileLDB), field(tileK)
	acc := f.Vs(rows * cols)
	if e.repeats() {
		f.Label("tile")
	}
	for _, v := range acc {
		f.Zero(v)
	}
	multiply, temps := e.step(f, a, b, ldb, acc, cols)
	stepB := ldb
	if e.atOnce > 1 {
		stepB = multipleOf(f, ldb, e.atOnce)
		csa = multipleOf(f, csa, e.atOnce)
	}
	step := func() {
		multiply()
		a.advance(f, csa)
		f.AddG(b, stepB)
	}
	next := field(tileNext)
	f.JumpLT(k, unrollK, "rest")
	f.Label("loop")
	for line := 0; line < e.atOnce*cols*t.Bytes(); line += 64 {
		f.Prefetch(At(next, line))
	}
	f.AddI(next, max(e.atOnce*cols*t.Bytes(), 64))
	for range unrollK {
		step()
	}
	f.AddI(k, -unrollK)
	f.JumpLT(k, unrollK, "rest")
	f.Jump("loop")
	f.Label("rest")
	f.JumpZ(k, "store")
	f.Label("one")
	step()
	f.SubJumpNZ(k, 1, "one")

	f.Label("store")
	f.FreeV(temps...)
	if !e.repeats() {
		f.FreeG(next)
		dequantize(f, p, b, acc, rows, cols)
		storeTile(f, p, b, ldb, acc, rows, cols, "end")
		f.Label("end")
		f.Ret()
		return f
	}
	storeTile(f, p, k, next, acc, rows, cols, "stored")
	f.Label("stored")
	f.LoadG(next, At(p, tileMore))
	f.JumpZ(next, "end")
	f.AddI(next, -1)
	f.StoreG(At(p, tileMore), next)
	f.LoadG(k, At(p, tileC))
	f.AddI(k, cols*t.Bytes())
	f.StoreG(At(p, tileC), k)
	a.rewind(f, At(p, tileA))
	f.LoadG(k, At(p, tileK))
	f.LoadG(next, At(p, tileNext))
	f.Jump("tile")
	f.Label("end")
	f.Ret()
	return f
}

// repeats says that a micro-kernel goes on with the next tiles.
func (e element) repeats() bool { return e.per < 4 }

// step returns what emits one step over k, and the registers that it uses.
func (e element) step(f *Func, a *rowAddr, b, ldb G, acc []V, cols int) (multiply func(), temps []V) {
	if e.dot == VMulU8S8 {
		return e.pairStep(f, a, b, ldb, acc, cols)
	}
	bs, s := f.Vs(cols), f.Vs(2)
	return func() {
		for j, v := range bs {
			f.Load(v, At(b, j*f.T.Bytes()))
		}
		for i := range len(acc) / cols {
			f.Scalar(s[i%2], a.at(i))
			for j, v := range bs {
				if e.dot == VFMAS {
					f.Op2(VFMAS, acc[i*cols+j], v, s[i%2])
				} else { // for bytes, the first operand is the unsigned one
					f.Op2(e.dot, acc[i*cols+j], s[i%2], v)
				}
			}
		}
	}, append(bs, s...)
}

// pairStep is step for seven-bit values. B is read from memory again for each row of A, except for the part for
// which there are registers. Loads would take as long as the products.
func (e element) pairStep(f *Func, a *rowAddr, b, ldb G, acc []V, cols int) (multiply func(), temps []V) {
	one, s, y, sums := f.NewConstBits(0x00010001), f.V(), f.V(), f.Vs(cols)
	held := f.Vs(min(len(f.freeV), e.atOnce*cols))
	rows := []Mem{At(b, 0), {Base: b, Index: ldb, Scale: 1}, {Base: b, Index: ldb, Scale: 2}, {Base: b, Index: multipleOf(f, ldb, 3), Scale: 1}}
	from := func(word, j int) Mem {
		m := rows[word]
		m.Disp = j * f.T.Bytes()
		return m
	}
	return func() {
		for h, v := range held {
			f.Load(v, from(h/cols, h%cols))
		}
		for i := range len(acc) / cols {
			at := a.at(i)
			for word := range e.atOnce {
				f.Scalar(s, at)
				at.Disp += 4
				for j, sum := range sums {
					x := y
					if word == 0 {
						x = sum
					}
					if h := word*cols + j; h < len(held) {
						f.Op2(VMulU8S8, x, s, held[h])
					} else {
						f.MulU8S8(x, s, from(word, j))
					}
					if word > 0 {
						f.Op2(VAddI16, sum, sum, x)
					}
				}
			}
			for j, sum := range sums {
				f.Op2(VPairsI16, sum, sum, one)
				f.Op2(VAddI, acc[i*cols+j], acc[i*cols+j], sum)
			}
		}
	}, append(append(sums, held...), one, s, y)
}

// multipleOf returns a new register with n times g.
func multipleOf(f *Func, g G, n int) G {
	m := f.G()
	f.MovG(m, g)
	for range n - 1 {
		f.AddG(m, g)
	}
	return m
}

// dequantize turns the int32 sums of a tile into acc = (acc - zero_i * sum_j) * scale_i * scale_j, where row i
// of A has a zero point and a scale, and column j of B a sum and a scale. tmp is a free register.
func dequantize(f *Func, p, tmp G, acc []V, rows, cols int) {
	t := f.T
	col, row := f.Vs(cols), f.V()
	columns := func(offset int) {
		f.LoadG(tmp, At(p, offset))
		for j, v := range col {
			f.Load(v, At(tmp, j*t.Bytes()))
		}
		f.LoadG(tmp, At(p, tileRowQuant))
	}
	columns(tileColSum)
	for i := range rows {
		f.Dup(row, At(tmp, 8*i))
		for j, v := range col {
			f.Op1(VFloat, acc[i*cols+j], acc[i*cols+j])
			f.Op2(VFMS, acc[i*cols+j], v, row)
		}
	}
	columns(tileColScale)
	for i := range rows {
		f.Dup(row, At(tmp, 8*i+4))
		for j, v := range col {
			f.Op2(VMul, acc[i*cols+j], acc[i*cols+j], v)
			f.Op2(VMul, acc[i*cols+j], acc[i*cols+j], row)
		}
	}
	f.FreeV(row)
	f.FreeV(col...)
}

// unrollK is the number of steps over k between two branches.
const unrollK = 4

// storeTile sets C = alpha*acc, or adds it if the field acc is 1, or sets C = acc if it is 2. It continues at the label end,
// which must follow. c and ldc are free registers.
func storeTile(f *Func, p, c, ldc G, acc []V, rows, cols int, end string) {
	t := f.T
	alpha, flag := f.V(), f.G()
	f.LoadG(c, At(p, tileC))
	f.LoadG(ldc, At(p, tileLDC))
	f.LoadG(flag, At(p, tileAcc))
	each := func(store func(m Mem, acc V)) {
		for i := range rows {
			for j := range cols {
				store(At(c, j*t.Bytes()), acc[i*cols+j])
			}
			f.AddG(c, ldc)
		}
	}
	f.JumpGE(flag, 2, "plain")
	f.Dup(alpha, At(p, tileAlpha))
	f.JumpZ(flag, "set")
	old := f.V()
	each(func(m Mem, acc V) {
		f.Load(old, m)
		f.Op2(VFMA, old, acc, alpha)
		f.Store(m, old)
	})
	f.Jump(end)
	f.Label("set")
	each(func(m Mem, acc V) {
		f.Op2(VMul, acc, acc, alpha)
		f.Store(m, acc)
	})
	f.Jump(end)
	f.Label("plain")
	each(f.Store)
	f.FreeV(alpha, old)
	f.FreeG(flag)
}

// rowAddr computes the addresses of up to 14 rows that are rsa bytes apart: one base per seven rows, and
// registers with multiples of rsa, as few as the target's addressing modes allow.
type rowAddr struct {
	bases     []G
	multiples [7]Mem // of row i within a base; Base is filled in
}

func newRowAddr(f *Func, a, rsa G, rows int) *rowAddr {
	r := &rowAddr{bases: []G{a}}
	times := map[int]G{1: rsa} // registers with multiples of rsa
	multiple := func(n int) G {
		if g, ok := times[n]; ok {
			return g
		}
		times[n] = multipleOf(f, rsa, n)
		return times[n]
	}
	for i := 0; i < min(rows, 7); i++ {
		m := Mem{Index: none}
		switch {
		case i == 0:
		case !f.T.Indexed:
			m.Index, m.Scale = multiple(i), 1
		case i == 2 || i == 4:
			m.Index, m.Scale = multiple(1), i
		case i == 6:
			m.Index, m.Scale = multiple(3), 2
		default:
			m.Index, m.Scale = multiple(i), 1
		}
		r.multiples[i] = m
	}
	if rows > 7 {
		g := f.G()
		f.MovG(g, a)
		for range 7 {
			f.AddG(g, rsa)
		}
		r.bases = append(r.bases, g)
	}
	return r
}

func (r *rowAddr) at(i int) Mem {
	m := r.multiples[i%7]
	m.Base = r.bases[i/7]
	return m
}

// rewind moves back to the beginning, which stands at m.
func (r *rowAddr) rewind(f *Func, m Mem) {
	a := r.bases[0]
	for _, b := range r.bases[1:] {
		f.SubG(b, a)
	}
	f.LoadG(a, m)
	for _, b := range r.bases[1:] {
		f.AddG(b, a)
	}
}

func (r *rowAddr) advance(f *Func, csa G) {
	for _, b := range r.bases {
		f.AddG(b, csa)
	}
}

// transpose returns the packing kernel: dst[k*ldd + i] = src[i*lds + k] for i in 0..lanes-1, k in 0..n-1, n a
// multiple of 4. Strides are in bytes. It prefetches as many bytes from next on as it reads.
func transpose(t *Target) *Func {
	f := NewFunc(t, "transpose", fmt.Sprintf("sets dst[k*ldd+i] = src[i*lds+k] for %d rows i and n (a multiple of 4) columns k; strides in bytes.\nMeanwhile it fetches as much from next on.", t.Lanes),
		Arg{"dst", "*float32"}, Arg{"ldd", "int"}, Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"next", "*float32"})
	dst, ldd, src, lds, n, next := f.Arg("dst"), f.Arg("ldd"), f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("next")
	row, v := f.G(), f.Vs(4)
	f.Label("loop")
	fetch(f, next)
	f.MovG(row, src)
	for part := range t.Lanes / 4 {
		for i := range 4 {
			f.Ins(v[i], part, At(row, 0))
			f.AddG(row, lds)
		}
	}
	for _, x := range transpose4(f, v) {
		f.Store(At(dst, 0), x)
		f.AddG(dst, ldd)
	}
	f.AddI(src, 16)
	f.SubJumpNZ(n, 4, "loop")
	f.Ret()
	return f
}

// peak returns the loop that measures peak speed: n rounds of multiply-adds on registers, as many at once as in
// the micro-kernel.
func peak(t *Target, e element) *Func {
	f := NewFunc(t, "peak"+e.name, fmt.Sprintf("runs n rounds of %d independent multiply-adds %s on registers.", 2*e.rows(t), e.doc), Arg{"n", "int"})
	n := f.Arg("n")
	a, b := f.NewConst(1), f.NewConst(0.5)
	acc := f.Vs(2 * e.rows(t))
	for _, v := range acc {
		f.Zero(v)
	}
	multiply := func(v V) { f.Op2(e.dot, v, a, b) }
	switch e.dot {
	case VFMAS:
		multiply = func(v V) { f.Op2(VFMA, v, a, b) }
	case VMulU8S8:
		x, y := f.V(), f.V()
		multiply = func(v V) {
			f.Op2(VMulU8S8, x, a, b)
			for range e.atOnce - 1 {
				f.Op2(VMulU8S8, y, a, b)
				f.Op2(VAddI16, x, x, y)
			}
			f.Op2(VPairsI16, x, x, b)
			f.Op2(VAddI, v, v, x)
		}
	}
	f.Label("loop")
	for _, v := range acc {
		multiply(v)
	}
	f.SubJumpNZ(n, 1, "loop")
	f.Ret()
	return f
}

// elements returns the element types for which a target has micro-kernels.
func elements(t *Target) []element {
	switch t.Name {
	case "avx512":
		return []element{float32s, bfloat16, bytes8}
	case "avx2":
		return []element{float32s, bytes7, bytes8} // the last with AVX-VNNI
	}
	return []element{float32s}
}

// gemmFuncs are the kernels of matrix products.
func gemmFuncs(t *Target) []*Func {
	fs := []*Func{transpose(t), timesZero(t), fetchRows(t)}
	for _, e := range elements(t) {
		for rows := 1; rows <= e.rows(t); rows++ {
			fs = append(fs, micro(t, e, rows, 1), micro(t, e, rows, 2))
		}
		fs = append(fs, peak(t, e))
	}
	for _, e := range elements(t) {
		switch e.name {
		case bfloat16.name:
			fs = append(fs, narrowBF16(t), pairBF16(t), transposeBF16(t), transposeI8(t))
		case bytes8.name:
			fs = append(fs, rangeOf(t), quantize(t), transposeI8F32(t))
		}
	}
	return fs
}
