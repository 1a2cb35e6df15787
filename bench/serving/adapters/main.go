// Command adapters writes adapters with random numbers for a base: NAME-0000.safetensors and so on. They answer like
// trained ones and take as long.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

func main() {
	base := flag.String("base", "", "folder or file of the base")
	out := flag.String("out", "", "folder to write to")
	name := flag.String("name", "task", "beginning of the names")
	n := flag.Int("n", 1, "how many")
	rank := flag.Int("rank", 4, "rank, on q and v of all blocks")
	classes := flag.Int("classes", 3, "labels")
	flag.Parse()
	if err := run(*base, *out, *name, *n, *rank, *classes); err != nil {
		fmt.Fprintln(os.Stderr, "adapters:", err)
		os.Exit(1)
	}
}

func run(base, out, name string, n, rank, classes int) error {
	pool := par.New(0)
	defer pool.Close()
	m, err := vit.Open(base, vit.Options{Workers: pool})
	if err != nil {
		return err
	}
	digest, err := adapterfile.BaseDigest(base)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	for i := range n {
		a, err := lora.New(&m.Config, lora.Config{Rank: rank}, classes, uint64(i))
		if err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		for _, d := range a.Deltas {
			for j := range d.B {
				d.B[j] = float32(rng.NormFloat64()) * 0.02
			}
		}
		f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, "", "", digest),
			Method: lora.MeLo, Task: adapterfile.Multiclass, Recipe: m.Recipe}}
		for c := range classes {
			f.Meta.Labels = append(f.Meta.Labels, adapterfile.Label{Name: fmt.Sprintf("class %d", c)})
		}
		f.Meta.SelfTest = selfTest(m, a, uint64(i))
		path := filepath.Join(out, fmt.Sprintf("%s-%04d.safetensors", name, i))
		if err := f.WriteTypes(path, adapterfile.Types{DType: safetensors.F32}); err != nil {
			return err
		}
	}
	return nil
}

// selfTest is what the adapter computes of one input: the server asks for it in precisions other than float32.
func selfTest(m *vit.Model, a *lora.Adapter, seed uint64) *adapterfile.SelfTest {
	engine := m.NewEngine(1)
	x := make([]float32, m.Recipe.Values())
	adapterfile.SelfTestInput(x, seed, 0)
	logits := make([]float32, a.Head.Classes)
	a.Head.Logits(logits, engine.Features(x, 1, lora.Segment{Adapter: a.Resident(m.Precision), Images: 1}))
	return &adapterfile.SelfTest{Seed: seed, Logits: [][]float32{slices.Clone(logits)}}
}
