package machine

import (
	"cmp"
	"context"
	"math/rand/v2"
	"runtime"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Pass is the time of passes of one batch.
type Pass struct {
	Batch   int `json:"batch"`
	Threads int `json:"threads"`
	Timing
	ImagesPerSecond float64 `json:"images_per_second"`
	GFLOPS          float64 `json:"gflops"` // that the mathematics asks for: work avoided counts
	ShareOfPeak     float64 `json:"share_of_peak"`
}

// Step is a training step: forward, loss, backward, update.
type Step struct {
	Pass
	Rank       int `json:"rank"`
	Parameters int `json:"parameters"` // trainable parameters, the head's included
}

// Switch is the change from one adapter of a resident base to another.
type Switch struct {
	Adapters           int     `json:"adapters"`
	Changes            int     `json:"-"`
	Seconds            float64 `json:"seconds"`             // of one change
	Allocations        uint64  `json:"allocations"`         // in all changes together
	ForwardAllocations uint64  `json:"forward_allocations"` // in a forward pass with each adapter, one image
}

// Mixed compares a batch whose images all have different adapters with one that has one adapter.
type Mixed struct {
	Batch    int     `json:"batch"`
	Adapters int     `json:"-"`
	MinRank  int     `json:"min_rank"` // of the different adapters
	MaxRank  int     `json:"max_rank"`
	OneRank  int     `json:"one_rank"` // of the one adapter: about their mean, so that the arithmetic is alike
	One      Timing  `json:"one"`
	Mixed    Timing  `json:"mixed"`
	Ratio    float64 `json:"ratio"` // mixed over one, median of pairs
}

// The workloads that bench/compare runs, too.
const (
	stepBatch  = 8
	stepRank   = 4
	headLabels = 14 // as many as ChestX-ray14 has
	mixedBatch = 32
	mixedRank  = 16
)

// pass fills in the rates of a measurement of n images.
func (b *Bench) pass(n int, t Timing, flops, share float64) Pass {
	return Pass{Batch: n, Threads: b.pool.Workers(), Timing: t, ImagesPerSecond: float64(n) / t.Seconds,
		GFLOPS: flops / t.Seconds / 1e9, ShareOfPeak: share}
}

// images returns n inputs of normally distributed values.
func (b *Bench) images(n int) []float32 {
	return normalMat(rand.New(rand.NewPCG(2, 1)), n, b.config.Channels*b.config.Image*b.config.Image).Data
}

// forward measures inference with a classification head, batches of one and of four.
func (b *Bench) forward(ctx context.Context) error {
	for _, n := range []int{1, 4} {
		f := newInference(b, n)
		images, flops := b.images(n), float64(n)*b.config.ForwardFLOPs()
		t, share, err := b.measure(ctx, b.pool, kernel.Elem(b.prec), flops, func() { f.run(images) })
		if err != nil {
			return err
		}
		p := b.pass(n, t, flops, share)
		b.Result.Forward = append(b.Result.Forward, p)
		b.report(&p)
	}
	return nil
}

// inference is a forward pass and a head.
type inference struct {
	model  *vit.Model
	engine compute.Engine
	head   *vit.Head
	logits []float32
}

// newInference runs the base with its own head or, without one, with a random one of headLabels classes.
func newInference(b *Bench, batch int) *inference {
	m := b.model()
	f := &inference{model: m, engine: m.NewEngine(batch), head: m.Head}
	if f.head == nil {
		w := normalMat(rand.New(rand.NewPCG(3, 1)), headLabels, m.Features())
		f.head = &vit.Head{Classes: headLabels, Features: m.Features(), W: w.Data, Bias: make([]float32, headLabels)}
	}
	f.logits = make([]float32, batch*f.head.Classes)
	return f
}

// run computes the logits [batch, classes] of a full batch.
func (f *inference) run(images []float32) []float32 {
	return f.classify(f.engine.Features(images, f.engine.MaxBatch()))
}

// classify applies the head to the features of a full batch.
func (f *inference) classify(features []float32) []float32 {
	if m := f.model; m.Head != nil {
		m.Logits(f.logits, features)
	} else {
		f.head.Logits(f.logits, features)
	}
	return f.logits
}

// step measures a training step.
func (b *Bench) step(ctx context.Context) error {
	start, err := lora.New(&b.config, lora.Config{Rank: stepRank}, headLabels, 1)
	if err != nil {
		return err
	}
	s, err := newTrainingStep(b, stepBatch, start)
	if err != nil {
		return err
	}
	images := b.images(stepBatch)
	flops := stepBatch * lora.StepFLOPs(&b.config, lora.MeLo, 0)
	var failed error
	t, share, err := b.measure(ctx, b.pool, kernel.Elem(b.prec), flops, func() {
		if _, err := s.run(images); err != nil {
			failed = err
		}
	})
	if err := cmp.Or(err, failed); err != nil {
		return err
	}
	deltas, head := s.tuner.Adapter().Parameters()
	b.Result.Step = &Step{Pass: b.pass(stepBatch, t, flops, share), Rank: stepRank, Parameters: deltas + head}
	b.report(b.Result.Step)
	return nil
}

// adapters returns n adapters at q and v with the given ranks and B that is not zero.
func (b *Bench) adapters(n int, rank func(i int) int) ([]*lora.Resident, error) {
	list := make([]*lora.Resident, n)
	for i := range list {
		a, err := lora.New(&b.config, lora.Config{Rank: rank(i)}, headLabels, uint64(i))
		if err != nil {
			return nil, err
		}
		for _, d := range a.Deltas {
			copy(d.B, normalMat(rand.New(rand.NewPCG(uint64(i), 4)), 1, len(d.B)).Data)
		}
		list[i] = a.Resident(b.prec)
	}
	return list, nil
}

// rankOf spreads the ranks 1 to mixedBatch over the images so that neighbours differ; narrow bases bound
// them.
func (b *Bench) rankOf(i int) int { return 1 + i*7%min(mixedBatch, b.config.Width) }

// switching measures what it takes to go from one adapter to another.
func (b *Bench) switching(ctx context.Context) error {
	list, err := b.adapters(mixedBatch, b.rankOf)
	if err != nil {
		return err
	}
	segments := make([]lora.Segment, 1)
	engine := b.model().NewEngine(1)
	images := b.images(1)
	pass := func() {
		for _, a := range list {
			segments[0] = lora.Segment{Adapter: a, Images: 1}
			engine.Features(images, 1, segments...)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	pass() // grows the scratch to the largest rank
	const changes = 1 << 20
	change := func() {
		for i := range changes {
			segments[0] = lora.Segment{Adapter: list[i%len(list)], Images: 1}
		}
	}
	start := time.Now()
	change()
	r := &Switch{Adapters: len(list), Seconds: time.Since(start).Seconds() / changes}
	r.Allocations, r.ForwardAllocations = mallocs(change), mallocs(pass)
	b.Result.Switch = r
	r.Changes = changes
	b.report(r)
	return nil
}

// mallocs returns how many objects f allocates: the least of three runs, since the runtime's own
// bookkeeping now and then counts, too.
func mallocs(f func()) uint64 {
	runtime.GC()
	least := ^uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return least
}

// mixed measures a batch of as many adapters as images beside one with a single adapter, in turns.
func (b *Bench) mixed(ctx context.Context) error {
	list, err := b.adapters(mixedBatch, b.rankOf)
	if err != nil {
		return err
	}
	rank := min(mixedRank, b.config.Width)
	single, err := b.adapters(1, func(int) int { return rank })
	if err != nil {
		return err
	}
	one, many := []lora.Segment{{Adapter: single[0], Images: mixedBatch}}, make([]lora.Segment, len(list))
	for i, a := range list {
		many[i] = lora.Segment{Adapter: a, Images: 1}
	}
	engine := b.model().NewEngine(mixedBatch)
	images := b.images(mixedBatch)
	run := func(segments []lora.Segment) float64 {
		start := time.Now()
		engine.Features(images, mixedBatch, segments...)
		return time.Since(start).Seconds()
	}
	run(one)
	run(many)
	var ones, manys, ratios []float64
	for start := time.Now(); len(ones) < minSamples || time.Since(start) < b.o.Duration; {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, y := run(one), run(many)
		ones, manys, ratios = append(ones, x), append(manys, y), append(ratios, y/x)
	}
	m := &Mixed{Batch: mixedBatch, MinRank: 1, MaxRank: min(mixedBatch, b.config.Width), OneRank: rank,
		One: timingOf(ones), Mixed: timingOf(manys), Ratio: median(ratios)}
	b.Result.Mixed = m
	m.Adapters = len(list)
	b.report(m)
	return nil
}
