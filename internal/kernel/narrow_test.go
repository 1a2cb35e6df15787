package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/internal/par"
)

// narrowElems calls f for each narrow element type of each kernel set of this machine.
func narrowElems(t *testing.T, f func(t *testing.T, e Elem)) {
	before := Name()
	t.Cleanup(func() { Use(before) })
	for _, name := range Names() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		for e := BF16; e < elems; e++ {
			if Has(e) {
				t.Run(fmt.Sprintf("%s/%v", name, e), func(t *testing.T) { f(t, e) })
			}
		}
	}
}

func normalMat(rng *rand.Rand, rows, cols int) Mat {
	m := NewBuffer(rows, cols)
	for r := range rows {
		for c := range cols {
			m.Row(r)[c] = float32(rng.NormFloat64())
		}
	}
	return m
}

// rounded returns what the kernels make of a left-hand side, as plain numbers.
func rounded(e Elem, a Mat) Mat {
	out := a.Clone()
	for r := range a.Rows {
		row := out.Row(r)
		lo, hi := min(slices.Min(row), 0), max(slices.Max(row), 0)
		scale := (hi - lo) / current.mostLeft
		if scale == 0 {
			scale = 1
		}
		factor, zero := 1/scale, float32(int32(-lo/scale+0.5))
		for c, v := range row {
			if e == BF16 {
				bits := math.Float32bits(v)
				row[c] = math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
				continue
			}
			q := float32(math.RoundToEven(float64(min(max(v*factor+zero, 0), current.mostLeft))))
			row[c] = (q - zero) * scale
		}
	}
	return out
}

// TestNarrowProducts: a product of narrow elements is the product of the rounded numbers. The rounding of
// operands is the definition; what is left is that of the sum, a few units of float32.
func TestNarrowProducts(t *testing.T) {
	pool := par.New(3)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		for _, s := range [][3]int{{1, 1, 1}, {3, 5, 2}, {13, 33, 16}, {15, 31, 17}, {28, 64, 48}, {30, 65, 63}, {230, 150, 588}, {9, 40, 2500}} {
			m, n, k := s[0], s[1], s[2]
			rng := rand.New(rand.NewPCG(uint64(m), uint64(k)))
			a, w := normalMat(rng, m, k), normalMat(rng, n, k).Clone()
			p := PackAs(ex, e, w.Data, n, k)
			kept := NewMat(n, k)
			p.Unpack(kept.Data)
			checkKept(t, e, kept, w)
			c := NewBuffer(m, n)
			ex.Gemm(c, a, p, Epilogue{})
			checkProduct(t, fmt.Sprint(s), c, rounded(e, a), kept)
		}
	})
}

// TestRoundedAndBack: what WidenBF16 makes of RoundBF16 is the rounded numbers, which rounding again does not change.
func TestRoundedAndBack(t *testing.T) {
	pool := par.New(3)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		if e != BF16 {
			return
		}
		for _, s := range [][2]int{{1, 1}, {3, 2}, {17, 33}, {40, 96}, {5, 577}} {
			rng := rand.New(rand.NewPCG(uint64(s[0]), uint64(s[1])))
			a := normalMat(rng, s[0], s[1])
			want, words, again, got := rounded(BF16, a), NewBuffer(s[0], BF16.words(s[1])), NewBuffer(s[0], BF16.words(s[1])), NewBuffer(s[0], s[1])
			ex.RoundBF16(words, a)
			ex.WidenBF16(got, words)
			ex.RoundBF16(again, got)
			for r := range s[0] {
				if !slices.Equal(got.Row(r), want.Row(r)) || !slices.Equal(words.Row(r), again.Row(r)) {
					t.Fatalf("%v: row %d: %v, want %v", s, r, got.Row(r), want.Row(r))
				}
			}
		}
	})
}

// TestNothingIsCutOff: the largest numbers on both sides, all of one sign, are summed exactly, also where sums go
// through int16.
func TestNothingIsCutOff(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	ex := NewExec(pool)
	weights := map[string]func(i int) float32{
		"all one":     func(int) float32 { return 1 },
		"all minus":   func(int) float32 { return -1 },
		"pairs":       func(i int) float32 { return float32(1 - i/2%2) },
		"outliers":    func(i int) float32 { return float32(1 + i%8/7*5) },
		"even, -odd":  func(i int) float32 { return float32(1 - 2*(i%2)) },
		"half a step": func(i int) float32 { return 32.5 / 32 * float32(1-i%16/15*2) },
	}
	narrowElems(t, func(t *testing.T, e Elem) {
		for name, weight := range weights {
			const m, n, k = 9, 40, 200
			a, w := NewBuffer(m, k), NewMat(n, k)
			for r := range m {
				for i := range k {
					a.Row(r)[i] = float32(1 + r%2*(i%2))
				}
			}
			for i := range w.Data {
				w.Data[i] = weight(i%k + i/k)
			}
			p := PackAs(ex, e, w.Data, n, k)
			kept, c := NewMat(n, k), NewBuffer(m, n)
			p.Unpack(kept.Data)
			checkKept(t, e, kept, w)
			ex.Gemm(c, a, p, Epilogue{})
			checkProduct(t, name, c, rounded(e, a), kept)
		}
	})
}

// checkKept: bfloat16 keeps 8 bits, a byte half a step of its row's scale.
func checkKept(t *testing.T, e Elem, kept, w Mat) {
	t.Helper()
	for r := range w.Rows {
		scale := max(-slices.Min(w.Row(r)), slices.Max(w.Row(r))) / current.mostRight
		if current.mostSum > 0 {
			scale = max(scale, largestSum(w.Row(r))/(current.mostSum-8*0.5001))
		}
		for c, v := range w.Row(r) {
			allowed := math.Abs(float64(v)) / 256
			if e == I8 {
				allowed = float64(scale) / 2 * 1.001
			}
			if d := math.Abs(float64(kept.Row(r)[c] - v)); d > allowed {
				t.Fatalf("weight %d, %d is kept as %v, was %v", r, c, kept.Row(r)[c], v)
			}
		}
	}
}

func checkProduct(t *testing.T, what string, c, a, w Mat) {
	t.Helper()
	for i := range c.Rows {
		for j := range c.Cols {
			var want, size float64
			for l, x := range a.Row(i) {
				y := float64(x) * float64(w.Row(j)[l])
				want += y
				size += math.Abs(y)
			}
			// The zero point's share is added and taken away again, so that sums of bytes are larger.
			if d := math.Abs(float64(c.Row(i)[j]) - want); !(d <= 4e-6*size+1e-6) {
				t.Fatalf("%s: element %d, %d: got %v, want %v", what, i, j, c.Row(i)[j], want)
			}
		}
	}
}

// TestNarrowProductsT: the transposed product takes its left-hand side as bfloat16, for bytes after the scales
// of the outputs have been multiplied in.
func TestNarrowProductsT(t *testing.T) {
	pool := par.New(3)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		for _, s := range [][3]int{{1, 1, 1}, {3, 5, 2}, {13, 33, 64}, {15, 31, 96}, {28, 65, 100}, {30, 64, 160}, {230, 1300, 130}} {
			m, n, k := s[0], s[1], s[2]
			rng := rand.New(rand.NewPCG(uint64(m), uint64(k)))
			a, w := normalMat(rng, m, n), normalMat(rng, n, k).Clone()
			p := PackAs(ex, e, w.Data, n, k)
			kept, scaled, plain := NewMat(n, k), a.Clone(), NewMat(k, n)
			p.Unpack(kept.Data)
			for i := range n {
				scale := float32(1)
				if e == I8 {
					scale = p.scale[i]
				}
				for r := range m {
					scaled.Row(r)[i] *= scale
				}
				for l := range k {
					plain.Row(l)[i] = kept.Row(i)[l] / scale
				}
			}
			if Has(BF16) {
				scaled = rounded(BF16, scaled)
			}
			c := NewBuffer(m, k)
			ex.GemmPackedT(c, a, p, false)
			checkProduct(t, fmt.Sprint(s), c, scaled, plain)
			once := c.Clone()
			ex.GemmPackedT(c, a, p, true)
			for r := range m {
				for l, v := range c.Row(r) {
					if d := math.Abs(float64(v - 2*once.Row(r)[l])); d > 1e-5*(1+math.Abs(float64(v))) {
						t.Fatalf("%v: added to itself, element %d, %d is %v, was %v", s, r, l, v, once.Row(r)[l])
					}
				}
			}
		}
	})
}

// TestNarrowRowsAreAlone: a row's result does not depend on the rows beside it, on workers, or on the
// edge that a tile reaches over.
func TestNarrowRowsAreAlone(t *testing.T) {
	one, many := par.New(1), par.New(4)
	defer one.Close()
	defer many.Close()
	narrowElems(t, func(t *testing.T, e Elem) {
		rng := rand.New(rand.NewPCG(7, 7))
		const m, n, k = 431, 130, 200
		a, w := normalMat(rng, m, k), normalMat(rng, n, k).Clone()
		ex, single := NewExec(many), NewExec(one)
		bias := normalMat(rng, 1, n).Row(0)
		p := PackAs(ex, e, w.Data, n, k)
		all, alone := NewMat(m, n), NewMat(1, n)
		ep := Epilogue{Bias: bias, Act: GELUErf}
		ex.Gemm(all, a, p, ep)
		for _, r := range []int{0, 1, 207, 208, 430} {
			single.Gemm(alone, a.RowRange(r, r+1), p, ep)
			if !slices.Equal(alone.Data, all.Row(r)) {
				t.Fatalf("row %d differs when it is alone", r)
			}
		}
	})
}

// TestNarrowNotFinite: what is not finite does not turn into a number.
func TestNarrowNotFinite(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		for _, k := range []int{16, 19} {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				a, c := NewMat(1, k), NewMat(1, 3)
				a.Data[k-1] = float32(bad)
				w := make([]float32, 3*k)
				for i := range w {
					w[i] = 1
				}
				ex.Gemm(c, a, PackAs(ex, e, w, 3, k), Epilogue{})
				for _, v := range c.Data {
					if x := float64(v); !math.IsNaN(x) && !math.IsInf(x, 0) {
						t.Errorf("%d numbers, the last %v: got %v", k, bad, v)
					}
				}
			}
		}
	})
}
