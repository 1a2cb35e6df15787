// Package machine measures the machine that it runs on: kernels, forward passes, training steps, switching of adapters.
package machine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// Parts are what can be measured, in the order of the tables.
var Parts = []string{"kernels", "forward", "step", "switch", "mixed", "profile"}

// Options say what is measured.
type Options struct {
	Base      string        // as bases.Open takes it; empty: a ViT-B/16 with random weights
	Precision vit.Precision // of the base and of products
	Kernels   string        // kernel set; empty: the fastest
	Threads   int           // 0: all cores
	Duration  time.Duration // to spend on each measurement, which takes at least 3 samples

	// Report is told each result when it is there: a *Kernel, *Pass, *Step, *Switch, *Mixed, *Profile or *Peak; may be nil.
	Report func(result any)
}

// Result is everything that was measured. Parts that did not run are absent.
type Result struct {
	Peaks   []Peak    `json:"peaks,omitempty"`
	Kernels []Kernel  `json:"kernels,omitempty"`
	Forward []Pass    `json:"forward,omitempty"`
	Step    *Step     `json:"step,omitempty"`
	Switch  *Switch   `json:"switch,omitempty"`
	Mixed   *Mixed    `json:"mixed,omitempty"`
	Profile []Profile `json:"profile,omitempty"`
}

// SetError is a kernel set, or a precision, that this machine does not have.
type SetError struct{ Err error }

// Error is that of Err.
func (e *SetError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *SetError) Unwrap() error { return e.Err }

// Bench is a base to measure on. Close it when done: until then the whole process has its kernel set.
type Bench struct {
	Result Result

	o      Options
	pool   *par.Pool
	before string // kernel set

	base     *vit.Model // nil until a part needs weights
	config   vit.Config
	prec     vit.Precision
	peakSeen map[peakKey][]float64 // operations a second
}

// vitB16 is the shape of ViT-B/16 at 224, the base that the paper and the comparisons use.
func vitB16() vit.Config {
	return vit.Config{Family: "vit", Width: 768, Depth: 12, Heads: 12, MLP: 3072, Image: 224, Patch: 16, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
}

// Open opens what is measured. The error is a [SetError] where this machine cannot, else about the base.
func Open(o Options) (*Bench, error) {
	before := kernel.Name()
	if err := kernel.Use(cmp.Or(o.Kernels, before)); err != nil {
		return nil, &SetError{fmt.Errorf("--kernels: %w", err)}
	}
	b := &Bench{o: o, before: before, pool: par.New(o.Threads), config: vitB16(), prec: o.Precision, peakSeen: map[peakKey][]float64{}}
	if !vit.Supports(o.Precision) {
		err := &SetError{fmt.Errorf("--precision %v: kernel set %s on this CPU has no instructions for it", o.Precision, kernel.Name())}
		b.Close()
		return nil, err
	}
	if o.Base != "" {
		var err error
		if b.base, err = bases.Open(o.Base, vit.Options{Workers: b.pool, Precision: o.Precision}); err != nil {
			b.Close()
			return nil, err
		}
		b.config = b.base.Config
	}
	return b, nil
}

// Close stops the workers.
func (b *Bench) Close() {
	b.pool.Close()
	if err := kernel.Use(b.before); err != nil {
		panic("machine: " + err.Error()) // it was in use before
	}
}

// Config is the shape that is measured.
func (b *Bench) Config() vit.Config { return b.config }

// Threads is the number of workers.
func (b *Bench) Threads() int { return b.pool.Workers() }

// Run measures one of Parts.
func (b *Bench) Run(ctx context.Context, part string) error {
	switch part {
	case "kernels":
		return b.kernels(ctx)
	case "forward":
		return b.forward(ctx)
	case "step":
		return b.step(ctx)
	case "switch":
		return b.switching(ctx)
	case "mixed":
		return b.mixed(ctx)
	case "profile":
		return b.profile(ctx)
	}
	return fmt.Errorf("machine: no part %q, expected one of %v", part, Parts)
}

func (b *Bench) report(result any) {
	if b.o.Report != nil {
		b.o.Report(result)
	}
}

// model returns the base, made on first use if none was named.
func (b *Bench) model() *vit.Model {
	if b.base == nil {
		b.base = vit.Random(b.pool, b.config, b.prec, 0.02, 1)
	}
	return b.base
}
