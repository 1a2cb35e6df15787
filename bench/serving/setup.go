package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/serve"
	"melo.example/melo/vit"
)

// rank and labels of the adapters: the paper's, and those of ChestX-ray14.
const (
	rank   = 4
	labels = 14
)

// bench is a base in memory and a folder of adapters for it.
type bench struct {
	o      *options
	model  *vit.Model
	digest string
	names  []string
	tensor []float32 // one input
}

// newBench opens the base and completes the folder of adapters.
func newBench(ctx context.Context, o *options) (*bench, error) {
	p, err := o.parsePrecision()
	if err != nil {
		return nil, err
	}
	pool := par.New(o.workers) // of the engines, too: it lives as long as the process
	b := &bench{o: o}
	if b.model, err = vit.Open(o.base, vit.Options{Workers: pool, Precision: p}); err != nil {
		return nil, err
	}
	if b.digest, err = adapterfile.BaseDigest(o.base); err != nil {
		return nil, err
	}
	b.tensor = make([]float32, b.model.Recipe.Values())
	adapterfile.SelfTestInput(b.tensor, 1, 0)
	engine := b.model.NewEngine(1)
	for i := range o.adapters {
		name := fmt.Sprintf("task-%04d", i)
		b.names = append(b.names, name)
		path := filepath.Join(o.dir, name+".safetensors")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := b.adapter(i, engine).Write(path, b.dtype()); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) dtype() safetensors.DType {
	if b.o.bf16 {
		return safetensors.BF16
	}
	return safetensors.F32
}

// adapter makes adapter number i, with a self-test where the precision asks for one.
func (b *bench) adapter(i int, engine compute.Engine) *adapterfile.File {
	return b.adapterOf(i, lora.Config{Rank: rank}, engine)
}

// adapterOf is adapter of another shape.
func (b *bench) adapterOf(i int, config lora.Config, engine compute.Engine) *adapterfile.File {
	a, err := lora.New(&b.model.Config, config, labels, uint64(i))
	if err != nil {
		panic(err) // a shape that every base has
	}
	rng := rand.New(rand.NewPCG(uint64(i), 9))
	for _, d := range a.Deltas {
		for j := range d.B {
			d.B[j] = float32(rng.NormFloat64()) * 0.02
		}
	}
	names := make([]string, labels)
	for l := range names {
		names[l] = fmt.Sprintf("finding %d", l)
	}
	f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&b.model.Config, "bench", "", b.digest),
		Method: lora.MeLo, Task: adapterfile.Multilabel, Labels: adapterfile.Labels(names...), Recipe: b.model.Recipe}}
	if b.model.Precision == vit.F32 {
		return f
	}
	if f, err = f.Stored(b.dtype()); err != nil {
		panic(err)
	}
	x := make([]float32, len(b.tensor))
	adapterfile.SelfTestInput(x, 1, 0)
	y := make([]float32, labels)
	f.Adapter.Head.Logits(y, engine.Features(x, 1, lora.Segment{Adapter: f.Adapter.Resident(b.model.Precision), Images: 1}))
	f.Meta.SelfTest = &adapterfile.SelfTest{Seed: 1, Logits: [][]float32{slices.Clone(y)}}
	return f
}

// engine makes an engine over the folder; 0 is no budget.
func (b *bench) engine(ctx context.Context, budget int64) (*serve.Engine, error) {
	return serve.New(ctx, b.model, b.digest, serve.Config{Adapters: b.o.dir, Budget: budget, Batch: b.o.batch,
		Queue: max(256, 4*b.o.clients)})
}

// loadAll makes every adapter resident, as far as the budget goes.
func loadAll(ctx context.Context, e *serve.Engine) (failed error) {
	err := e.Registry().CheckAll(ctx, func(_ serve.Identity, err error) {
		if err != nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	return failed
}
