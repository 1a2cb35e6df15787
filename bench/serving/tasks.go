package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// tasksResult is adapters of the last blocks asked about one image.
type tasksResult struct {
	Tasks       int     `json:"tasks"`
	First       int     `json:"first_block"`
	ByCount     float64 `json:"by_count"`      // blocks of separate passes over blocks of a shared one
	Apart       float64 `json:"apart_seconds"` // one batch, each row by itself; median of the rounds
	Shared      float64 `json:"shared_seconds"`
	Ratio       float64 `json:"ratio"` // median of the rounds' ratios
	RatioSpread float64 `json:"ratio_spread"`
	OneByOne    float64 `json:"one_by_one_ratio"` // to passes of single rows, one after the other
}

// measureTasks asks adapters of rank 8 on the last third of the blocks about one image: rows by themselves and rows that
// share the bare blocks, in turns. Both answers are compared bit for bit first.
func measureTasks(_ context.Context, o *options) (any, error) {
	p, err := o.parsePrecision()
	if err != nil {
		return nil, err
	}
	pool := par.New(o.workers)
	defer pool.Close()
	m, err := vit.Open(o.base, vit.Options{Workers: pool, Precision: p})
	if err != nil {
		return nil, err
	}
	n, first := o.tasks, m.Depth-(m.Depth+2)/3
	var blocks []int
	for b := first; b < m.Depth; b++ {
		blocks = append(blocks, b)
	}
	segments := make([]compute.Segment, n)
	for i := range segments {
		a, err := lora.New(&m.Config, lora.Config{Rank: 8, Blocks: blocks}, labels, uint64(i))
		if err != nil {
			return nil, err
		}
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		for _, d := range a.Deltas {
			for j := range d.B {
				d.B[j] = float32(rng.NormFloat64()) * 0.02
			}
		}
		segments[i] = compute.Segment{Adapter: a.Resident(p), Images: 1}
	}
	each := 3 * m.Image * m.Image
	images := make([]float32, n*each)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range each {
		images[i] = float32(rng.NormFloat64())
	}
	for i := 1; i < n; i++ {
		copy(images[i*each:(i+1)*each], images)
	}
	engine := m.NewEngine(n)
	apart := func() []float32 { return engine.Features(images, n, segments...) }
	shared := func() []float32 {
		return engine.(compute.Branching).Branches(images, 1, make([]int, n), segments...)
	}
	single := func() []float32 {
		for i := range segments {
			engine.Features(images, 1, segments[i])
		}
		return nil
	}
	if want := slices.Clone(apart()); !slices.Equal(shared(), want) {
		return nil, fmt.Errorf("%v: shared passes differ from separate ones", p)
	}
	single()
	ways := []func() []float32{apart, shared, single}
	took := make([][]float64, len(ways))
	for round := range o.rounds {
		for turn := range ways {
			i := (round + turn) % len(ways)
			start := time.Now()
			ways[i]()
			took[i] = append(took[i], time.Since(start).Seconds())
		}
	}
	var ratios, singles []float64
	for round := range o.rounds {
		ratios = append(ratios, took[0][round]/took[1][round])
		singles = append(singles, took[2][round]/took[1][round])
	}
	r := tasksResult{Tasks: n, First: first, ByCount: float64(n*m.Depth) / float64(first+n*(m.Depth-first)), Apart: median(took[0]), Shared: median(took[1]),
		Ratio: median(ratios), RatioSpread: quantile(ratios, .75) - quantile(ratios, .25), OneByOne: median(singles)}
	fmt.Printf("%d tasks on blocks %d to %d, one image: apart %.0f ms, shared %.0f ms, ratio %.2f (%.2f), to single rows %.2f; by count %.2f; the same bits\n",
		n, first, m.Depth-1, 1e3*r.Apart, 1e3*r.Shared, r.Ratio, r.RatioSpread, r.OneByOne, r.ByCount)
	return r, nil
}
