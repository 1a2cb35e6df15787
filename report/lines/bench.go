package lines

import (
	"fmt"
	"strings"

	"melo.example/melo/bench/machine"
	"melo.example/melo/internal/text"
)

// Bench shows measurements to people as they come.
type Bench struct {
	l Writer
}

// NewBench returns one that writes to l.
func NewBench(l Writer) *Bench { return &Bench{l} }

// Part begins a part.
func (p *Bench) Part(name string) {
	switch name {
	case "kernels":
		p.l.Printf("\n%-10s %-16s %-5s %8s %10s %9s %8s %7s", "kernel", "shape", "", "threads", "time", "GFLOP/s", "of peak", "spread")
	case "forward":
		p.l.Printf("")
	}
}

// Report is told each result.
func (p *Bench) Report(result any) {
	switch x := result.(type) {
	case *machine.Kernel:
		rate := fmt.Sprintf("%9.1f %7.1f%%", x.GFLOPS, 100*x.ShareOfPeak)
		if x.GBPerSecond > 0 {
			rate = fmt.Sprintf("%9s %8s", fmt.Sprintf("%.1f GB/s", x.GBPerSecond), "")
		}
		p.l.Printf("%-10s %-16s %-5s %8d %10s %s %6.0f%%", x.Name, x.Shape, x.Precision, x.Threads, text.Seconds(x.Seconds), rate, 100*x.Spread)
	case *machine.Pass:
		p.pass("forward", x)
	case *machine.Step:
		p.pass("step", &x.Pass)
	case *machine.Switch:
		p.l.Printf("%-16s %7s, %d allocations in %d changes, %d in %d passes", "switch",
			text.Seconds(x.Seconds), x.Allocations, x.Changes, x.ForwardAllocations, x.Adapters)
	case *machine.Mixed:
		p.l.Printf("%-16s %7s with %d adapters of rank %d to %d", fmt.Sprintf("mixed, batch %d", x.Batch), text.Seconds(x.Mixed.Seconds), x.Adapters, x.MinRank, x.MaxRank)
		p.l.Printf("%-16s %7s with one of rank %d: ratio %.3f, spread %.0f%%", "", text.Seconds(x.One.Seconds), x.OneRank, x.Ratio, 100*x.Mixed.Spread)
	case *machine.Profile:
		p.profile(x)
	case *machine.Peak:
		p.l.Printf("peak of %s on %s: %.1f GFLOP/s (spread %.0f%%)", x.Precision, text.Plural(x.Threads, "thread", "threads"), x.GFLOPS, 100*x.Spread)
	}
}

func (p *Bench) pass(name string, x *machine.Pass) {
	p.l.Printf("%-16s %7s %7.1f img/s %6.1f GFLOP/s %5.1f%% of peak, spread %.0f%%",
		fmt.Sprintf("%s, batch %d", name, x.Batch), text.Seconds(x.Seconds), x.ImagesPerSecond, x.GFLOPS, 100*x.ShareOfPeak, 100*x.Spread)
}

func (p *Bench) profile(d *machine.Profile) {
	p.l.Printf("\nwhere the time goes: %s, batch %d, %s", d.Pass, d.Batch, text.Seconds(d.Seconds))
	for _, x := range d.Parts {
		rate := ""
		if x.GFLOPS > 0 {
			rate = fmt.Sprintf("%9.1f GFLOP/s", x.GFLOPS)
		}
		p.l.Printf("  %-9s %-10s %5d x %10s %6.1f%% %s", x.Phase, x.Part, x.Calls, text.Seconds(x.Seconds), 100*x.Share, rate)
	}
	for _, x := range d.Blocks {
		line := fmt.Sprintf("  block %-3d  forward %10s", x.Block, text.Seconds(x.Forward))
		if x.Backward > 0 {
			line += fmt.Sprintf("  backward %10s", text.Seconds(x.Backward))
		}
		p.l.Printf("%s", strings.TrimRight(line, " "))
	}
}
