package main

import "fmt"

// Offsets in the struct tile of package kernel.
const (
	tileK, tileA, tileRSA, tileCSA, tileB, tileLDB, tileC, tileLDC, tileAlpha, tileAcc, tileNext = 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80
)

// micro returns the micro-kernel for a tile of rows x (cols vectors): C = alpha*A*B, or += with acc. A
// broadcasts its elements, B is read in vectors, the tile stays in registers for all of k:
//
//	for each k: c[i][j] += a[i*rsa + k*csa] * b[k*ldb + j]
//
// Any strides are possible, so one kernel serves A, its transpose, packed B and B as it lies.
func micro(t *Target, rows, cols int) *Func {
	f := NewFunc(t, fmt.Sprintf("micro%dx%d", rows, cols),
		fmt.Sprintf("computes a tile of %d rows and %d columns.", rows, cols*t.Lanes), Arg{"t", "*tile"})
	p := f.Arg("t")
	field := func(offset int) G {
		g := f.G()
		f.LoadG(g, At(p, offset))
		return g
	}
	a, csa, b, ldb, k := newRowAddr(f, field(tileA), field(tileRSA), rows), field(tileCSA), field(tileB), field(tileLDB), field(tileK)
	bs, s := f.Vs(cols), f.Vs(2)
	acc := f.Vs(rows * cols)
	for _, v := range acc {
		f.Zero(v)
	}
	step := func() {
		for j, v := range bs {
			f.Load(v, At(b, j*t.Bytes()))
		}
		for i := range rows {
			f.Scalar(s[i%2], a.at(i))
			for j, v := range bs {
				f.Op2(VFMAS, acc[i*cols+j], v, s[i%2])
			}
		}
		a.advance(f, csa)
		f.AddG(b, ldb)
	}
	next := field(tileNext)
	f.JumpLT(k, unrollK, "rest")
	f.Label("loop")
	for line := 0; line < cols*t.Bytes(); line += 64 {
		f.Prefetch(At(next, line))
	}
	f.AddI(next, max(cols*t.Bytes(), 64))
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
	f.FreeG(next)
	f.FreeV(s...)
	f.FreeV(bs...)
	storeTile(f, p, b, ldb, acc, rows, cols)
	return f
}

// unrollK is the number of steps over k between two branches.
const unrollK = 4

// storeTile ends a micro-kernel: C = alpha*acc, plus C if acc is set. c and ldc are registers that are free.
func storeTile(f *Func, p, c, ldc G, acc []V, rows, cols int) {
	t := f.T
	alpha, flag := f.V(), f.G()
	f.LoadG(c, At(p, tileC))
	f.LoadG(ldc, At(p, tileLDC))
	f.LoadG(flag, At(p, tileAcc))
	f.Dup(alpha, At(p, tileAlpha))
	f.JumpZ(flag, "set")
	old := f.V()
	for i := range rows {
		for j := range cols {
			f.Load(old, At(c, j*t.Bytes()))
			f.Op2(VFMA, old, acc[i*cols+j], alpha)
			f.Store(At(c, j*t.Bytes()), old)
		}
		f.AddG(c, ldc)
	}
	f.Ret()
	f.Label("set")
	for i := range rows {
		for j := range cols {
			f.Op2(VMul, acc[i*cols+j], acc[i*cols+j], alpha)
			f.Store(At(c, j*t.Bytes()), acc[i*cols+j])
		}
		f.AddG(c, ldc)
	}
	f.Ret()
}

// rowAddr gives the addresses of up to 14 rows that lie rsa bytes apart: a base for each seven rows, and
// registers with multiples of rsa, as few as the target's addressing allows.
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
		g := f.G()
		f.MovG(g, rsa)
		for range n - 1 {
			f.AddG(g, rsa)
		}
		times[n] = g
		return g
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

func (r *rowAddr) advance(f *Func, csa G) {
	for _, b := range r.bases {
		f.AddG(b, csa)
	}
}

// transpose returns the packing kernel: dst[k*ldd + i] = src[i*lds + k] for i in 0..lanes-1, k in 0..n-1,
// n a multiple of 4. Strides are in bytes. As many bytes as it reads are fetched from next on.
func transpose(t *Target) *Func {
	f := NewFunc(t, "transpose", fmt.Sprintf("sets dst[k*ldd+i] = src[i*lds+k] for %d rows i and n (a multiple of 4) columns k; strides in bytes.\nMeanwhile it fetches as much from next on.", t.Lanes),
		Arg{"dst", "*float32"}, Arg{"ldd", "int"}, Arg{"src", "*float32"}, Arg{"lds", "int"}, Arg{"n", "int"}, Arg{"next", "*float32"})
	dst, ldd, src, lds, n, next := f.Arg("dst"), f.Arg("ldd"), f.Arg("src"), f.Arg("lds"), f.Arg("n"), f.Arg("next")
	row := f.G()
	v, w := f.Vs(4), f.Vs(4)
	f.Label("loop")
	f.MovG(row, src)
	for line := 0; line < 4*t.Bytes(); line += 64 {
		f.Prefetch(At(next, line))
	}
	f.AddI(next, 4*t.Bytes())
	for part := range t.Lanes / 4 {
		for i := range 4 {
			f.Ins(v[i], part, At(row, 0))
			f.AddG(row, lds)
		}
	}
	f.Op2(VZipLo, w[0], v[0], v[1])
	f.Op2(VZipHi, w[1], v[0], v[1])
	f.Op2(VZipLo, w[2], v[2], v[3])
	f.Op2(VZipHi, w[3], v[2], v[3])
	f.Op2(VZipLo64, v[0], w[0], w[2])
	f.Op2(VZipHi64, v[1], w[0], w[2])
	f.Op2(VZipLo64, v[2], w[1], w[3])
	f.Op2(VZipHi64, v[3], w[1], w[3])
	for i := range 4 {
		f.Store(At(dst, 0), v[i])
		f.AddG(dst, ldd)
	}
	f.AddI(src, 16)
	f.SubJumpNZ(n, 4, "loop")
	f.Ret()
	return f
}

// peak returns the loop that measures the machine: n rounds of multiply-adds on registers alone, as many
// at once as the micro-kernel has.
func peak(t *Target) *Func {
	f := NewFunc(t, "peak", fmt.Sprintf("runs n rounds of %d independent multiply-adds on registers.", 2*t.Rows), Arg{"n", "int"})
	n := f.Arg("n")
	a, b := f.NewConst(1), f.NewConst(0.5)
	acc := f.Vs(2 * t.Rows)
	for _, v := range acc {
		f.Zero(v)
	}
	f.Label("loop")
	for _, v := range acc {
		f.Op2(VFMA, v, a, b)
	}
	f.SubJumpNZ(n, 1, "loop")
	f.Ret()
	return f
}

// gemmFuncs are the kernels of matrix products.
func gemmFuncs(t *Target) []*Func {
	var fs []*Func
	for rows := 1; rows <= t.Rows; rows++ {
		fs = append(fs, micro(t, rows, 1), micro(t, rows, 2))
	}
	return append(fs, transpose(t), peak(t))
}
