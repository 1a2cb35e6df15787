package kernel

import (
	"fmt"
	"slices"
	"time"

	"melo/internal/par"
)

func shapeError(op string, c, a Mat, n, k int) string {
	return fmt.Sprintf("kernel: %s: C is %d x %d, A is %d x %d, B is %d x %d", op, c.Rows, c.Cols, a.Rows, a.Cols, n, k)
}

type peakTask struct{ n int }

func (t *peakTask) Do(int, int) { asmPeak(t.n) }

// MeasurePeak returns the machine's float32 rate in operations a second, measured for about d: all workers
// of the pool run multiply-adds on registers alone. A multiply-add is two operations. It is the best of
// several runs, since other programs only take away from it; 0 for the portable set, which has no such loop.
func MeasurePeak(pool *par.Pool, d time.Duration) float64 {
	if current.id == setPortable {
		return 0
	}
	const rounds = 1 << 18 // some milliseconds: waking the workers must not count
	flops := float64(pool.Workers()) * rounds * float64(2*current.rows()) * float64(current.lanes) * 2
	var rates []float64
	for start := time.Now(); time.Since(start) < d || len(rates) < 5; {
		begin := time.Now()
		pool.Run(pool.Workers(), &peakTask{rounds})
		rates = append(rates, flops/time.Since(begin).Seconds())
	}
	return slices.Max(rates)
}
