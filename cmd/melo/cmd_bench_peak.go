package main

import (
	"sync/atomic"
	"time"

	"melo/internal/par"
)

// kernelSet names the kernels in use.
func kernelSet() string { return "portable" }

// measurePeak returns the FLOP/s of multiply-add loops on the pool's workers.
func measurePeak(pool *par.Pool, d time.Duration) float64 {
	t := &peakTask{until: time.Now().Add(d)}
	start := time.Now()
	pool.Run(pool.Workers(), t)
	return float64(t.flops.Load()) / time.Since(start).Seconds()
}

type peakTask struct {
	until time.Time
	flops atomic.Int64
	sink  atomic.Uint32
}

// Do runs eight independent chains until the time is over.
func (t *peakTask) Do(_, _ int) {
	const rounds = 1 << 12
	var a [8]float32
	for ok := true; ok; ok = time.Now().Before(t.until) {
		x, y := float32(0.999), float32(0.001)
		a0, a1, a2, a3, a4, a5, a6, a7 := a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
		for range rounds {
			a0, a1, a2, a3 = a0*x+y, a1*x+y, a2*x+y, a3*x+y
			a4, a5, a6, a7 = a4*x+y, a5*x+y, a6*x+y, a7*x+y
		}
		a = [8]float32{a0, a1, a2, a3, a4, a5, a6, a7}
		t.flops.Add(2 * 8 * rounds)
	}
	if a[0]+a[1]+a[2]+a[3]+a[4]+a[5]+a[6]+a[7] > 0 {
		t.sink.Add(1)
	}
}
