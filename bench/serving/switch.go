package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"melo.example/melo/serve"
)

// switchResult is requests that alternate over so many adapters.
type switchResult struct {
	Adapters        int     `json:"adapters"`
	ImagesPerSecond float64 `json:"images_per_second"` // median of the rounds
	Ratio           float64 `json:"ratio"`             // to one adapter, median of the rounds
	RatioSpread     float64 `json:"ratio_spread"`      // distance of the quartiles of the ratios
	SwitchSeconds   float64 `json:"switch_seconds"`    // of one switch: name, table, reference, row, release
	Allocations     float64 `json:"allocations"`       // of one switch
}

// measureSwitch lets requests alternate over 1, 2, 32 and all adapters, in turns.
func measureSwitch(ctx context.Context, o *options) (any, error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return nil, err
	}
	e, err := b.engine(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := loadAll(ctx, e); err != nil {
		return nil, err
	}
	sizes := []int{1, 2, 32, o.adapters}
	rates := make([][]float64, len(sizes))
	next := make([]int, len(sizes))
	if _, err := b.alternate(ctx, e, 1, new(int)); err != nil { // warms up, learns the batching curve
		return nil, err
	}
	for round := range o.rounds {
		for turn := range sizes {
			i := (round + turn) % len(sizes)
			rate, err := b.alternate(ctx, e, sizes[i], &next[i])
			if err != nil {
				return nil, err
			}
			rates[i] = append(rates[i], rate)
		}
	}
	var results []switchResult
	fmt.Printf("%10s %14s %20s %14s %12s\n", "adapters", "images/s", "ratio (quartiles)", "one switch", "allocations")
	for i, n := range sizes {
		var ratios []float64
		for round := range rates[i] {
			ratios = append(ratios, rates[i][round]/rates[0][round])
		}
		r := switchResult{Adapters: n, ImagesPerSecond: median(rates[i]), Ratio: median(ratios), RatioSpread: quantile(ratios, .75) - quantile(ratios, .25)}
		if r.SwitchSeconds, r.Allocations, err = b.switchCost(e, n); err != nil {
			return nil, err
		}
		results = append(results, r)
		fmt.Printf("%10d %14.2f %12.3f (%.3f) %11.0f ns %12g\n", n, r.ImagesPerSecond, r.Ratio, r.RatioSpread, 1e9*r.SwitchSeconds, r.Allocations)
	}
	printCurve(e)
	return results, nil
}

// alternate sends requests from several clients, each for the next adapter, and returns images a second.
func (b *bench) alternate(ctx context.Context, e *serve.Engine, adapters int, next *int) (float64, error) {
	var sent atomic.Int64
	var failed atomic.Pointer[error]
	first := *next
	*next += b.o.requests
	start := time.Now()
	var group sync.WaitGroup
	for range b.o.clients {
		group.Go(func() {
			for {
				i := int(sent.Add(1)) - 1
				if i >= b.o.requests || failed.Load() != nil {
					return
				}
				_, errs := e.Predict(ctx, serve.Request{Name: b.names[(first+i)%adapters], Input: serve.Input{Tensor: b.tensor}})
				if errs[0] != nil {
					failed.Store(&errs[0])
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(b.o.requests) / time.Since(start).Seconds(), nil
}

// switchCost is the time and the allocations of one switch, over n adapters in random order.
func (b *bench) switchCost(e *serve.Engine, n int) (seconds, allocations float64, err error) {
	const switches = 1 << 18
	order := make([]string, switches)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range order {
		order[i] = b.names[rng.IntN(n)]
	}
	runtime.GC()
	seconds, allocations = 1e9, 1e9
	for range 5 { // the least: the runtime and the neighbours come on top
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if err := e.Switch(order); err != nil {
			return 0, 0, err
		}
		seconds = min(seconds, time.Since(start).Seconds()/switches)
		runtime.ReadMemStats(&after)
		allocations = min(allocations, float64((after.Mallocs-before.Mallocs)/switches))
	}
	return seconds, allocations, nil
}

func printCurve(e *serve.Engine) {
	fmt.Print("batching curve:")
	for _, p := range e.Curve() {
		fmt.Printf("  %d: %.1f ms (%.1f images/s)", p.Images, 1e3*p.Seconds, float64(p.Images)/p.Seconds)
	}
	fmt.Println()
}
