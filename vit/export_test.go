package vit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// exported writes what Export makes of a base into a new folder.
func exported(t *testing.T, path string, o checkpoint.ExportOptions) (dir string, notes []string) {
	t.Helper()
	dir = t.TempDir()
	err := checkpoint.Export(path, o, func(x *checkpoint.Exported) error {
		notes = x.Notes
		for name, text := range x.Files {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				return err
			}
		}
		return safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), 0o600, x.Tensors, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, notes
}

func logitsOf(t *testing.T, path string, input []float32) ([]float32, *Model) {
	t.Helper()
	m, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	pool := testPool(2, t.Cleanup)
	y := make([]float32, 2*m.Classes)
	m.Logits(y, newEngine(inside(m), pool, 2, m.Depth).Forward(input, 2, nil).Data)
	return y, m
}

// TestExportNames: a base under the names of the other library gives the golden logits, and back again it has
// the same tensors, bit for bit.
func TestExportNames(t *testing.T) {
	for kind, to := range map[string]string{"timm_vit": "hf", "hf_vit": "timm"} {
		c := golden.Open(t, kind)
		dir, notes := exported(t, c.Dir, checkpoint.ExportOptions{Source: to})
		got, m := logitsOf(t, dir, c.Data("input"))
		c.Check(t, "logits", got, tapTol)
		want, original := logitsOf(t, c.Dir, c.Data("input"))
		same := original.Recipe
		if to == "timm" { // which resizes with Pillow
			same.Resampling = ""
		}
		if m.Source != to || m.Recipe != same {
			t.Errorf("%s: names of %s, recipe %+v, expected %s, %+v", kind, m.Source, m.Recipe, to, same)
		}
		if kind == "timm_vit" && !slices.Equal(got, want) { // the epsilon goes along, so all else is equal
			t.Errorf("%s: %v, expected %v", kind, got, want)
		}
		if want := map[string]int{"hf_vit": 2}[kind]; len(notes) != want {
			t.Errorf("%s: notes %q", kind, notes)
		}
		back, _ := exported(t, dir, checkpoint.ExportOptions{Source: original.Source})
		sameTensors(t, c.Model(), filepath.Join(back, "model.safetensors"))
	}
}

func sameTensors(t *testing.T, want, got string) {
	t.Helper()
	var files [2]*safetensors.File
	for i, path := range []string{want, got} {
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if a, b := files[0].Names(), files[1].Names(); !slices.Equal(a, b) {
		t.Fatalf("tensors %v, expected %v", b, a)
	}
	for _, name := range files[0].Names() {
		a, _ := files[0].Tensor(name)
		b, _ := files[1].Tensor(name)
		if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
			t.Errorf("tensor %s differs", name)
		}
	}
}

// TestExportTypes: the same names in another type, for any backbone.
func TestExportTypes(t *testing.T) {
	for _, kind := range []string{"hf_vit", "dinov2_reg", "clip_vision", "timm_deit_distilled"} {
		path := filepath.Join(golden.Root(t), kind)
		dir, _ := exported(t, path, checkpoint.ExportOptions{DType: safetensors.BF16})
		f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range f.Names() {
			if x, _ := f.Tensor(name); x.DType != safetensors.BF16 {
				t.Errorf("%s: %s is %s", kind, name, x.DType)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err != nil {
			t.Error(err)
		}
		same, _ := exported(t, path, checkpoint.ExportOptions{})
		sameTensors(t, filepath.Join(path, "model.safetensors"), filepath.Join(same, "model.safetensors"))
	}
}

func TestExportRefuses(t *testing.T) {
	for kind, c := range map[string]struct{ to, want string }{
		"dinov2":              {"timm", "has family dinov2: only plain ViTs"},
		"clip_vision":         {"timm", "has family clip"},
		"mae":                 {"timm", "has family mae"},
		"deit":                {"timm", "has a distillation token"},
		"timm_vit_meanpool":   {"hf", "a norm after pooling"},
		"timm_dinov2_reg":     {"hf", "family dinov2"},
		"timm_deit_distilled": {"hf", "a distillation token"},
		"timm_vit":            {"onnx", `names "onnx", expected hf or timm`},
	} {
		path := filepath.Join(golden.Root(t), kind)
		err := checkpoint.Export(path, checkpoint.ExportOptions{Source: c.to}, func(*checkpoint.Exported) error { t.Error("written"); return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "vit: "+path) {
			t.Errorf("%s: %v, expected %s", kind, err, c.want)
		}
	}
}
