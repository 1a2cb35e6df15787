package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"melo.example/melo/bench/machine"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/report/lines"
	"melo.example/melo/vit"
)

// benchOptions are the options of "melo bench".
type benchOptions struct {
	Base        string        `help:"Base to measure: a folder, a file or embedded. Default: a ViT-B/16 with random weights." placeholder:"BASE"`
	Only        []string      `help:"Parts to run: kernels, forward, step, switch, mixed, profile. Default: all except profile." placeholder:"PART"`
	Precision   string        `default:"f32" enum:"f32,bf16,int8" help:"Precision of the base: f32, bf16 or int8."`
	Kernels     string        `placeholder:"SET" help:"Kernel set to measure, one that this machine supports (see melo doctor). Default: the fastest."`
	Threads     int           `placeholder:"N" help:"Number of threads (default: all cores). Kernels are measured on one thread as well."`
	Duration    time.Duration `default:"500ms" help:"Time to spend on each measurement, which takes at least 3 samples."`
	Profile     bool          `help:"Also show where the time of a forward pass and of a training step goes. --only=profile shows nothing else."`
	ServeRounds bool          `hidden:"" help:"Answer the timing commands of bench/compare on standard input."`
}

// Help returns the long help text.
func (benchOptions) Help() string {
	return `Measures this machine: compute kernels in GFLOP/s and as a fraction of the peak, which loops of
multiply-add instructions on registers reach at the same time on as many threads; forward passes; a training step of a
rank-4 adapter on q and v; switching between adapters; and a batch in which every image uses another adapter. Shapes
are those of the base.

Results are medians with their spread (interquartile range divided by the median). A large spread means that the
machine was busy.

Examples:

    melo bench
    melo bench --only kernels --duration 2s
    melo bench --precision bf16 --only forward
    melo bench --base vit_tiny/ --threads 1 --kernels avx2
    melo bench --only profile --precision int8
    melo --json bench --only forward,step` + exitHelp
}

// Validate rejects invalid option values.
func (o *benchOptions) Validate() error {
	for _, part := range o.Only {
		if !slices.Contains(machine.Parts, part) {
			return fmt.Errorf("--only %s, expected any of %v", part, machine.Parts)
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
	machine.Result
}

// benchBase is the shape of the measured base.
type benchBase struct {
	Path   string `json:"path,omitempty"` // absent: random weights
	Width  int    `json:"width"`
	Depth  int    `json:"depth"`
	MLP    int    `json:"mlp"`
	Tokens int    `json:"tokens"`
}

// Run measures and prints the results.
func (o *benchOptions) Run(ctx context.Context, s *stdio) error {
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	prec, err := vit.ParsePrecision(o.Precision)
	if err != nil {
		return usage(err)
	}
	p := lines.NewBench(s.lines())
	b, err := machine.Open(machine.Options{Base: o.Base, Precision: prec, Kernels: o.Kernels, Threads: o.Threads, Duration: o.Duration, Report: p.Report})
	if err != nil {
		if wrong := (*machine.SetError)(nil); errors.As(err, &wrong) {
			return usage(err)
		}
		return badInput(err)
	}
	defer b.Close()
	if o.ServeRounds {
		return b.Rounds(ctx, s.in, s.out)
	}
	c := b.Config()
	doc := benchDocument{Version: buildinfo.This(), Machine: sysinfo.This(), KernelSet: kernel.Name(), Precision: o.Precision, Threads: b.Threads(),
		Base: benchBase{Path: o.Base, Width: c.Width, Depth: c.Depth, MLP: c.MLP, Tokens: c.Tokens()}}
	doc.print(s)
	for _, part := range machine.Parts {
		if !o.wants(part) {
			continue
		}
		if s.json {
			s.notef("measuring: %s", part)
		}
		p.Part(part)
		if err := b.Run(ctx, part); err != nil {
			return err
		}
	}
	b.Peaks()
	doc.Result = b.Result
	return s.document(&doc)
}

// print prints the heading: machine, kernels and base.
func (d *benchDocument) print(s *stdio) {
	s.printf("%s, class %s\nkernels %s, %s, %s", cmp.Or(d.Machine.CPU, "unknown"), d.Machine.CPUClass, d.KernelSet, d.Precision,
		text.Plural(d.Threads, "thread", "threads"))
	s.printf("melo %s %s, %s", d.Version.Version, d.Version.Short(), d.Version.Go)
	s.entry("base: ", "width %d, depth %d, MLP %d, %d tokens (%s)", d.Base.Width, d.Base.Depth, d.Base.MLP, d.Base.Tokens,
		cmp.Or(d.Base.Path, "random weights"))
}

// wants reports whether a part was selected.
func (o *benchOptions) wants(part string) bool {
	if part == "profile" && o.Profile {
		return true
	}
	if len(o.Only) == 0 {
		return part != "profile"
	}
	return slices.Contains(o.Only, part)
}
