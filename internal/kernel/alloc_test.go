package kernel_test

import (
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// TestNothingIsAllocated: once scratch memory has grown, no kernel allocates.
func TestNothingIsAllocated(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(31, 32))
		for _, c := range sliceCases() {
			_, x := newCase(rng, c, 77)
			if n := testing.AllocsPerRun(5, func() { c.run(x) }); n != 0 {
				t.Errorf("%s allocates %v times", c.name, n)
			}
		}
		row := randomRow(rng, 77, 0).x
		pool := par.New(2)
		defer pool.Close()
		ex := kernel.NewExec(pool)
		m := func() kernel.Mat { m, _ := matrix(rng, 40, 48, 5); return m }
		q, k, v, o, do, dq, dk, dv := m(), m(), m(), m(), m(), m(), m(), m()
		shape := kernel.AttnShape{Images: 2, Queries: 20, Keys: 20, Heads: 3, Scale: 0.25}
		lse := make([]float32, 120)
		w := kernel.Pack(ex, randomRow(rng, 48*48, 0).x, 48, 48)
		bias, stats := row[:48], kernel.NewRowStats(40)
		for name, f := range map[string]func(){
			"Dot":           func() { kernel.Dot(row, row) },
			"LayerNorm":     func() { kernel.LayerNorm(row, row, row, row, 1) },
			"LayerNormGrad": func() { kernel.LayerNormGrad(row, row, row, row, 0, 1, true) },
			"Softmax":       func() { kernel.Softmax(row, 1) },
			"Attention":     func() { ex.Attention(shape, o, q, k, v, lse) },
			"AttentionGrad": func() { ex.AttentionGrad(shape, dq, dk, dv, do, o, q, k, v, lse) },
			"Gemm":          func() { ex.Gemm(o, q, w, kernel.Epilogue{Bias: bias, Act: kernel.GELUErf, Pre: k}) },
			"GemmPackedT":   func() { ex.GemmPackedT(o, q, w, false) },
			"GemmTN":        func() { ex.GemmTN(kernel.View(row, 1, 1), q.ColRange(0, 1), q.ColRange(0, 1), 20) },
			"Exec.LayerNorm": func() {
				ex.LayerNorm(o, q, bias, bias, 1, stats)
				ex.LayerNormGrad(o, q, k, bias, stats, false)
			},
		} {
			if n := testing.AllocsPerRun(5, f); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
	})
}
