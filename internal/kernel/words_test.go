package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/internal/par"
)

// sameRows demands equal bits.
func sameRows(t *testing.T, what string, got, want Mat) {
	t.Helper()
	for r := range want.Rows {
		if !slices.Equal(got.Row(r), want.Row(r)) {
			t.Fatalf("%s: row %d differs", what, r)
		}
	}
}

// TestWordsOfRows: products read the words that LayerNorm, attention and the product before have made as if they had made
// them of the numbers, to the bit, whatever the widths.
func TestWordsOfRows(t *testing.T) {
	pool := par.New(3)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		for _, s := range []struct{ rows, heads, dim, out int }{{1, 1, 16, 5}, {40, 2, 16, 33}, {230, 3, 32, 96}, {37, 3, 5, 40}, {18, 1, 90, 64}} {
			t.Run(fmt.Sprint(s), func(t *testing.T) {
				width := s.heads * s.dim
				rng := rand.New(rand.NewPCG(uint64(s.rows), uint64(width)))
				x, q := normalMat(rng, s.rows, width), normalMat(rng, s.rows, 3*width)
				gain, bias := normalMat(rng, 1, width).Data[:width], normalMat(rng, 1, width).Data[:width]
				w := PackAs(ex, e, normalMat(rng, s.out, width).Clone().Data, s.out, width)
				h, again := NewBuffer(s.rows, width), NewBuffer(s.rows, width)
				want, got := NewBuffer(s.rows, s.out), NewBuffer(s.rows, s.out)
				words := NewWords(e, s.rows+3, width).First(s.rows)

				ex.LayerNorm(h, x, gain, bias, 1e-6, RowStats{})
				ex.LayerNormWords(again, x, gain, bias, 1e-6, RowStats{}, words)
				sameRows(t, "norm", again, h)
				ex.Gemm(want, h, w, Epilogue{})
				ex.GemmWords(got, words, w, Epilogue{})
				sameRows(t, "product of a norm", got, want)

				shape := AttnShape{Images: 1, Queries: s.rows, Keys: s.rows, Heads: s.heads, Scale: 0.3}
				ex.Attention(shape, h, q.ColRange(0, width), q.ColRange(width, 2*width), q.ColRange(2*width, 3*width), nil)
				shape.Words = words
				ex.Attention(shape, again, q.ColRange(0, width), q.ColRange(width, 2*width), q.ColRange(2*width, 3*width), nil)
				sameRows(t, "attention", again, h)
				ex.Gemm(want, h, w, Epilogue{})
				ex.GemmWords(got, words, w, Epilogue{})
				sameRows(t, "product of attention", got, want)
			})
		}
	})
}

// TestProductToWords: what a product writes as words is what the next one would make of its result.
func TestProductToWords(t *testing.T) {
	pool := par.New(3)
	defer pool.Close()
	ex := NewExec(pool)
	narrowElems(t, func(t *testing.T, e Elem) {
		if e != BF16 {
			return
		}
		rng := rand.New(rand.NewPCG(3, 5))
		for _, s := range [][3]int{{1, 1, 3}, {9, 33, 20}, {40, 96, 64}, {230, 300, 48}} {
			m, n, k := s[0], s[1], s[2]
			a, w := normalMat(rng, m, k), PackAs(ex, e, normalMat(rng, n, k).Clone().Data, n, k)
			next := PackAs(ex, e, normalMat(rng, 7, n).Clone().Data, 7, n)
			bias, scale, residual := normalMat(rng, 1, n).Data[:n], normalMat(rng, 1, n).Data[:n], normalMat(rng, m, n)
			for name, ep := range map[string]Epilogue{
				"nothing": {}, "bias": {Bias: bias}, "erf": {Bias: bias, Act: GELUErf}, "tanh": {Bias: bias, Act: GELUTanh}, "quick": {Bias: bias, Act: GELUQuick},
				"no bias": {Act: GELUErf}, "pre": {Bias: bias, Act: GELUErf, Pre: NewBuffer(m, n)}, "all": {Bias: bias, Scale: scale, Residual: residual},
			} {
				h, want, got := NewBuffer(m, n), NewBuffer(m, 7), NewBuffer(m, 7)
				ex.Gemm(h, a, w, ep)
				ex.Gemm(want, h, next, Epilogue{})
				var pre Mat
				if ep.Pre.Data != nil {
					pre = ep.Pre.Clone()
					zero(ep.Pre)
				}
				ep.Words = WordsIn(e, NewBuffer(m+2, n)).First(m)
				ex.Gemm(Mat{Rows: m, Cols: n}, a, w, ep)
				ex.GemmWords(got, ep.Words, next, Epilogue{})
				sameRows(t, fmt.Sprint(s, name), got, want)
				if pre.Data != nil {
					sameRows(t, fmt.Sprint(s, "pre-activation"), ep.Pre, pre)
				}
			}
		}
	})
}
