package adapterfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// logitTol is relative to the largest logit: float32 rounding against float64 through three blocks, as for the
// taps in package vit.
const logitTol = 2e-5

// logits runs an adapter with a head on a golden base.
func logits(t *testing.T, m *vit.Model, f *File, input []float32) []float32 {
	t.Helper()
	if err := f.CheckBase(&m.Config, ""); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, 2*f.Adapter.Head.Classes)
	f.Adapter.Head.Logits(y, m.NewEngine(2).Features(input, 2, lora.Segment{Adapter: f.Adapter.Resident(vit.F32), Images: 2}))
	return y
}

func openBase(t testing.TB, kind string) *vit.Model {
	t.Helper()
	m, err := vit.Open(filepath.Join(golden.Root(t), kind), vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// same fails unless two adapters are equal to the bit, from their files to their scales.
func same(t *testing.T, what string, got, want *File) {
	t.Helper()
	sameAdapter(t, got.Adapter, want.Adapter, exact, exact)
	for i, d := range want.Adapter.Deltas {
		if bits := math.Float32bits; bits(d.Scale) != bits(got.Adapter.Deltas[i].Scale) {
			t.Errorf("%s: %v has scale %g, expected %g", what, d.Site, got.Adapter.Deltas[i].Scale, d.Scale)
		}
	}
}

func TestGoldenLoRAViT(t *testing.T) {
	m := openBase(t, "timm_vit")
	for name, blocks := range map[string][]int{"loravit": nil, "loravit_subset": {1, 2}} {
		c := golden.Open(t, "adapters/"+name)
		for _, alpha := range []int{2, 4, 6, 8} { // alpha // 4 = 0, 1, 1, 2
			o := LoRAViTOptions{Import: Import{Base: &m.Config}, Alpha: alpha, Blocks: blocks}
			f, err := ReadLoRAViT(filepath.Join(c.Dir, "adapter.safetensors"), o)
			if err != nil {
				t.Fatal(err)
			}
			if want := float32(alpha / 4); f.Adapter.Deltas[0].Scale != want {
				t.Errorf("alpha %d: scale %g, expected %g", alpha, f.Adapter.Deltas[0].Scale, want)
			}
			c.Check(t, fmt.Sprintf("logits.alpha%d", alpha), logits(t, m, f, c.Data("input")), logitTol)
		}
	}
	f, err := ReadLoRAViT(filepath.Join(golden.Root(t), "adapters/loravit/adapter.safetensors"), LoRAViTOptions{Import: Import{Look: true}})
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Adapter.Deltas[0]; d.Scale != 1 || f.Meta.Base.Width != 32 || len(f.Meta.Labels) != 3 || f.Meta.Task != Multiclass {
		t.Errorf("without options: scale %g, %+v", d.Scale, f.Meta)
	}
}

// What a file does not tell is asked for, not guessed.
func TestLoRAViTUntold(t *testing.T) {
	base := openBase(t, "timm_vit").Config // of three blocks
	for _, c := range []struct {
		name string
		o    LoRAViTOptions
		want string
	}{
		{"loravit", LoRAViTOptions{Import: Import{Base: &base}, Alpha: 4}, ""},
		{"loravit", LoRAViTOptions{Import: Import{Base: &base}}, "alpha"},
		{"loravit", LoRAViTOptions{Alpha: 4}, "blocks"},
		{"loravit_subset", LoRAViTOptions{Import: Import{Base: &base}, Alpha: 4}, "blocks"},
		{"loravit_subset", LoRAViTOptions{Alpha: 4, Blocks: []int{0, 2}}, ""},
	} {
		_, err := ReadLoRAViT(filepath.Join(golden.Root(t), "adapters", c.name, "adapter.safetensors"), c.o)
		untold := &UntoldError{}
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &untold) || untold.What != c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
}

// TestLoRAViTRoundTrip: native -> LoRA-ViT -> native keeps every number, scale and site.
func TestLoRAViTRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	for name, cfg := range map[string]lora.Config{
		"scale 1": {}, "scale 2": {Alpha: 8}, "one block": {Blocks: []int{1}}, "rank 3": {Rank: 3, Alpha: 9},
	} {
		want := example(t, tiny(), cfg, Labels("a", "b", "c"))
		if name == "scale 2" {
			clear(want.Adapter.Head.Bias)
		}
		alpha, err := want.WriteLoRAViT(path, safetensors.F32)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := want.Adapter.Deltas[0]
		if float32(alpha/d.Rank) != d.Scale {
			t.Errorf("%s: alpha %d for scale %g", name, alpha, d.Scale)
		}
		got, err := ReadLoRAViT(path, LoRAViTOptions{Import: Import{Base: tiny(), Labels: Labels("a", "b", "c"), Task: Multilabel}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, got, want)
		if got.Meta.Labels[2].Name != "c" || got.Meta.Task != Multilabel || got.Meta.Training.Source != "loravit" {
			t.Errorf("%s: %+v", name, got.Meta)
		}
	}
	// A scale of 0 is one, too, and a head alone is a linear adapter.
	want := example(t, tiny(), lora.Config{}, Labels("a", "b"))
	for i := range want.Adapter.Deltas {
		want.Adapter.Deltas[i].Alpha, want.Adapter.Deltas[i].Scale = 0, 0
	}
	roundTripLoRAViT(t, want, path)
	want.Adapter.Deltas, want.Meta.Method = nil, lora.LinearOnly
	if got := roundTripLoRAViT(t, want, path); got.Meta.Method != lora.LinearOnly {
		t.Errorf("method %s of a head alone", got.Meta.Method)
	}
}

func roundTripLoRAViT(t *testing.T, want *File, path string) *File {
	t.Helper()
	if _, err := want.WriteLoRAViT(path, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLoRAViT(path, LoRAViTOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "round trip", got, want)
	return got
}

func TestWriteLoRAViTRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	for want, cfg := range map[string]lora.Config{
		"blocks.0.k: LoRA-ViT's format has q and v": {Kinds: []vit.Kind{vit.Q, vit.K}},
		"blocks.1.q: LoRA-ViT's format has q and v": {Kinds: []vit.Kind{vit.Q}, Blocks: []int{1}},
		"blocks.0.q: scale 1.5: LoRA-ViT has one":   {Alpha: 6},
		"blocks.0.v: rank 2 beside rank 4":          {PerKind: map[vit.Kind]int{vit.V: 2}},
		"blocks.0.v: scale 2: LoRA-ViT has one":     {Alpha: 4, PerKind: map[vit.Kind]int{vit.V: 2}},
	} {
		f := example(t, tiny(), cfg, Labels("a", "b"))
		if strings.Contains(want, "scale 2:") { // one rank, two scales
			f = example(t, tiny(), lora.Config{}, Labels("a", "b"))
			f.Adapter.Deltas[1].Alpha, f.Adapter.Deltas[1].Scale = 8, 2
		}
		if _, err := f.WriteLoRAViT(path, safetensors.F32); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was left", want)
		}
	}
}

// TestFold: folding the scale into B makes any scale expressible, and the same function.
func TestFold(t *testing.T) {
	m := openBase(t, "timm_vit")
	c := golden.Open(t, "adapters/loravit")
	f, err := ReadLoRAViT(filepath.Join(c.Dir, "adapter.safetensors"), LoRAViTOptions{Alpha: 8, Blocks: []int{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	folded := f.Fold()
	if folded.Adapter.Deltas[3].Scale != 1 || f.Adapter.Deltas[3].Scale != 2 {
		t.Errorf("scales %g and %g", folded.Adapter.Deltas[3].Scale, f.Adapter.Deltas[3].Scale)
	}
	c.Check(t, "logits.alpha8", logits(t, m, folded, c.Data("input")), logitTol)
}

// loravitFile makes a LoRA-ViT file with things changed.
func loravitFile(t testing.TB, change func(x tensorMap, metadata map[string]string)) []byte {
	t.Helper()
	f := example(t, tiny(), lora.Config{}, Labels("a", "b"))
	list, metadata, _, err := f.loravit(safetensors.F32)
	if err != nil {
		t.Fatal(err)
	}
	tensors := tensorMap{}
	for _, x := range list {
		tensors[x.Name] = x
	}
	change(tensors, metadata)
	return packTensors(t, tensors, metadata)
}

func TestReadLoRAViTRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		options LoRAViTOptions
		change  func(x tensorMap, metadata map[string]string)
	}{
		`missing tensors: w_b_000 to w_b_003`: {change: func(x tensorMap, _ map[string]string) {
			for i := range 4 {
				delete(x, fmt.Sprintf("w_b_%03d", i))
			}
		}},
		`missing tensors: w_a_001, w_b_002`: {change: func(x tensorMap, _ map[string]string) { delete(x, "w_a_001"); delete(x, "w_b_002") }},
		`belong to nothing: "norm.weight"`:  {change: func(x tensorMap, _ map[string]string) { x["n"] = floats(t, "norm.weight", 1, 8) }},
		`belong to nothing: "w_a_0000"`:     {change: func(x tensorMap, _ map[string]string) { x["w"] = floats(t, "w_a_0000", 1, 4, 8) }},
		`belong to nothing: "fc_9in_2out"`:  {change: func(x tensorMap, _ map[string]string) { x["f"] = floats(t, "fc_9in_2out", 1, 2, 9) }},
		`tensor "w_b_001": value 0 is NaN`: {change: func(x tensorMap, _ map[string]string) {
			x["w_b_001"] = floats(t, "w_b_001", float32(math.NaN()), 8, 4)
		}},
		`tensor "w_a_002": shape [8 4], expected [4 8]`: {change: func(x tensorMap, _ map[string]string) { x["w_a_002"] = floats(t, "w_a_002", 1, 8, 4) }},
		`tensor "fc_8in_2out": shape [2 9], expected [2 8]`: {change: func(x tensorMap, _ map[string]string) {
			x["fc_8in_2out"] = floats(t, "fc_8in_2out", 1, 2, 9)
		}},
		// Without the limit a tensor without data would make room for the biases of its classes.
		`tensor "fc_0in_9999999out": expected 1 to 8192 classes`: {change: func(x tensorMap, _ map[string]string) {
			delete(x, "fc_8in_2out")
			delete(x, "fc_8in_2out_bias")
			x["fc"] = floats(t, "fc_0in_9999999out", 1, 9999999, 0)
		}},
		`3 pairs of matrices, expected 2`: {change: func(x tensorMap, _ map[string]string) { delete(x, "w_a_003"); delete(x, "w_b_003") }},
		`for each of 3 blocks`:            {options: LoRAViTOptions{Blocks: []int{0, 1, 2}}},
		`blocks.0.q stands twice`:         {options: LoRAViTOptions{Blocks: []int{0, 0}}},
		`alpha -1, expected`:              {options: LoRAViTOptions{Alpha: -1}},
		`3 labels given, expected 2`:      {options: LoRAViTOptions{Import: Import{Labels: Labels("a", "b", "c")}}},
		`width: expected 8, found 768`:    {options: LoRAViTOptions{Import: Import{Base: vitB()}}},
		`the base has 2 blocks`:           {options: LoRAViTOptions{Import: Import{Base: tiny()}, Blocks: []int{0, 2}}},
		`melo.alpha "x", expected`:        {change: func(_ tensorMap, m map[string]string) { m[loravitAlpha] = "x" }},
		`melo.blocks "0,", expected`:      {change: func(_ tensorMap, m map[string]string) { m[loravitBlocks] = "0," }},
		`neither w_a_000 nor a head`:      {change: func(x tensorMap, m map[string]string) { clear(x); clear(m) }},
	} {
		if c.change == nil {
			c.change = func(tensorMap, map[string]string) {}
		}
		st, err := safetensors.Parse(loravitFile(t, c.change), "x.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseLoRAViT(st, c.options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}

// shared returns the path of real data beside the checkout; without it the test is skipped.
func shared(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(golden.Root(t), "..", "..", "..", "shared", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	return path
}

func TestRealLoRAViT(t *testing.T) {
	path := shared(t, "weights/adapters/melo_sam_vitb_r4/sam_lora_rank4.safetensors")
	f, err := ReadLoRAViT(path, LoRAViTOptions{Import: Import{Base: vitB()}, Alpha: 4})
	if err != nil {
		t.Fatal(err)
	}
	if n, head := f.Adapter.Parameters(); n != 147456 || head != 0 || f.Adapter.Deltas[23].Site != (vit.Site{Block: 11, Kind: vit.V}) {
		t.Errorf("%d parameters, %d in the head", n, head)
	}
	roundTripLoRAViT(t, f, filepath.Join(t.TempDir(), "a.safetensors"))
}

func TestRealMalformed(t *testing.T) {
	for _, name := range []string{"loravit_300bee1_lora", "loravit_300bee1_feb27"} {
		path := shared(t, "weights/adapters/malformed/"+name+".safetensors")
		_, err := ReadLoRAViT(path, LoRAViTOptions{})
		if want := "adapterfile: " + path + ": missing tensors: w_b_000 to w_b_023"; err == nil || err.Error() != want {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}

func FuzzLoRAViT(f *testing.F) {
	f.Add(loravitFile(f, func(tensorMap, map[string]string) {}), 0)
	f.Add(loravitFile(f, func(x tensorMap, _ map[string]string) { delete(x, "w_b_001") }), 6)
	f.Add(loravitFile(f, func(x tensorMap, m map[string]string) { x["w"] = floats(f, "w_a_9999", 1, 4, 8); clear(m) }), 4)
	f.Add(loravitFile(f, func(_ tensorMap, m map[string]string) { m[loravitBlocks] = "7,3" }), -1)
	f.Fuzz(func(t *testing.T, data []byte, alpha int) {
		st, err := safetensors.Parse(data, "fuzz")
		if err != nil {
			return
		}
		got, err := parseLoRAViT(st, LoRAViTOptions{Alpha: alpha, Import: Import{Look: true}})
		if err != nil {
			return
		}
		if len(got.Adapter.Deltas) > 0 && got.Adapter.Deltas[0].Scale > 1<<10 {
			return // more than the writer allows
		}
		// What was read can be written, and is read as the same.
		list, metadata, _, err := got.loravit(safetensors.F32)
		if err != nil {
			t.Fatal(err)
		}
		tensors := tensorMap{}
		for _, x := range list {
			tensors[x.Name] = x
		}
		st, err = safetensors.Parse(packTensors(t, tensors, metadata), "again")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseLoRAViT(st, LoRAViTOptions{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "again", again, got)
	})
}
