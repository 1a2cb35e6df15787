package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/lora"
	"melo.example/melo/serve"
)

// tasksResult is adapters of the last blocks asked about one image.
type tasksResult struct {
	Tasks    int         `json:"tasks"`
	First    int         `json:"first_block"`
	ByCount  float64     `json:"by_count"` // blocks of separate passes over blocks of a shared one
	Seconds  []float64   `json:"seconds"`  // of each way, median of the rounds
	Compared []tasksPair `json:"compared"`
}

// tasksPair is a way over another that shares, round by round.
type tasksPair struct {
	Way    string  `json:"way"`
	Ratio  float64 `json:"ratio"`  // median of the rounds
	Spread float64 `json:"spread"` // distance of the quartiles
}

// measureTasks asks adapters of rank 8 on the last third of the blocks about one image, in turns: rows of a pass by
// themselves, rows that share the bare blocks, passes of single rows; and by the server's engine one after the other, and
// in one call. The answers of all ways are compared bit for bit first.
func measureTasks(ctx context.Context, o *options) (any, error) {
	all := *o
	all.adapters = 0
	b, err := newBench(ctx, &all)
	if err != nil {
		return nil, err
	}
	m, n := b.model, o.tasks
	first := m.Depth - (m.Depth+2)/3
	config := lora.Config{Rank: 8}
	for block := first; block < m.Depth; block++ {
		config.Blocks = append(config.Blocks, block)
	}
	segments, requests := make([]compute.Segment, n), make([]serve.Request, n)
	heads := make([]*compute.Head, n)
	one := m.NewEngine(1)
	for i := range segments {
		f, err := b.adapterOf(i, config, one).Stored(b.dtype()) // as it will be read
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("part-%04d", i)
		if err := f.Write(filepath.Join(o.dir, name+".safetensors"), b.dtype()); err != nil {
			return nil, err
		}
		a := f.Adapter.Resident(m.Precision)
		segments[i], heads[i] = compute.Segment{Adapter: a, Images: 1}, a.Head()
		requests[i] = serve.Request{Name: name, Input: serve.Input{Tensor: b.tensor}}
	}
	e, err := b.engine(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := loadAll(ctx, e); err != nil {
		return nil, err
	}
	images := slices.Repeat(b.tensor, n)
	engine := m.NewEngine(n)
	logits := func(features []float32) (list [][]float32) {
		for i, h := range heads {
			y := make([]float32, h.Classes)
			h.Logits(y, features[i*h.Features:(i+1)*h.Features])
			list = append(list, y)
		}
		return list
	}
	served := func(answers []serve.Answer, errs []error) (list [][]float32) {
		for i, err := range errs {
			if err != nil {
				panic(err) // a request that nothing is wrong with
			}
			list = append(list, answers[i].Logits)
		}
		return list
	}
	ways := []struct {
		name string
		ask  func() [][]float32
	}{
		{"pass, rows apart", func() [][]float32 { return logits(engine.Features(images, n, segments...)) }},
		{"pass, shared", func() [][]float32 {
			return logits(engine.(compute.Branching).Branches(images, 1, make([]int, n), segments...))
		}},
		{"passes of one row", func() (list [][]float32) {
			var features []float32
			for i := range segments {
				features = append(features, engine.Features(images, 1, segments[i])...)
			}
			return logits(features)
		}},
		{"server, one by one", func() (list [][]float32) {
			for i := range requests {
				list = append(list, served(e.Predict(ctx, requests[i]))...)
			}
			return list
		}},
		{"server, one call", func() [][]float32 { return served(e.Predict(ctx, requests...)) }},
	}
	want := ways[0].ask()
	for _, w := range ways[1:] {
		if !slices.EqualFunc(w.ask(), want, slices.Equal) {
			return nil, fmt.Errorf("%s: other answers", w.name)
		}
	}
	took := make([][]float64, len(ways))
	for round := range o.rounds {
		for turn := range ways {
			i := (round + turn) % len(ways)
			start := time.Now()
			ways[i].ask()
			took[i] = append(took[i], time.Since(start).Seconds())
		}
	}
	r := tasksResult{Tasks: n, First: first, ByCount: float64(n*m.Depth) / float64(first+n*(m.Depth-first))}
	fmt.Printf("%d tasks on blocks %d to %d, one image; by count %.2f; all answers have the same bits\n", n, first, m.Depth-1, r.ByCount)
	for i, w := range ways {
		r.Seconds = append(r.Seconds, median(took[i]))
		fmt.Printf("%20s %8.0f ms\n", w.name, 1e3*median(took[i]))
	}
	for _, pair := range [][2]int{{0, 1}, {2, 1}, {3, 4}} {
		var ratios []float64
		for round := range o.rounds {
			ratios = append(ratios, took[pair[0]][round]/took[pair[1]][round])
		}
		x := tasksPair{Way: ways[pair[0]].name + " / " + ways[pair[1]].name, Ratio: median(ratios), Spread: quantile(ratios, .75) - quantile(ratios, .25)}
		r.Compared = append(r.Compared, x)
		fmt.Printf("%s: %.2f (%.2f)\n", x.Way, x.Ratio, x.Spread)
	}
	return r, nil
}
