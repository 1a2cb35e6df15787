// Command basestable writes docs/bases.md: which bases there are, what to type, how equal their features are to those of the
// package that they come from, and what they cost. Equality is measured on the models of testdata/golden that consist of the same
// parts under the same names; time and memory with random weights of the size in question.
//
//	go run ./tools/basestable -measure     # writes tools/basestable/measured.json; takes a while
//	go run ./tools/basestable              # writes docs/bases.md from it
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

const (
	stored   = "tools/basestable/measured.json"
	document = "docs/bases.md"
	goldens  = "testdata/golden"
)

// measured is what was measured.
type measured struct {
	Machine  string                     `json:"machine"`
	Cores    int                        `json:"cores"`
	Date     string                     `json:"date"`
	Equality map[string]float64         `json:"equality"` // by golden model: greatest difference over greatest number
	Cost     map[string]map[string]cost `json:"cost"`     // by size and precision
}

// cost is that of one image on its own.
type cost struct {
	Milliseconds float64 `json:"ms"`
	Megabytes    float64 `json:"mb"` // resident, after a pass
}

func main() {
	log.SetFlags(0)
	again := flag.Bool("measure", false, "measure again")
	one := flag.String("one", "", "measure one size in this process: SIZE,PRECISION")
	flag.Parse()
	if err := run(*again, *one); err != nil {
		log.Fatal(err)
	}
}

func run(again bool, one string) error {
	if size, precision, ok := strings.Cut(one, ","); ok {
		return measureHere(size, precision)
	}
	if again {
		if err := measure(); err != nil {
			return err
		}
	}
	m, err := load(stored)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(render(m)), 0o666)
}

func load(path string) (*measured, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &measured{}
	return m, json.Unmarshal(text, m)
}

// measure measures everything and stores it.
func measure() error {
	m := &measured{Machine: sysinfo.This().CPUClass, Cores: runtime.NumCPU(), Date: time.Now().Format("2 January 2006"), Equality: map[string]float64{},
		Cost: map[string]map[string]cost{}}
	for _, r := range rows {
		for _, name := range r.golden {
			d, err := equality(filepath.Join(goldens, name))
			if err != nil {
				return err
			}
			m.Equality[name] = d
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		m.Cost[size] = map[string]cost{}
		for _, p := range []string{"int8", "bf16", "f32"} {
			out, err := exec.Command(self, "-one", size+","+p).Output()
			if err != nil {
				return fmt.Errorf("%s in %s: %w", size, p, err)
			}
			var c cost
			if err := json.Unmarshal(out, &c); err != nil {
				return err
			}
			m.Cost[size][p] = c
			log.Printf("%s in %s: %.0f ms, %.0f MB", size, p, c.Milliseconds, c.Megabytes)
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(stored, append(text, '\n'), 0o666)
}

// measureHere measures one size in this process, which does nothing else.
func measureHere(size, precision string) error {
	c, ok := sizes[size]
	if !ok {
		return fmt.Errorf("no size %q", size)
	}
	p, err := vit.ParsePrecision(precision)
	if err != nil {
		return err
	}
	old := debug.SetGCPercent(10) // what the weights are drawn in is not part of the network
	pool := compute.NewPool(0)
	m, err := vit.New(&checkpoint.Description{Config: c}, weights(&c), vit.Options{Workers: pool, Precision: p})
	if err != nil {
		return err
	}
	debug.SetGCPercent(old)
	engine, x := m.NewEngine(1), make([]float32, c.Channels*c.Image*c.Image)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)))
	}
	debug.FreeOSMemory()
	best := math.Inf(1)
	for range 5 {
		start := time.Now()
		engine.Features(x, 1)
		best = min(best, time.Since(start).Seconds())
	}
	now, _ := sysinfo.Resident()
	return json.NewEncoder(os.Stdout).Encode(cost{math.Round(1e4*best) / 10, math.Round(float64(now) / 1e6)})
}

// weights gives numbers under which activations stay of one size: a piece of a list that is drawn once for each parameter.
func weights(c *arch.Config) func(name string) []float32 {
	rng := rand.New(rand.NewPCG(1, 1))
	list := make([]float32, 1<<20)
	for i := range list {
		list[i] = float32(rng.NormFloat64())
	}
	shapes := map[string][]int{}
	for _, p := range c.Params() {
		shapes[p.Name] = p.Shape
	}
	return func(name string) []float32 {
		p := arch.Param{Name: name, Shape: shapes[name]}
		v, scale, shift := make([]float32, p.Len()), float32(0.1), float32(0)
		if len(p.Shape) > 1 && strings.HasSuffix(name, ".weight") {
			scale = float32(math.Sqrt(float64(p.Shape[0]) / float64(p.Len())))
		} else if strings.HasSuffix(name, ".weight") {
			shift = 1 // of a norm
		}
		at := rng.IntN(len(list))
		for i := range v {
			v[i] = shift + scale*list[(at+i)&(len(list)-1)]
		}
		return v
	}
}

// equality is the greatest difference of the features, or of the logits, over the greatest number of PyTorch's.
func equality(dir string) (float64, error) {
	f, err := safetensors.Open(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	values := func(name string) []float32 {
		t, ok := f.Tensor(name)
		if !ok {
			return nil
		}
		v, err := t.Float32s(nil)
		if err != nil {
			return nil
		}
		return v
	}
	input, ok := f.Tensor("input")
	if !ok {
		return 0, fmt.Errorf("%s: no input", dir)
	}
	m, err := vit.Open(dir, vit.Options{Image: input.Shape[3]})
	if err != nil {
		return 0, err
	}
	features := m.NewEngine(2).Features(values("input"), 2)
	worst, compared := 0.0, false
	compare := func(got, want []float32) {
		if len(got) != len(want) || len(got) == 0 {
			return
		}
		compared = true
		most, size := 0.0, 0.0
		for i, w := range want {
			most, size = max(most, math.Abs(float64(got[i]-w))), max(size, math.Abs(float64(w)))
		}
		worst = max(worst, most/size)
	}
	compare(features, values("tap.pooled"))
	if m.Head != nil {
		logits := make([]float32, 2*m.Classes)
		m.Logits(logits, features)
		compare(logits, values("logits"))
	}
	if !compared {
		return 0, fmt.Errorf("%s: nothing to compare", dir)
	}
	return worst, nil
}
