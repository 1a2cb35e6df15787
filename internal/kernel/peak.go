package kernel

import (
	"fmt"
	"slices"
	"time"
)

func shapeError(op string, c, a Mat, n, k int) string {
	return fmt.Sprintf("kernel: %s: C is %d x %d, A is %d x %d, B is %d x %d", op, c.Rows, c.Cols, a.Rows, a.Cols, n, k)
}

type peakTask struct {
	e Elem
	n int
}

func (t *peakTask) Do(int, int) {
	switch t.e {
	case BF16:
		asmPeakBF(t.n)
	case I8:
		asmPeakI8(t.n)
	default:
		asmPeak(t.n)
	}
}

// MeasurePeakOf measures for about d the machine's peak rate for products of type e, in operations per second:
// all workers of the pool run multiply-adds on registers. A multiply-add counts as two operations. The result
// is the best of several runs, because other programs can only slow a run down. It is 0 if the kernel set has
// no such instructions.
func MeasurePeakOf(e Elem, pool Workers, d time.Duration) float64 {
	if current.id == setPortable || !Has(e) {
		return 0
	}
	const rounds = 1 << 18 // some milliseconds, so that waking the workers does not count
	words := 1
	if e == I8 {
		words = current.wordStep
	}
	flops := float64(pool.Workers()) * rounds * float64(2*current.rows(e)*current.lanes*e.perWord()*words) * 2
	var rates []float64
	for start := time.Now(); time.Since(start) < d || len(rates) < 5; {
		begin := time.Now()
		pool.Run(pool.Workers(), &peakTask{e, rounds})
		rates = append(rates, flops/time.Since(begin).Seconds())
	}
	return slices.Max(rates)
}
