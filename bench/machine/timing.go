package machine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// Peak is what register-only multiply-add loops reach.
type Peak struct {
	Threads   int     `json:"threads"`
	Precision string  `json:"precision"`
	GFLOPS    float64 `json:"gflops"`
	Spread    float64 `json:"spread"`
}

// peakKey is what a peak belongs to.
type peakKey struct {
	threads int
	elem    kernel.Elem
}

// Timing is the outcome of one measurement.
type Timing struct {
	Seconds float64 `json:"seconds"` // median
	Spread  float64 `json:"spread"`  // between the quartiles, over the median
	Fastest float64 `json:"fastest_seconds"`
}

// minSamples is the number of samples that a round takes however long they are.
const minSamples = 3

// peakTime is how long the peak is measured before a round: long enough for the clock rate to settle.
const peakTime = 20 * time.Millisecond

// sampleTime is the least duration of one sample: against it the clock and the start of the workers
// do not matter.
const sampleTime = 200 * time.Microsecond

// measure runs f to warm up, and then in rounds until the time of a measurement is over: four rounds if f is
// short, one if it is long. A round begins with the machine's peak for products of elem on the threads of
// pool. flops is what one run of f computes. It returns the Timing and the share of the peak, the median over
// samples, each against the peak of its round: on a shared machine both move together. The share is 0 where
// the kernel set has no peak.
func (b *Bench) measure(ctx context.Context, pool *par.Pool, elem kernel.Elem, flops float64, f func()) (t Timing, share float64, err error) {
	f()
	repeats := repeatsOf(f)
	var seconds, shares []float64
	for spent := time.Duration(0); spent < b.o.Duration; {
		peak, key := kernel.MeasurePeakOf(elem, pool, min(peakTime, b.o.Duration)), peakKey{pool.Workers(), elem}
		b.peakSeen[key] = append(b.peakSeen[key], peak)
		for n, round := 0, time.Duration(0); n < minSamples || round < b.o.Duration/4; n++ {
			if err := ctx.Err(); err != nil {
				return Timing{}, 0, err
			}
			start := time.Now()
			for range repeats {
				f()
			}
			took := time.Since(start)
			round += took
			seconds = append(seconds, took.Seconds()/float64(repeats))
			if peak > 0 {
				shares = append(shares, flops/seconds[len(seconds)-1]/peak)
			}
			spent += took
		}
	}
	if len(shares) > 0 {
		share = median(shares)
	}
	return timingOf(seconds), share, nil
}

func timingOf(seconds []float64) Timing {
	return Timing{median(seconds), spread(seconds), slices.Min(seconds)}
}

// repeatsOf returns how often f runs in one sample.
func repeatsOf(f func()) int {
	start := time.Now()
	f()
	return max(1, int(sampleTime/max(time.Since(start), time.Nanosecond)))
}

// Peaks adds the peaks that were seen to the result.
func (b *Bench) Peaks() {
	for key, seen := range b.peakSeen {
		if slices.Max(seen) == 0 {
			continue // the portable kernels have no peak to be measured
		}
		b.Result.Peaks = append(b.Result.Peaks, Peak{key.threads, key.elem.String(), median(seen) / 1e9, spread(seen)})
	}
	slices.SortFunc(b.Result.Peaks, func(x, y Peak) int {
		return cmp.Or(x.Threads-y.Threads, strings.Compare(x.Precision, y.Precision))
	})
	for i := range b.Result.Peaks {
		b.report(&b.Result.Peaks[i])
	}
}

// median returns the middle value, or the mean of the two middle ones.
func median(values []float64) float64 { return quantile(values, 0.5) }

// spread returns the distance between the quartiles over the median.
func spread(values []float64) float64 {
	return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

// quantile interpolates between the sorted values.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	i := min(int(at), len(s)-1)
	next := min(i+1, len(s)-1)
	return s[i] + (at-float64(i))*(s[next]-s[i])
}
