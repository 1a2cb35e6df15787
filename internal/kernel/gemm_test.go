package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/kernel/ref"
	"melo.example/melo/internal/par"
)

// shapes of products [m, n, k]: around the tiles of every kernel set (4 to 14 rows, 4 to 32 columns), items of
// many rows and columns, blocks of k.
func shapes(t *testing.T) (s [][3]int) {
	for _, m := range []int{1, 2, 4, 5, 6, 7, 12, 13, 14, 15, 25, 30} {
		for _, n := range []int{1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 64, 70} {
			s = append(s, [3]int{m, n, 1 + (m*n)%9})
		}
	}
	if !testing.Short() {
		for m := 1; m <= 30; m++ {
			for n := 1; n <= 70; n++ {
				s = append(s, [3]int{m, n, 3 + 61*(m*n%2)})
			}
		}
	}
	return append(s, [3]int{0, 5, 3}, [3]int{3, 0, 4}, [3]int{3, 5, 0}, [3]int{2, 3, 1023}, [3]int{2, 33, 1024}, [3]int{3, 5, 1025},
		[3]int{1, 7, 2100}, [3]int{210, 3, 5}, [3]int{227, 130, 17}, [3]int{5, 290, 12}, [3]int{197, 64, 64})
}

// product checks c = alpha*a*b, plus prior if it has rows: see docs/numerics.md for the tolerance. Four roundings are
// those of the product's end.
func product(t *testing.T, what string, c kernel.Mat, prior kernel.Mat, a, b ref.Mat, alpha float64) {
	t.Helper()
	want, size := ref.Product(a, b)
	tol := (2*math.Sqrt(float64(a.Cols)) + 4) * u
	for i := range want.Rows {
		for j, got := range c.Row(i) {
			w, s := alpha*want.At(i, j), abs(alpha)*size.At(i, j)
			if prior.Rows > 0 {
				p := float64(prior.Row(i)[j])
				w, s = w+p, s+abs(p)
			}
			if !(abs(float64(got)-w) <= tol*s) {
				t.Fatalf("%s: element %d, %d is %v, want %v, %.3g u of the sum of absolute products", what, i, j, got, w, abs(float64(got)-w)/s/u)
			}
		}
	}
}

func sameMat(t *testing.T, what string, got, want kernel.Mat) {
	t.Helper()
	for r := range want.Rows {
		sameBits(t, fmt.Sprintf("%s, row %d", what, r), got.Row(r), want.Row(r))
	}
}

// withExec gives f an Exec for each kernel set.
func withExec(t *testing.T, f func(t *testing.T, ex *kernel.Exec)) {
	forEach(t, func(t *testing.T) {
		pool := par.New(2)
		defer pool.Close()
		f(t, kernel.NewExec(pool))
	})
}

// TestWorkerGemm: every combination of transposes, strides between rows, and adding.
func TestWorkerGemm(t *testing.T) {
	forEach(t, func(t *testing.T) {
		var w kernel.Worker
		rng := rand.New(rand.NewPCG(21, 22))
		for i, s := range shapes(t) {
			m, n, k := s[0], s[1], s[2]
			transA, transB, add, alpha := i&1 != 0, i&2 != 0, i&4 != 0, float32(1)
			if i%3 == 0 {
				alpha = -0.75
			}
			a, _ := matrix(rng, m, k, i%4)
			if transA {
				a, _ = matrix(rng, k, m, i%4)
			}
			b, _ := matrix(rng, k, n, i%3)
			if transB {
				b, _ = matrix(rng, n, k, i%3)
			}
			c, g := matrix(rng, m, n, 1+i%5)
			var prior kernel.Mat
			if add {
				prior = c.Clone()
			}
			w.Gemm(c, a, b, transA, transB, alpha, add)
			what := fmt.Sprintf("%v, transposed %v %v, add %v", s, transA, transB, add)
			checkMatrix(t, what, c, g)
			ra, rb := toRef(a), toRef(b)
			if transA {
				ra = ra.T()
			}
			if transB {
				rb = rb.T()
			}
			product(t, what, c, prior, ra, rb, float64(alpha))
		}
	})
}

// TestPackedProducts: Gemm, GemmPackedT and packing itself.
func TestPackedProducts(t *testing.T) {
	withExec(t, func(t *testing.T, ex *kernel.Exec) {
		rng := rand.New(rand.NewPCG(23, 24))
		for i, s := range shapes(t) {
			m, n, k := s[0], s[1], s[2]
			w, _ := matrix(rng, n, k, 0)
			p := kernel.Pack(ex, w.Data, n, k)
			back := make([]float32, n*k)
			p.Unpack(back)
			sameBits(t, "unpacked", back, w.Data)
			a, _ := matrix(rng, m, k, i%3)
			c, g := matrix(rng, m, n, 1+i%2)
			ex.Gemm(c, a, p, kernel.Epilogue{})
			checkMatrix(t, "Gemm", c, g)
			product(t, fmt.Sprintf("Gemm %v", s), c, kernel.Mat{}, toRef(a), toRef(w).T(), 1)

			d, g := matrix(rng, m, k, 1+i%2)
			prior := d.Clone()
			if i%2 == 0 {
				prior = kernel.Mat{}
			}
			ex.GemmPackedT(d, c, p, prior.Rows > 0)
			checkMatrix(t, "GemmPackedT", d, g)
			product(t, fmt.Sprintf("GemmPackedT %v", s), d, prior, toRef(c), toRef(w), 1)
		}
	})
}

// TestMatProducts: GemmMat and GemmTN.
func TestMatProducts(t *testing.T) {
	withExec(t, func(t *testing.T, ex *kernel.Exec) {
		rng := rand.New(rand.NewPCG(25, 26))
		for i, s := range shapes(t) {
			m, n, k := s[0], s[1], s[2]
			a, _ := matrix(rng, m, k, i%3)
			b, _ := matrix(rng, k, n, i%2)
			transB := i%2 == 0
			rb := toRef(b)
			if transB {
				b, _ = matrix(rng, n, k, 3)
				rb = toRef(b).T()
			}
			c, g := matrix(rng, m, n, 2)
			prior := c.Clone()
			if i%3 == 0 {
				prior = kernel.Mat{}
			}
			ex.GemmMat(c, a, b, transB, 0.5, prior.Rows > 0)
			checkMatrix(t, "GemmMat", c, g)
			product(t, fmt.Sprintf("GemmMat %v", s), c, prior, toRef(a), rb, 0.5)
			if k == 0 {
				continue
			}
			for _, each := range []int{k, 1} {
				x, _ := matrix(rng, k, m, i%3)
				y, _ := matrix(rng, k, n, i%2)
				prior = c.Clone()
				ex.GemmTN(c, x, y, each)
				checkMatrix(t, "GemmTN", c, g)
				product(t, fmt.Sprintf("GemmTN %v each %d", s, each), c, prior, toRef(x).T(), toRef(y), 1)
			}
		}
	})
}

// epilogues are the combinations that ViTs use, and those that have no kernel of their own.
type epilogueCase struct {
	bias, pre, scale, residual, inPlace bool
	act                                 kernel.Activation
}

func epilogueCases() (cases []epilogueCase) {
	for bits := range 16 {
		for act := kernel.Identity; act <= kernel.GELUQuick; act++ {
			c := epilogueCase{bias: bits&1 != 0, pre: bits&2 != 0, scale: bits&4 != 0, residual: bits&8 != 0, act: act}
			cases = append(cases, c)
			if c.residual {
				c.inPlace = true
				cases = append(cases, c)
			}
		}
	}
	return cases
}

func value(act kernel.Activation, x float64) float64 {
	for _, a := range activations {
		if a.act == act {
			return a.value(x)
		}
	}
	panic("no such activation")
}

// TestEpilogue compares every combination with its meaning, and with itself row by row and for other numbers
// of workers, to the bit.
func TestEpilogue(t *testing.T) {
	forEach(t, func(t *testing.T) {
		sizes := [][3]int{{3, 5, 7}, {17, 70, 12}}
		if !testing.Short() {
			sizes = append(sizes, [3]int{1, 64, 3}, [3]int{29, 150, 40})
		}
		for i, e := range epilogueCases() {
			for _, s := range sizes {
				t.Run(fmt.Sprintf("%+v/%v", e, s), func(t *testing.T) { checkEpilogue(t, e, s, uint64(i)) })
			}
		}
	})
}

func checkEpilogue(t *testing.T, e epilogueCase, s [3]int, seed uint64) {
	m, n, k := s[0], s[1], s[2]
	rng := rand.New(rand.NewPCG(seed, 27))
	a, _ := matrix(rng, m, k, 1)
	w, _ := matrix(rng, n, k, 0)
	vector := func() []float32 { v, _ := matrix(rng, 1, n, 0); return v.Data }
	bias, scale := vector(), vector()
	residual, _ := matrix(rng, m, n, 3)
	var first, firstPre kernel.Mat
	for _, workers := range []int{1, 3, 16} {
		pool := par.New(workers)
		ex := kernel.NewExec(pool)
		p := kernel.Pack(ex, w.Data, n, k)
		c, g := matrix(rng, m, n, 2)
		pre, gp := matrix(rng, m, n, 1)
		ep := kernel.Epilogue{Act: e.act}
		if e.bias {
			ep.Bias = bias
		}
		if e.pre {
			ep.Pre = pre
		}
		if e.scale {
			ep.Scale = scale
		}
		if e.residual {
			ep.Residual = residual
		}
		if e.inPlace {
			for r := range m {
				copy(c.Row(r), residual.Row(r))
			}
			ep.Residual = c
		}
		ex.Gemm(c, a, p, ep)
		checkMatrix(t, "c", c, g)
		checkMatrix(t, "pre", pre, gp)
		if workers == 1 {
			first, firstPre = c, pre
			epilogueMeaning(t, e, c, pre, a, w, bias, scale, residual)
			if !e.inPlace {
				rowsAlone(t, ex, p, ep, c, a)
			}
			pool.Close()
			continue
		}
		sameMat(t, "with three workers", c, first)
		if e.pre {
			sameMat(t, "pre with three workers", pre, firstPre)
		}
		pool.Close()
	}
}

func epilogueMeaning(t *testing.T, e epilogueCase, c, pre, a, w kernel.Mat, bias, scale []float32, residual kernel.Mat) {
	t.Helper()
	y, size := ref.Product(toRef(a), toRef(w).T())
	// The slope of an activation is at most 1.13, its own error small beside that of the product.
	tol := (2*math.Sqrt(float64(a.Cols)) + 8) * u * 1.13
	for r := range c.Rows {
		for j, got := range c.Row(r) {
			want, s := y.At(r, j), size.At(r, j)
			if e.bias {
				want, s = want+float64(bias[j]), s+abs(float64(bias[j]))
			}
			if e.pre && !(abs(float64(pre.Row(r)[j])-want) <= tol*s) {
				t.Fatalf("pre %d, %d is %v, want %v", r, j, pre.Row(r)[j], want)
			}
			want = value(e.act, want)
			if e.scale {
				want, s = want*float64(scale[j]), s*abs(float64(scale[j]))
			}
			if e.residual {
				want, s = want+float64(residual.Row(r)[j]), s+abs(float64(residual.Row(r)[j]))
			}
			if !(abs(float64(got)-want) <= tol*s) {
				t.Fatalf("element %d, %d is %v, want %v", r, j, got, want)
			}
		}
	}
}

// rowsAlone computes each row by itself, and blocks of seven.
func rowsAlone(t *testing.T, ex *kernel.Exec, p *kernel.Packed, ep kernel.Epilogue, c, a kernel.Mat) {
	t.Helper()
	part := kernel.NewMat(c.Rows, c.Cols)
	for _, each := range []int{1, 7} {
		for r0 := 0; r0 < c.Rows; r0 += each {
			r1 := min(r0+each, c.Rows)
			some := ep
			if ep.Pre.Data != nil {
				some.Pre = kernel.NewMat(r1-r0, c.Cols)
			}
			if ep.Residual.Data != nil {
				some.Residual = ep.Residual.RowRange(r0, r1)
			}
			ex.Gemm(part.RowRange(r0, r1), a.RowRange(r0, r1), p, some)
		}
		sameMat(t, fmt.Sprintf("%d rows at a time", each), part, c)
	}
}

// TestProductsBySplit: how rows are grouped and how many work never shows in a product.
func TestProductsBySplit(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(29, 30))
		const m, n, k = 37, 75, 1100
		a, _ := matrix(rng, m, k, 1)
		w, _ := matrix(rng, n, k, 0)
		at, _ := matrix(rng, 6*m, n, 2)
		var first []kernel.Mat
		for _, workers := range []int{1, 2, 5} {
			pool := par.New(workers)
			ex := kernel.NewExec(pool)
			p := kernel.Pack(ex, w.Data, n, k)
			all := []kernel.Mat{kernel.NewMat(m, n), kernel.NewMat(m, k), kernel.NewMat(m, n), kernel.NewMat(n, n)}
			ex.Gemm(all[0], a, p, kernel.Epilogue{})
			ex.GemmPackedT(all[1], all[0], p, false)
			ex.GemmMat(all[2], a, w, true, 1, false)
			ex.GemmTN(all[3], at, at, m)
			if first == nil {
				first = all
				splitRows(t, ex, p, w, a, all)
			}
			for i := range all {
				sameMat(t, fmt.Sprintf("product %d with %d workers", i, workers), all[i], first[i])
			}
			pool.Close()
		}
	})
}

func splitRows(t *testing.T, ex *kernel.Exec, p *kernel.Packed, w, a kernel.Mat, all []kernel.Mat) {
	for _, each := range []int{1, 3, 16} {
		for r0 := 0; r0 < a.Rows; r0 += each {
			r1 := min(r0+each, a.Rows)
			c, d, e := kernel.NewMat(r1-r0, p.N), kernel.NewMat(r1-r0, p.K), kernel.NewMat(r1-r0, p.N)
			ex.Gemm(c, a.RowRange(r0, r1), p, kernel.Epilogue{})
			ex.GemmPackedT(d, c, p, false)
			ex.GemmMat(e, a.RowRange(r0, r1), w, true, 1, false)
			sameMat(t, "Gemm of some rows", c, all[0].RowRange(r0, r1))
			sameMat(t, "GemmPackedT of some rows", d, all[1].RowRange(r0, r1))
			sameMat(t, "GemmMat of some rows", e, all[2].RowRange(r0, r1))
		}
	}
}
