package main

import (
	"context"
	"slices"
	"time"

	"melo/internal/par"
)

// benchPeak is what register-only multiply-add loops reach.
type benchPeak struct {
	Threads int     `json:"threads"`
	GFLOPS  float64 `json:"gflops"`
	Spread  float64 `json:"spread"`
}

// timing is the outcome of one measurement.
type timing struct {
	Seconds float64 `json:"seconds"` // median
	Spread  float64 `json:"spread"`  // (max - min) / median
}

// minSamples is the number of samples that a measurement takes however long they are.
const minSamples = 3

// peakTime is how long a sample of the peak runs: long enough for the clock rate to settle.
const peakTime = 20 * time.Millisecond

// measure runs f to warm up, and then for the time of a measurement, between samples of the machine's
// peak on pool. flops is what one run of f computes. It returns the timing and the share of the peak, the
// median over samples, each against the peak beside it: on a shared machine both move together.
func (b *bench) measure(ctx context.Context, pool *par.Pool, flops float64, f func()) (t timing, share float64, err error) {
	f()
	repeats := b.repeats(f)
	var seconds, shares []float64
	for spent := time.Duration(0); spent < b.o.Duration || len(seconds) < minSamples; {
		if err := ctx.Err(); err != nil {
			return timing{}, 0, err
		}
		peak := measurePeak(pool, min(peakTime, b.o.Duration))
		b.peakSeen[pool.Workers()] = append(b.peakSeen[pool.Workers()], peak)
		start := time.Now()
		for range repeats {
			f()
		}
		took := time.Since(start)
		spent += took
		seconds = append(seconds, took.Seconds()/float64(repeats))
		shares = append(shares, flops*float64(repeats)/took.Seconds()/peak)
	}
	return timing{median(seconds), spread(seconds)}, median(shares), nil
}

// repeats returns how often f runs in one sample: a tenth of a measurement, so that the clock and the
// start of the workers do not matter.
func (b *bench) repeats(f func()) int {
	start := time.Now()
	f()
	once := max(time.Since(start), time.Microsecond)
	return max(1, int(b.o.Duration/10/once))
}

// addPeaks puts the peaks that were seen into the document.
func (b *bench) addPeaks() {
	for threads, seen := range b.peakSeen {
		b.doc.Peaks = append(b.doc.Peaks, benchPeak{threads, median(seen) / 1e9, spread(seen)})
	}
	slices.SortFunc(b.doc.Peaks, func(x, y benchPeak) int { return x.Threads - y.Threads })
	for _, p := range b.doc.Peaks {
		b.s.printf("peak, threads %d     %.1f GFLOP/s (spread %.0f%%)", p.Threads, p.GFLOPS, 100*p.Spread)
	}
}

// median returns the middle value, or the mean of the two middle ones.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// spread returns (max - min) / median.
func spread(values []float64) float64 {
	return (slices.Max(values) - slices.Min(values)) / median(values)
}
