package golden

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestManifest: the committed files are those that the oracle wrote, all of them, and small.
func TestManifest(t *testing.T) {
	root := Root(t)
	raw, err := os.ReadFile(filepath.Join(root, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Packages map[string]string `json:"packages"`
		Files    map[string]struct {
			SHA256 string `json:"sha256"`
		} `json:"files"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"torch", "timm", "transformers", "peft"} {
		if doc.Packages[p] == "" {
			t.Errorf("manifest names no version of %s", p)
		}
	}
	var total int
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "manifest.json" {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		total += len(data)
		name, sum := filepath.ToSlash(rel), sha256.Sum256(data)
		if want := doc.Files[name].SHA256; want != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: hash differs from the manifest (%q): run tools/golden/generate.py", name, want)
		}
		delete(doc.Files, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range doc.Files {
		t.Errorf("manifest names %s, which is not there", name)
	}
	if total > 8<<20 {
		t.Errorf("the golden files are %d bytes, the limit is 8 MiB", total)
	}
}

// TestCases: every file can be read, and a model's golden has the input and what is derived from it.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(Root(t), "*", "golden.safetensors"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d golden files: %v", len(paths), err)
	}
	for _, p := range paths {
		kind := filepath.Base(filepath.Dir(p))
		c := Open(t, kind)
		if !c.Has("input") {
			continue
		}
		if s := c.Tensor("input").Shape; len(s) != 4 || s[0] != 2 || s[1] != 3 {
			t.Errorf("%s: input is %v", kind, s)
		}
		for _, name := range []string{"tap.patch", "tap.block.0", "tap.block.1", "tap.pooled"} {
			c.Data(name)
		}
		weights := c.OpenFile("model.safetensors")
		for _, name := range c.Names("grad.") {
			if want, got := weights.Tensor(name[len("grad."):]).Shape, c.Tensor(name).Shape; len(want) != len(got) {
				t.Errorf("%s: %s is %v, the weight %v", kind, name, got, want)
			}
		}
	}
}

// TestAdapters: each adapter names the base it sits on, and has logits for its input.
func TestAdapters(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(Root(t), "adapters", "*"))
	if err != nil || len(dirs) < 7 {
		t.Fatalf("%d adapters: %v", len(dirs), err)
	}
	for _, d := range dirs {
		c := Open(t, "adapters/"+filepath.Base(d))
		if _, err := os.Stat(Open(t, c.Meta("base")).Model()); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		if len(c.Names("logits")) == 0 || len(c.Data("input")) == 0 {
			t.Errorf("%s has tensors %v", d, c.Names(""))
		}
	}
}

func TestCompare(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		got, want []float32
		first     int
		maxAbs    float64
	}{
		{[]float32{1, 2}, []float32{1, 2}, -1, 0},
		{[]float32{1, 2.5, 4}, []float32{1, 2, 4}, 1, 0.5},
		{[]float32{1, nan}, []float32{1, 2}, 1, math.Inf(1)},
		{[]float32{0, 0.5}, []float32{0, 0}, 1, 0.5},
		{[]float32{nan}, []float32{nan}, 0, math.Inf(1)},
	} {
		d, err := Compare(c.got, c.want, 1e-3)
		if err != nil || d.First != c.first || d.MaxAbs != c.maxAbs {
			t.Errorf("Compare(%v, %v) = %+v, %v", c.got, c.want, d, err)
		}
	}
	if _, err := Compare([]float32{1}, nil, 1); err == nil {
		t.Error("different lengths compare")
	}
	if d, _ := Compare([]float32{3, 4.5}, []float32{3, 4}, 1); math.Abs(d.RelL2-0.1) > 1e-9 {
		t.Errorf("relative L2 %v, want 0.1", d.RelL2)
	}
}

func TestDecodeRefuses(t *testing.T) {
	header := func(h string) []byte {
		return append([]byte{byte(len(h)), 0, 0, 0, 0, 0, 0, 0}, h...)
	}
	for _, raw := range [][]byte{
		nil,
		{255, 255, 255, 255, 255, 255, 255, 255},
		header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`),
		header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`),
		append(header(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`), 0, 0, 0, 0),
		header(`[]`),
	} {
		if _, err := decode(raw); err == nil {
			t.Errorf("decode(%q) succeeds", raw)
		}
	}
}
