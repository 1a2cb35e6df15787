package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// benchOptions are the options of "melo bench".
type benchOptions struct {
	Base        string        `help:"Base to measure: a folder, a file or embedded. Default: a ViT-B/16 with random weights." placeholder:"BASE"`
	Only        []string      `help:"Parts to run: kernels, forward, step, switch, mixed, profile. Default: all but profile." placeholder:"PART"`
	Precision   string        `default:"f32" enum:"f32,bf16,int8" help:"Precision of the base: f32, bf16 or int8."`
	Kernels     string        `placeholder:"SET" help:"Kernel set to measure, of those that this machine can run (see melo doctor). Default: the fastest."`
	Threads     int           `placeholder:"N" help:"Number of threads (default: all cores). Kernels run on one thread, too."`
	Duration    time.Duration `default:"500ms" help:"Time to spend on each measurement, which takes at least 3 samples."`
	Profile     bool          `help:"Also show where the time of a forward pass and of a step goes; alone with --only=profile."`
	ServeRounds bool          `hidden:"" help:"Answer the timing commands of bench/compare on standard input."`
}

// Help is the long help text.
func (benchOptions) Help() string {
	return `Measures this machine: kernels as GFLOP/s and as a share of the peak that register-only multiply-add loops
reach in the same minutes on the same number of threads; forward passes; a training step of a rank-4 adapter on q and
v; switching of adapters; and a batch in which every image has another adapter. Shapes are those of the base.

Medians are shown with their spread, the distance between the quartiles over the median: a large one means that the
machine was busy.

Examples:

    melo bench
    melo bench --only kernels --duration 2s
    melo bench --precision bf16 --only forward
    melo bench --base vit_tiny/ --threads 1 --kernels avx2
    melo bench --only profile --precision int8
    melo --json bench --only forward,step` + exitHelp
}

// benchParts are the values of --only, in the order in which they run.
var benchParts = []string{"kernels", "forward", "step", "switch", "mixed", "profile"}

// Validate refuses option values that cannot be.
func (o *benchOptions) Validate() error {
	for _, part := range o.Only {
		if !slices.Contains(benchParts, part) {
			return fmt.Errorf("--only %s, expected any of %v", part, benchParts)
		}
	}
	switch {
	case o.Threads < 0 || o.Threads > 1024:
		return fmt.Errorf("--threads %d, expected 1 to 1024, or 0 for all cores", o.Threads)
	case o.Duration <= 0 || o.Duration > time.Hour:
		return fmt.Errorf("--duration %v, expected up to 1h", o.Duration)
	case o.ServeRounds && (len(o.Only) > 0 || o.Profile):
		return fmt.Errorf("--serve-rounds takes neither --only nor --profile")
	}
	return nil
}

// benchDocument is the --json document of "melo bench". Parts that did not run are absent.
type benchDocument struct {
	Version   buildinfo.Program `json:"version"`
	Machine   sysinfo.Machine   `json:"machine"`
	KernelSet string            `json:"kernel_set"` // avx512, avx2, neon or portable
	Precision string            `json:"precision"`  // of the base and of matrix products
	Threads   int               `json:"threads"`
	Base      benchBase         `json:"base"`
	Peaks     []benchPeak       `json:"peaks,omitempty"`
	Kernels   []benchKernel     `json:"kernels,omitempty"`
	Forward   []benchPass       `json:"forward,omitempty"`
	Step      *benchStep        `json:"step,omitempty"`
	Switch    *benchSwitch      `json:"switch,omitempty"`
	Mixed     *benchMixed       `json:"mixed,omitempty"`
	Profile   []benchProfile    `json:"profile,omitempty"`
}

// benchBase is the shape that was measured.
type benchBase struct {
	Path   string `json:"path,omitempty"` // absent: random weights
	Width  int    `json:"width"`
	Depth  int    `json:"depth"`
	MLP    int    `json:"mlp"`
	Tokens int    `json:"tokens"`
}

// bench is one run of the command.
type bench struct {
	o    *benchOptions
	s    *stdio
	pool *par.Pool
	doc  benchDocument

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

// Run measures.
func (o *benchOptions) Run(ctx context.Context, s *stdio) error {
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	defer kernel.Use(kernel.Name())
	if err := kernel.Use(cmp.Or(o.Kernels, kernel.Name())); err != nil {
		return usage(fmt.Errorf("--kernels: %w", err))
	}
	prec, err := vit.ParsePrecision(o.Precision)
	if err != nil {
		return usage(err)
	}
	if !vit.Supports(prec) {
		return usage(fmt.Errorf("--precision %v: kernel set %s on this CPU has no instructions for it", prec, kernel.Name()))
	}
	pool := par.New(o.Threads)
	defer pool.Close()
	b := &bench{o: o, s: s, pool: pool, config: vitB16(), prec: prec, peakSeen: map[peakKey][]float64{}}
	if o.Base != "" {
		if b.base, err = bases.Open(o.Base, vit.Options{Workers: pool, Precision: prec}); err != nil {
			return badInput(err)
		}
		b.config = b.base.Config
	}
	if o.ServeRounds {
		return b.serveRounds(ctx)
	}
	c := &b.config
	b.doc = benchDocument{Version: buildinfo.This(), Machine: sysinfo.This(), KernelSet: kernel.Name(), Precision: o.Precision, Threads: pool.Workers(),
		Base: benchBase{Path: o.Base, Width: c.Width, Depth: c.Depth, MLP: c.MLP, Tokens: c.Tokens()}}
	b.printHeader()
	for _, part := range benchParts {
		if !o.wants(part) {
			continue
		}
		if s.json {
			s.notef("measuring: %s", part)
		}
		if err := b.part(ctx, part); err != nil {
			return err
		}
	}
	b.addPeaks()
	return s.document(&b.doc)
}

// wants reports whether a part was asked for.
func (o *benchOptions) wants(part string) bool {
	if part == "profile" && o.Profile {
		return true
	}
	if len(o.Only) == 0 {
		return part != "profile"
	}
	return slices.Contains(o.Only, part)
}

func (b *bench) part(ctx context.Context, name string) error {
	switch name {
	case "kernels":
		return b.kernels(ctx)
	case "forward":
		return b.forward(ctx)
	case "step":
		return b.step(ctx)
	case "switch":
		return b.switching(ctx)
	case "profile":
		return b.profile(ctx)
	}
	return b.mixed(ctx)
}

// model returns the base, made on first use if none was named.
func (b *bench) model() *vit.Model {
	if b.base == nil {
		b.base = vit.Random(b.pool, b.config, b.prec, 0.02, 1)
	}
	return b.base
}

func (b *bench) printHeader() {
	d := &b.doc
	b.s.printf("%s, class %s\nkernels %s, %s, %s",
		orUnknown(d.Machine.CPU), d.Machine.CPUClass, d.KernelSet, d.Precision, plural(d.Threads, "thread", "threads"))
	b.s.printf("melo %s %s, %s", d.Version.Version, d.Version.Short(), d.Version.Go)
	what := "random weights"
	if d.Base.Path != "" {
		what = d.Base.Path
	}
	b.s.entry("base: ", "width %d, depth %d, MLP %d, %d tokens (%s)", d.Base.Width, d.Base.Depth, d.Base.MLP, d.Base.Tokens, what)
}
