package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"melo.example/melo/serve"
)

// zipfResult is requests by Zipf's law over adapters of which a share fits into memory.
type zipfResult struct {
	Share           float64 `json:"share"` // of the adapters that fit
	ImagesPerSecond float64 `json:"images_per_second"`
	P50             float64 `json:"p50_seconds"`
	P95             float64 `json:"p95_seconds"`
	P99             float64 `json:"p99_seconds"`
	Requests        int     `json:"requests"`
	Loads           uint64  `json:"loads"`        // of Requests
	LoadSeconds     float64 `json:"load_seconds"` // mean of those that had to wait for one
	latencies       []float64
	rates           []float64
	waits           []float64
}

// shares of the adapters that fit into the budget.
var shares = []float64{1, 0.5, 0.2, 0.1, 0.05}

// measureZipf lets engines with smaller and smaller budgets take turns.
func measureZipf(ctx context.Context, o *options) (any, error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return nil, err
	}
	draw := newZipf(len(b.names), o.skew)
	engines, results := make([]*serve.Engine, len(shares)), make([]*zipfResult, len(shares))
	for i, share := range shares {
		var budget int64
		if i > 0 {
			size := engines[0].Registry().List()[0].Bytes
			budget = int64(share*float64(len(b.names))*float64(size)) + size/2
		}
		if engines[i], err = b.engine(ctx, budget); err != nil {
			return nil, err
		}
		defer engines[i].Close()
		if err := loadAll(ctx, engines[i]); err != nil {
			return nil, err
		}
		results[i] = &zipfResult{Share: share}
		b.zipfTurn(ctx, engines[i], draw, uint64(i), o.seconds/2, &zipfResult{}) // the hot ones become resident
	}
	for round := range o.rounds {
		for turn := range shares {
			i := (round + turn) % len(shares)
			if err := b.zipfTurn(ctx, engines[i], draw, uint64(round), o.seconds, results[i]); err != nil {
				return nil, err
			}
		}
	}
	fmt.Printf("%6s %10s %9s %9s %9s %9s %8s %10s\n", "fits", "images/s", "p50 ms", "p95 ms", "p99 ms", "requests", "loads", "load ms")
	for _, r := range results {
		r.finish()
		fmt.Printf("%5.0f%% %10.2f %9.1f %9.1f %9.1f %9d %7.1f%% %10.2f\n", 100*r.Share, r.ImagesPerSecond, 1e3*r.P50, 1e3*r.P95, 1e3*r.P99,
			r.Requests, 100*float64(r.Loads)/float64(r.Requests), 1e3*r.LoadSeconds)
	}
	printCurve(engines[0])
	return results, nil
}

// zipfTurn sends requests for a while.
func (b *bench) zipfTurn(ctx context.Context, e *serve.Engine, draw *zipf, seed uint64, length time.Duration, r *zipfResult) error {
	var mu sync.Mutex
	var failed error
	count := 0
	before := e.Stats().Loads
	start := time.Now()
	var group sync.WaitGroup
	for client := range b.o.clients {
		rng := rand.New(rand.NewPCG(seed, uint64(client)))
		group.Go(func() {
			for time.Since(start) < length {
				sent := time.Now()
				answers, errs := e.Predict(ctx, serve.Request{Name: b.names[draw.next(rng)], Input: serve.Input{Tensor: b.tensor}})
				took := time.Since(sent).Seconds()
				mu.Lock()
				count++
				r.latencies = append(r.latencies, took)
				if wait := answers[0].Timing.Load; wait > 0 {
					r.waits = append(r.waits, wait.Seconds())
				}
				if errs[0] != nil {
					failed = errs[0]
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	group.Wait()
	r.rates = append(r.rates, float64(count)/time.Since(start).Seconds())
	r.Requests += count
	r.Loads += e.Stats().Loads - before
	return failed
}

func (r *zipfResult) finish() {
	r.ImagesPerSecond = median(r.rates)
	r.P50, r.P95, r.P99 = quantile(r.latencies, .5), quantile(r.latencies, .95), quantile(r.latencies, .99)
	for _, w := range r.waits {
		r.LoadSeconds += w / float64(len(r.waits))
	}
}

// zipf draws from 0 to n-1: the k-th most frequent with a probability proportional to 1/k^s. Which is how frequent
// is by chance.
type zipf struct {
	cumulative []float64
	which      []int
}

func newZipf(n int, s float64) *zipf {
	z := &zipf{which: rand.New(rand.NewPCG(2, 2)).Perm(n)}
	sum := 0.0
	for k := range n {
		sum += 1 / math.Pow(float64(k+1), s)
		z.cumulative = append(z.cumulative, sum)
	}
	return z
}

func (z *zipf) next(rng *rand.Rand) int {
	u := rng.Float64() * z.cumulative[len(z.cumulative)-1]
	low, high := 0, len(z.cumulative)-1
	for low < high {
		mid := (low + high) / 2
		if z.cumulative[mid] < u {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return z.which[low]
}
