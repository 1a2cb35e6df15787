package main

import (
	"fmt"
	"strings"

	"melo.example/melo/bench/machine"
)

// benchPrinter shows measurements to people as they come.
type benchPrinter struct {
	s *stdio
}

func (p *benchPrinter) header(d *benchDocument) {
	p.s.printf("%s, class %s\nkernels %s, %s, %s",
		orUnknown(d.Machine.CPU), d.Machine.CPUClass, d.KernelSet, d.Precision, plural(d.Threads, "thread", "threads"))
	p.s.printf("melo %s %s, %s", d.Version.Version, d.Version.Short(), d.Version.Go)
	what := "random weights"
	if d.Base.Path != "" {
		what = d.Base.Path
	}
	p.s.entry("base: ", "width %d, depth %d, MLP %d, %d tokens (%s)", d.Base.Width, d.Base.Depth, d.Base.MLP, d.Base.Tokens, what)
}

// part begins a part.
func (p *benchPrinter) part(name string) {
	switch name {
	case "kernels":
		p.s.printf("\n%-10s %-16s %-5s %8s %10s %9s %8s %7s", "kernel", "shape", "", "threads", "time", "GFLOP/s", "of peak", "spread")
	case "forward":
		p.s.printf("")
	}
}

// report is told each result.
func (p *benchPrinter) report(result any) {
	switch x := result.(type) {
	case *machine.Kernel:
		rate := fmt.Sprintf("%9.1f %7.1f%%", x.GFLOPS, 100*x.ShareOfPeak)
		if x.GBPerSecond > 0 {
			rate = fmt.Sprintf("%9s %8s", fmt.Sprintf("%.1f GB/s", x.GBPerSecond), "")
		}
		p.s.printf("%-10s %-16s %-5s %8d %10s %s %6.0f%%", x.Name, x.Shape, x.Precision, x.Threads, seconds(x.Seconds), rate, 100*x.Spread)
	case *machine.Pass:
		p.pass("forward", x)
	case *machine.Step:
		p.pass("step", &x.Pass)
	case *machine.Switch:
		p.s.printf("%-16s %7s, %d allocations in %d changes, %d in %d passes", "switch",
			seconds(x.Seconds), x.Allocations, x.Changes, x.ForwardAllocations, x.Adapters)
	case *machine.Mixed:
		p.s.printf("%-16s %7s with %d adapters of rank %d to %d", fmt.Sprintf("mixed, batch %d", x.Batch), seconds(x.Mixed.Seconds), x.Adapters, x.MinRank, x.MaxRank)
		p.s.printf("%-16s %7s with one of rank %d: ratio %.3f, spread %.0f%%", "", seconds(x.One.Seconds), x.OneRank, x.Ratio, 100*x.Mixed.Spread)
	case *machine.Profile:
		p.profile(x)
	case *machine.Peak:
		p.s.printf("peak of %s on %s: %.1f GFLOP/s (spread %.0f%%)", x.Precision, plural(x.Threads, "thread", "threads"), x.GFLOPS, 100*x.Spread)
	}
}

func (p *benchPrinter) pass(name string, x *machine.Pass) {
	p.s.printf("%-16s %7s %7.1f img/s %6.1f GFLOP/s %5.1f%% of peak, spread %.0f%%",
		fmt.Sprintf("%s, batch %d", name, x.Batch), seconds(x.Seconds), x.ImagesPerSecond, x.GFLOPS, 100*x.ShareOfPeak, 100*x.Spread)
}

func (p *benchPrinter) profile(d *machine.Profile) {
	p.s.printf("\nwhere the time goes: %s, batch %d, %s", d.Pass, d.Batch, seconds(d.Seconds))
	for _, x := range d.Parts {
		rate := ""
		if x.GFLOPS > 0 {
			rate = fmt.Sprintf("%9.1f GFLOP/s", x.GFLOPS)
		}
		p.s.printf("  %-9s %-10s %5d x %10s %6.1f%% %s", x.Phase, x.Part, x.Calls, seconds(x.Seconds), 100*x.Share, rate)
	}
	for _, x := range d.Blocks {
		line := fmt.Sprintf("  block %-3d  forward %10s", x.Block, seconds(x.Forward))
		if x.Backward > 0 {
			line += fmt.Sprintf("  backward %10s", seconds(x.Backward))
		}
		p.s.printf("%s", strings.TrimRight(line, " "))
	}
}

// seconds writes a duration with three digits: "6.71ms".
func seconds(s float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
		if s >= 0.9995*unit.size { // what three digits round up to one
			return fmt.Sprintf("%.3g%s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.3gns", s/1e-9)
}
