package serve

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
)

// TestForeign: folders of PEFT and files of LoRA-ViT answer as the native file of the same numbers does.
func TestForeign(t *testing.T) {
	base, dir := filepath.Join(golden.Root(t), "hf_vit"), t.TempDir()
	e, err := Open(t.Context(), Config{Base: base, Adapters: dir, Workers: 2, Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	some := func(seed uint64) *adapterfile.File {
		a, err := lora.New(&e.Model().Config, lora.Config{}, 3, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range a.Deltas {
			for i := range d.B {
				d.B[i] = float32(i%7) / 8
			}
		}
		return &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&e.Model().Config, "", "", e.BaseDigest()),
			Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels("class 0", "class 1", "class 2")}}
	}
	f := some(1)
	if err := f.WriteTypes(filepath.Join(dir, "native"+extension), adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	peft := func(name string, f *adapterfile.File) {
		t.Helper()
		if err := f.WritePEFT(filepath.Join(dir, name), adapterfile.PEFTOptions{Base: &e.Model().Config}); err != nil {
			t.Fatal(err)
		}
	}
	peft("peft", f)
	peft("peft@v2", some(2))
	if _, err := f.WriteLoRAViT(filepath.Join(dir, "loravit"+extension), safetensors.F32); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	if names := e.Registry().Names(); !slices.Equal(names, []string{"loravit", "native", "peft"}) {
		t.Fatalf("names %q", names)
	}
	logits := func(name string) []float32 {
		t.Helper()
		answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: picture(1)}})
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		return answers[0].Logits
	}
	want := logits("native")
	for _, name := range []string{"peft", "loravit"} {
		for i, v := range logits(name) {
			if math.Abs(float64(v-want[i])) > 1e-6 {
				t.Errorf("%s: logits differ at %d: %v, expected %v", name, i, v, want[i])
			}
		}
		n, err := e.Registry().Describe("native", "")
		if err != nil {
			t.Fatal(err)
		}
		if s, err := e.Registry().Describe(name, ""); err != nil || s.Resident != n.Resident || s.Digest == "" {
			t.Errorf("%s: %d bytes of %q, expected %d", name, s.Resident, s.Digest, n.Resident)
		}
	}
	if other := logits("peft@v2"); slices.Equal(other, want) {
		t.Error("two versions answer alike")
	}

	// Alpha stands in the configuration alone: another is another content.
	before, _ := e.Registry().Describe("peft", "")
	config := filepath.Join(dir, "peft", "adapter_config.json")
	rewrite(t, config, `"lora_alpha": 4`, `"lora_alpha": 400`)
	if err := e.Registry().Load(t.Context(), "peft"); err != nil {
		t.Fatal(err)
	}
	if after, _ := e.Registry().Describe("peft", ""); after.Digest == before.Digest || slices.Equal(logits("peft"), want) {
		t.Error("another alpha is not noticed")
	}

	// A folder that calls its base otherwise is refused by that name, unless any base will do.
	rewrite(t, config, `"base_model_name_or_path": null`, `"base_model_name_or_path": "some/other"`)
	scan(t, e)
	os.Rename(filepath.Join(dir, "peft"), filepath.Join(dir, "odd"))
	scan(t, e)
	refuse[*BrokenError](t, e, "odd", "", "some/other")

	// A file and a folder of one name: nothing tells which is meant.
	os.Rename(filepath.Join(dir, "peft@v2"), filepath.Join(dir, "native"))
	scan(t, e)
	refuse[*UnknownError](t, e, "native", "", "a file and a folder")
	os.RemoveAll(filepath.Join(dir, "native"))
	scan(t, e)
	if !slices.Equal(logits("native"), want) {
		t.Error("the file alone does not answer")
	}
}

// rewrite replaces text in a file.
func rewrite(t *testing.T, path, old, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q: %s", path, old, data)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, text, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSameBase(t *testing.T) {
	for _, c := range []struct {
		id, name string
		same     bool
	}{
		{"", "/models/vit", true}, {"google/vit-base", "hf:google/vit-base", true}, {"/train/vit_b/", "bases/ViT_B", true},
		{"google/vit-base", "/models/vit-base.safetensors", true}, {"google/vit-large", "hf:google/vit-base", false},
		{"google/vit-base-patch16-224", "vit-base", false}, {`C:\train\vit_b`, "vit_b", true},
	} {
		if got := sameBase(c.id, c.name); got != c.same {
			t.Errorf("%q and %q: %v", c.id, c.name, got)
		}
	}
}
