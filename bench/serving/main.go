// Command serving measures the engine of package serve: what switching between adapters costs, what a thousand of them
// take in memory, what happens when they do not fit, and how Hugging Face's PEFT does the same. README.md has the
// workloads.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// options are the flags.
type options struct {
	base, dir, python, precision, json string
	adapters, rounds, requests         int
	clients, workers, batch, tasks     int
	skew                               float64
	seconds                            time.Duration
	bf16                               bool
}

// workload is one measurement; it returns its numbers.
type workload func(ctx context.Context, o *options) (any, error)

var workloads = map[string]workload{"switch": measureSwitch, "memory": measureMemory, "zipf": measureZipf, "peft": measurePEFT, "tasks": measureTasks}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.base, "base", "", "folder of the base")
	flag.StringVar(&o.dir, "dir", "", "folder that keeps the adapters of the measurement; empty: a temporary one")
	flag.StringVar(&o.python, "python", "python3", "interpreter with the packages of bench/compare/requirements.txt (peft)")
	flag.StringVar(&o.precision, "precision", "f32", "of the base: f32, bf16 or int8")
	flag.StringVar(&o.json, "json", "", "file for the numbers")
	flag.IntVar(&o.adapters, "adapters", 1000, "adapters")
	flag.IntVar(&o.tasks, "tasks", 14, "adapters that are asked about one image (tasks)")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of workloads that take turns")
	flag.IntVar(&o.requests, "requests", 32, "requests of one turn")
	flag.IntVar(&o.clients, "clients", 8, "clients that each wait for their answer")
	flag.IntVar(&o.workers, "workers", 0, "threads; 0: all cores")
	flag.IntVar(&o.batch, "batch", 0, "the most images of a pass; 0: what the batching curve says")
	flag.Float64Var(&o.skew, "skew", 1, "exponent of Zipf's law (zipf)")
	flag.DurationVar(&o.seconds, "seconds", 10*time.Second, "length of one turn (zipf)")
	flag.BoolVar(&o.bf16, "bf16", false, "adapters in bfloat16, as melo train --dtype bf16 writes them")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: serving [flags] %s\n", strings.Join(names(), "|"))
		flag.PrintDefaults()
	}
	flag.Parse()
	work, ok := workloads[flag.Arg(0)]
	if !ok || flag.NArg() != 1 || o.base == "" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "melo-serving-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	} else if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	fmt.Printf("%s: %s, %s, %s kernels, %d cores, load %s\n", flag.Arg(0), o.base, o.precision, kernel.Name(), runtime.NumCPU(), load())
	doc, err := work(ctx, &o)
	if err != nil || o.json == "" {
		return err
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o600)
}

func names() []string {
	var list []string
	for name := range workloads {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (o *options) parsePrecision() (vit.Precision, error) { return vit.ParsePrecision(o.precision) }

// load is the machine's load, if the system tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:1], " ")
}

// median of a copy of v.
func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile of a copy of v, by linear interpolation.
func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// residentBytes is the memory of this process that is in RAM, its mapped files aside; 0 where the system does not tell.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
