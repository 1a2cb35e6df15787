package adapterfile

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// goldenBases are the folders of testdata/golden that hold a base.
func goldenBases(t *testing.T) (names []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(golden.Root(t), "*", "model.safetensors"))
	if err != nil || len(found) < 20 {
		t.Fatalf("%d bases, %v", len(found), err)
	}
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return names
}

// TestTunedOfNothing: a tuned base of every family, of which nothing was changed, computes what the base does, bit for bit.
func TestTunedOfNothing(t *testing.T) {
	for _, name := range goldenBases(t) {
		m, err := vit.Open(filepath.Join(golden.Root(t), name), vit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		x := overlay{m, m.Params(), map[string][]float32{}}
		f := &File{Path: name}
		if f.Extra, err = x.tensors(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tuned, err := f.Tuned(m, vit.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		input := make([]float32, m.Channels*m.Image*m.Image)
		SelfTestInput(input, 1, 0)
		want := slices.Clone(m.NewEngine(1).Features(input, 1))
		if got := tuned.NewEngine(1).Features(input, 1); !slices.Equal(got, want) {
			t.Errorf("%s: features %v, expected %v", name, got[:3], want[:3])
		}
	}
}

// TestTunedShapes: what is missing, too much, or of another shape is named.
func TestTunedShapes(t *testing.T) {
	m, err := vit.Open(filepath.Join(golden.Root(t), "beit"), vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := overlay{m, m.Params(), map[string][]float32{}}
	extra, err := x.tensors()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(extra, func(x safetensors.TensorData) bool { return strings.HasSuffix(x.Name, "kv.weight") })
	for _, c := range []struct {
		do   func(list []safetensors.TensorData) []safetensors.TensorData
		says string
	}{
		{func(l []safetensors.TensorData) []safetensors.TensorData { return l[1:] }, "has no tensor"},
		{func(l []safetensors.TensorData) []safetensors.TensorData {
			return append(l, safetensors.TensorData{Name: BasePrefix + "hello", DType: safetensors.F32, Shape: []int{1}, Data: make([]byte, 4)})
		}, "belongs to nothing"},
		{func(l []safetensors.TensorData) []safetensors.TensorData {
			l[at].Shape = []int{l[at].Shape[1], l[at].Shape[0]}
			return l
		}, "kv.weight\": shape"},
		{func(l []safetensors.TensorData) []safetensors.TensorData {
			l[at].Shape, l[at].Data = []int{l[at].Shape[0] / 2, l[at].Shape[1]}, l[at].Data[:len(l[at].Data)/2]
			return l
		}, "kv.weight\": shape"},
	} {
		f := &File{Path: "x", Extra: c.do(slices.Clone(extra))}
		if _, err := f.Tuned(m, vit.Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, expected %q", err, c.says)
		}
	}
}

// TestBypassed: PEFT's matrices beside a module that timm never calls are refused, but for those that say nothing.
func TestBypassed(t *testing.T) {
	m, err := vit.Open(filepath.Join(golden.Root(t), "timm_beit"), vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !m.NoKeyBias || !m.QKVBias {
		t.Fatal("the golden base has other biases")
	}
	for _, b := range []float32{0, 1} {
		dir := t.TempDir()
		var list []safetensors.TensorData
		for block := range m.Depth {
			for name, rows := range map[string][2]int{peftA: {2, m.Width}, peftB: {3 * m.Width, 2}} {
				values := make([]float32, rows[0]*rows[1])
				for i := range values {
					if values[i] = 1; name == peftB {
						values[i] = b
					}
				}
				layout := layout{names: NamesTimm, blocks: "blocks."}
				x, err := safetensors.FromFloat32s(peftPrefix+layout.path(block, "attn.qkv")+name, safetensors.F32, rows[:], values)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, x)
			}
		}
		if err := safetensors.WriteFile(filepath.Join(dir, peftWeights), 0o644, list, nil); err != nil {
			t.Fatal(err)
		}
		config := `{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["qkv"]}`
		if err := os.WriteFile(filepath.Join(dir, peftConfig), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadForeign(dir, m, maxFile)
		if b == 0 && err != nil || b != 0 && (err == nil || !strings.Contains(err.Error(), "without calling it")) {
			t.Errorf("B of %g: %v", b, err)
		}
	}
}

// TestPEFTOfFamilies: for every golden base, an adapter that is written under the names of its library comes back as it was.
func TestPEFTOfFamilies(t *testing.T) {
	bypassed := []string{"timm_beit", "timm_dinov3", "timm_eva02_small"}
	for _, name := range goldenBases(t) {
		m, err := vit.Open(filepath.Join(golden.Root(t), name), vit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := lora.Config{Rank: 3, Alpha: 4, Kinds: []vit.Kind{vit.Q, vit.V, vit.Proj, vit.FC1, vit.FC2}}
		if m.Pooling == arch.PoolAttention && m.Source == "timm" {
			for b := range m.Depth {
				cfg.Blocks = append(cfg.Blocks, b)
			}
			cfg.Blocks = append(cfg.Blocks, arch.PoolBlock)
		}
		a, err := lora.New(&m.Config, cfg, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range a.Deltas {
			for i := range d.B {
				d.B[i] = float32(i%7-3) / 16
			}
		}
		f := &File{Adapter: a, Meta: Metadata{Base: NewBase(&m.Config, "", "", ""), Method: lora.MeLo}}
		dir := filepath.Join(t.TempDir(), "peft")
		err = f.WritePEFT(dir, PEFTOptions{Base: &m.Config})
		if slices.Contains(bypassed, name) {
			if err == nil || !strings.Contains(err.Error(), "without calling the module") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		o := ImportFor(m)
		got, err := ReadPEFT(dir, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Adapter.Deltas) != len(a.Deltas) {
			t.Errorf("%s: %d sites, expected %d", name, len(got.Adapter.Deltas), len(a.Deltas))
		}
		input := make([]float32, m.Channels*m.Image*m.Image)
		SelfTestInput(input, 1, 0)
		features := func(a *lora.Adapter) []float32 {
			return slices.Clone(m.NewEngine(1).Features(input, 1, lora.Segment{Adapter: a.Resident(m.Precision), Images: 1}))
		}
		want := features(a)
		for i, v := range features(got.Adapter) {
			if math.Abs(float64(v-want[i])) > 1e-5 {
				t.Errorf("%s: feature %d is %v, expected %v", name, i, v, want[i])
				break
			}
		}
	}
}
