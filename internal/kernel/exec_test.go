package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// TestExecRows: the row-parallel forms do to each row what the slice functions do, for any number of workers.
func TestExecRows(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, workers := range []int{1, 2, 5} {
			for _, rows := range []int{0, 1, 16, 17, 50} {
				t.Run(fmt.Sprintf("%d workers, %d rows", workers, rows), func(t *testing.T) { checkExecRows(t, workers, rows) })
			}
		}
	})
}

func checkExecRows(t *testing.T, workers, rows int) {
	pool := par.New(workers)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	rng := rand.New(rand.NewPCG(33, uint64(rows)))
	const d, eps = 37, 1e-5
	x, _ := matrix(rng, rows, d, 2)
	dy, _ := matrix(rng, rows, d, 1)
	gain, bias := randomRow(rng, d, 1).x, randomRow(rng, d, 0).x
	stats := kernel.NewRowStats(rows)
	got, g := matrix(rng, rows, d, 3)
	want := kernel.NewMat(rows, d)
	same := func(what string, f func(r int)) {
		t.Helper()
		for r := range rows {
			f(r)
		}
		checkMatrix(t, what, got, g)
		sameMat(t, what, got, want)
	}
	norm := func(r int) {
		if m, s := kernel.LayerNorm(want.Row(r), x.Row(r), gain, bias, eps); m != stats.Mean[r] || s != stats.RStd[r] {
			t.Errorf("statistics of row %d are %v, %v; want %v, %v", r, stats.Mean[r], stats.RStd[r], m, s)
		}
	}
	ex.LayerNorm(got, x, gain, bias, eps, stats)
	same("LayerNorm", norm)
	ex.LayerNorm(got, x, gain, bias, eps, kernel.RowStats{})
	same("LayerNorm without statistics", norm)
	ex.LayerNormApply(got, x, gain, bias, stats)
	same("LayerNormApply", norm)
	for _, add := range []bool{false, true} {
		ex.LayerNormGrad(got, dy, x, gain, stats, add)
		same("LayerNormGrad", func(r int) {
			kernel.LayerNormGrad(want.Row(r), dy.Row(r), x.Row(r), gain, stats.Mean[r], stats.RStd[r], add)
		})
	}
	ex.Activate(got, x, kernel.GELUErf)
	same("Activate", func(r int) { kernel.Activate(want.Row(r), x.Row(r), kernel.GELUErf) })
	ex.ActivateGrad(got, dy, x, kernel.GELUTanh)
	same("ActivateGrad", func(r int) { kernel.ActivateGrad(want.Row(r), dy.Row(r), x.Row(r), kernel.GELUTanh) })

	gu, _ := matrix(rng, rows, 2*d, 1)
	ex.SwiGLU(got, gu)
	same("SwiGLU", func(r int) { kernel.SwiGLU(want.Row(r), gu.Row(r)[:d], gu.Row(r)[d:]) })
	got, g = matrix(rng, rows, 2*d, 3)
	want = kernel.NewMat(rows, 2*d)
	ex.SwiGLUGrad(got, dy, gu)
	same("SwiGLUGrad", func(r int) {
		kernel.SwiGLUGrad(want.Row(r)[:d], want.Row(r)[d:], dy.Row(r), gu.Row(r)[:d], gu.Row(r)[d:])
	})
}
