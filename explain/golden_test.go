package explain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/golden"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/plain"
)

// goldenCase is what tools/golden_explain wrote: maps of pytorch-grad-cam, of Chefer's rule in PyTorch and of Captum.
type goldenCase struct {
	Kind, Lora           string
	Head                 []float32
	Label, Against       int
	GradCAM, Attribution [][]float32
	Occlusion            []struct {
		Window, Stride int
		Maps           [][]float32
	}
}

// goldenTol is relative to the largest value of a map: float32 in a few layers against float64.
const goldenTol = 1e-4

// TestGolden: on the same weights maps are those of pytorch-grad-cam, of Chefer's rule and of Captum's occlusion, with the
// fast engine and with the plain one.
func TestGolden(t *testing.T) {
	for _, g := range goldenCases(t) {
		c := golden.Open(t, g.Kind)
		m, err := vit.Open(c.Dir, vit.Options{Workers: pool(t)})
		if err != nil {
			t.Fatal(err)
		}
		p, err := plain.New(m.Config, m.Parameter)
		if err != nil {
			t.Fatal(err)
		}
		input := c.Data("input")
		n, score := len(input)/(3*m.Image*m.Image), Score{g.Label, g.Against}
		for _, model := range []*compute.Model{m, p} {
			s := Subject{Model: model, Adapter: g.adapter(m, c)}
			check := func(o Options, want [][]float32, scale func([]float32)) {
				t.Helper()
				o.Batch = 3
				got := maps(t, s, o, input, n, score)
				size := len(got) / n
				for i := range n {
					one := got[i*size : (i+1)*size]
					if scale != nil {
						scale(one)
					}
					golden.CheckSlices(t, g.Kind+" "+string(o.Method), one, want[i], goldenTol)
				}
			}
			check(Options{Method: GradCAM}, g.GradCAM, unit)
			check(Options{Method: Attribution}, g.Attribution, nil)
			for _, o := range g.Occlusion {
				check(Options{Method: Occlusion, Window: o.Window, Stride: o.Stride}, o.Maps, nil)
			}
		}
	}
}

func goldenCases(t *testing.T) (cases []goldenCase) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	return cases
}

// unit scales a map to 0 to 1 as pytorch-grad-cam does.
func unit(x []float32) {
	low := slices.Min(x)
	for i := range x {
		x[i] -= low
	}
	high := slices.Max(x) + 1e-7
	for i := range x {
		x[i] /= high
	}
}

// adapter returns the adapter of a golden folder with the case's head, or the base's own.
func (g *goldenCase) adapter(m *compute.Model, c *golden.Case) *compute.Adapter {
	var deltas []compute.Delta
	for _, site := range m.Sites() {
		name := g.Lora + "." + strings.Replace(site.String(), "blocks", "block", 1)
		if !c.Has(name + ".A") {
			continue
		}
		in, _ := m.SiteDims(site)
		a, b := c.Data(name+".A"), c.Data(name+".B")
		deltas = append(deltas, compute.Delta{Site: site, Rank: len(a) / in, Scale: 2, A: compute.Numbers{F32: a}, B: compute.Numbers{F32: b}})
	}
	if len(deltas) == 0 {
		panic("no matrices of an adapter in " + c.Dir)
	}
	head := m.Head
	if g.Head != nil {
		n := len(g.Head) / m.Features()
		head = &compute.Head{Classes: n, Features: m.Features(), W: g.Head, Bias: make([]float32, n)}
	}
	return compute.NewAdapter(deltas, head, compute.F32)
}

func pool(t *testing.T) *compute.Pool {
	t.Helper()
	p := compute.NewPool(2)
	t.Cleanup(p.Close)
	return p
}

func maps(t *testing.T, s Subject, o Options, input []float32, n int, score Score) []float32 {
	t.Helper()
	e, err := New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Maps(input, n, slices.Repeat([]Score{score}, n))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestEveryNetwork: for every golden model, with an adapter and a head, the maps of the fast engine are those of the plain
// one, by each method, and say something.
func TestEveryNetwork(t *testing.T) {
	kinds, err := filepath.Glob(filepath.Join(golden.Root(t), "*", "config.json"))
	if err != nil || len(kinds) < 20 {
		t.Fatalf("%d models: %v", len(kinds), err)
	}
	for _, config := range kinds {
		kind := filepath.Base(filepath.Dir(config))
		c := golden.Open(t, kind)
		if !c.Has("tap.patch") || strings.HasSuffix(kind, "_resized") {
			continue
		}
		m, err := vit.Open(c.Dir, vit.Options{Workers: pool(t), Image: c.Tensor("input").Shape[2]})
		if err != nil {
			t.Fatal(err)
		}
		p, err := plain.New(m.Config, m.Parameter)
		if err != nil {
			t.Fatal(err)
		}
		input := c.Data("input")[:3*m.Image*m.Image]
		g := goldenCase{Lora: "lora", Head: make([]float32, 3*m.Features())}
		for i := range g.Head {
			g.Head[i] = float32(i*7%11) - 5
		}
		adapter := g.adapter(m, c)
		for _, method := range Methods() {
			o := Options{Method: method, Window: 1}
			got := maps(t, Subject{m, adapter, false}, o, input, 1, Score{1, Nothing})
			want := maps(t, Subject{p, adapter, false}, o, input, 1, Score{1, Nothing})
			if slices.Max(want) > 1e-4 { // else rounding is left
				golden.CheckSlices(t, kind+" "+string(method), got, want, 2e-3)
			}
			if method != GradCAM && slices.Max(got) == slices.Min(got) {
				t.Errorf("%s: the map by %s says nothing", kind, method)
			}
		}
		if m.Head == nil {
			continue
		}
		for _, method := range Methods() { // the base's own head, DeiT's two among them
			golden.CheckSlices(t, kind+" own head "+string(method), maps(t, Subject{m, nil, false}, Options{Method: method}, input, 1, Score{1, 0}),
				maps(t, Subject{p, nil, false}, Options{Method: method}, input, 1, Score{1, 0}), 2e-3)
		}
	}
	if m := vit.Random(pool(t), arch.Config{Width: 8, Depth: 1, Heads: 2, MLP: 16, Image: 4, Patch: 2, Channels: 3, Class: true, PosPrefix: true,
		FinalNorm: true, Act: arch.GELUErf, Eps: 1e-6, Pooling: arch.PoolTokens, Classes: 2}, compute.F32, 0.3, 1); m != nil {
		if _, err := New(Subject{Model: m}, Options{}); err == nil || !strings.Contains(err.Error(), "tokens") {
			t.Errorf("error %v, expected one about the pooling", err)
		}
	}
}
