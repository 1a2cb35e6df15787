package checkpoint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
)

// all is what a person says of a file that tells nothing.
var all = processor.Override{Mean: "half", Std: "half", Crop: "1", Interpolation: "bicubic"}

// wrapped writes the tensors of a golden base of timm into a file by itself, under other names; an empty one drops it.
func wrapped(t *testing.T, rename func(name string) string, more ...safetensors.TensorData) string {
	t.Helper()
	b := readBase(t, "timm_vit")
	list := more
	for _, td := range b.tensors {
		if td.Name = rename(td.Name); td.Name != "" {
			list = append(list, td)
		}
	}
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := safetensors.WriteFile(path, 0o600, list, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever stands before the names of a model, the parameters are the same; what is beside it is left out, with a note.
func TestWrappers(t *testing.T) {
	want := mustLoad(t, readBase(t, "timm_vit"), Options{})
	beside, err := safetensors.FromFloat32s("loss.weight", safetensors.F32, []int{2}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "module.", "_orig_mod.", "model.backbone.", "visual.trunk.", "image_encoder.", "module.encoder."} {
		path := wrapped(t, func(name string) string { return prefix + name }, beside)
		m, err := Open(path, Options{Heads: want.Heads, Prepare: all})
		if err != nil {
			if prefix == "" && strings.Contains(err.Error(), "loss.weight") {
				continue // nothing tells it from the model's own
			}
			t.Errorf("%q: %v", prefix, err)
			continue
		}
		for _, p := range want.Params() {
			a, err1 := want.Read(p.Name, nil)
			b, err2 := m.Read(p.Name, nil)
			if err1 != nil || err2 != nil || len(a) != len(b) || a[0] != b[0] || a[len(a)-1] != b[len(b)-1] {
				t.Errorf("%q: %s differs (%v, %v)", prefix, p.Name, err1, err2)
			}
		}
		if text := strings.Join(m.Notes, "; "); !strings.Contains(text, "loss.weight") {
			t.Errorf("%q: notes %q", prefix, text)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSeveralModels(t *testing.T) {
	b := readBase(t, "timm_vit")
	var list []safetensors.TensorData
	for _, td := range b.tensors {
		for _, p := range []string{"left.", "right."} {
			td2 := td
			td2.Name = p + td.Name
			list = append(list, td2)
		}
	}
	path := filepath.Join(t.TempDir(), "two.safetensors")
	if err := safetensors.WriteFile(path, 0o600, list, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Heads: 2}); err == nil || !strings.Contains(err.Error(), "left., right.") {
		t.Errorf("two models: %v", err)
	}
}

func TestUntold(t *testing.T) {
	path := wrapped(t, func(name string) string { return name })
	if _, err := Open(path, Options{Prepare: all}); !errors.Is(err, ErrNoHeads) {
		t.Errorf("heads: %v", err)
	}
	m, err := Open(path, Options{Heads: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.RecipeNote != ErrNoRecipe.Error() {
		t.Errorf("recipe %+v, %q", m.Recipe, m.RecipeNote)
	}
	if _, err := Open(filepath.Join(golden.Root(t), "timm_vit"), Options{Heads: 4}); err == nil || !strings.Contains(err.Error(), "heads") {
		t.Errorf("heads beside a configuration: %v", err)
	}
}

// A folder with one file that may hold weights needs no usual name; with several, one must be named.
func TestOddNames(t *testing.T) {
	b := readBase(t, "timm_vit")
	dir := t.TempDir()
	write := func(name string) {
		if err := safetensors.WriteFile(filepath.Join(dir, name), 0o600, b.tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	write("uni.safetensors")
	m, err := Open(dir, Options{Heads: 4})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	write("other.safetensors")
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "other.safetensors, uni.safetensors") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "optimizer.bin"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAttentionAround: a trunk whose features another model pools by attention is refused, as its class token is not what that
// model gives. What masking needs is left out.
func TestAttentionAround(t *testing.T) {
	extra := func(name string) safetensors.TensorData {
		x, err := safetensors.FromFloat32s(name, safetensors.F32, []int{2}, []float32{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	trunk := func(name string) string { return "visual.trunk." + name }
	heads := mustLoad(t, readBase(t, "timm_vit"), Options{}).Heads
	if _, err := Open(wrapped(t, trunk, extra("visual.attn_pool_contrast.query")), Options{Heads: heads, Prepare: all}); err == nil || !strings.Contains(err.Error(), "visual.attn_pool_contrast.query") {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"visual.head.proj.bias", "text.attn_pool"} {
		if _, err := Open(wrapped(t, trunk, extra(name)), Options{Heads: heads, Prepare: all}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(wrapped(t, func(name string) string { return name }, extra("masked_embed")), Options{Heads: heads, Prepare: all}); err != nil {
		t.Error(err)
	}
}

// TestUntoldGate: what is written of a base whose configuration does not say its packed SwiGLU says it, and is the same base.
func TestUntoldGate(t *testing.T) {
	b := readBase(t, "timm_dinov2_reg")
	want := mustLoad(t, b, Options{})
	if !want.SwiGLU {
		t.Fatal("the golden base has another MLP")
	}
	for _, name := range []string{"vit_huge_patch14_224", "vit_giant_patch14_reg4_dinov2"} {
		dir := t.TempDir()
		config, err := os.ReadFile(filepath.Join(golden.Root(t), "timm_dinov2_reg", "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(config, &doc); err != nil {
			t.Fatal(err)
		}
		doc["architecture"] = name
		args := doc["model_args"].(map[string]any)
		args["reg_tokens"], args["no_embed_class"], args["init_values"] = want.Registers, true, 1e-5
		if config, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), 0o600, b.tensors, nil); err != nil {
			t.Fatal(err)
		}
		err = Export(dir, ExportOptions{}, func(x *Exported) error {
			said := strings.Contains(string(x.Files["config.json"]), "vit_giant_patch14_")
			if !said || (len(x.Notes) > 0) != (name == "vit_huge_patch14_224") {
				t.Errorf("%s: %s, notes %q", name, x.Files["config.json"], x.Notes)
			}
			out := filepath.Join(t.TempDir(), "out")
			if err := x.WriteFolder(t.Context(), out, nil); err != nil {
				return err
			}
			again, err := Open(out, Options{})
			if err != nil {
				return err
			}
			defer again.Close()
			own, err := Open(dir, Options{})
			if err != nil {
				return err
			}
			defer own.Close()
			again.Family = own.Family // that of the architecture's name
			if again.Config != own.Config {
				t.Errorf("%s: %+v, expected %+v", name, again.Config, own.Config)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
