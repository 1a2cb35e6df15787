package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/inspect"
	"melo.example/melo/safetensors"
)

// goldenDir is a folder of testdata/golden.
func goldenDir(name string) string {
	return filepath.Join("..", "..", "testdata", "golden", filepath.FromSlash(name))
}

// write makes a file in a temporary folder.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInspectListsTensors(t *testing.T) {
	t.Parallel()
	var doc inspect.Document
	melo(t, "inspect", "--json", "--tensors", "--digest", goldenDir("hf_vit")).want(t, exitDone).decode(t, &doc)
	if doc.Tensors == 0 || doc.Tensors != len(doc.List) || doc.Parameters == 0 || doc.DTypes["F32"] != doc.Tensors {
		t.Errorf("got %+v", doc)
	}
	if !strings.HasPrefix(doc.Digest, "sha256:") || len(doc.Digest) != len("sha256:")+64 {
		t.Errorf("digest %q", doc.Digest)
	}
}

func TestInspectEmbedded(t *testing.T) {
	t.Parallel()
	var doc inspect.Document
	melo(t, "inspect", "--json", "embedded").want(t, exitDone).decode(t, &doc)
	if doc.Kind != "base" || doc.Base == nil || doc.Base.Image == 0 || doc.Licence == "" || len(doc.Digest) != len("sha256:")+64 {
		t.Errorf("got %+v", doc)
	}
	r := melo(t, "inspect", "embedded").want(t, exitDone)
	if !strings.Contains(r.out, hexOf(doc.Digest)) || !strings.Contains(r.out, "Apache-2.0") {
		t.Errorf("printed %q", r.out)
	}
}

func TestInspectBadInput(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(filepath.Join(goldenDir("hf_vit"), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing":      filepath.Join(t.TempDir(), "missing.safetensors"),
		"empty":        write(t, "empty.safetensors", nil),
		"truncated":    write(t, "truncated.safetensors", whole[:len(whole)/2]),
		"text":         write(t, "text.safetensors", []byte("this is not a tensor file, but it is long enough")),
		"empty folder": t.TempDir(),
	} {
		r := melo(t, "inspect", path).want(t, exitBadInput)
		if r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, filepath.Base(path)) {
			t.Errorf("%s: want one line that names the file, got stdout %q, stderr %q", name, r.out, r.err)
		}
	}
}

func TestInterruptedCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	meloContext(t, ctx, "inspect", "--digest", goldenDir("hf_vit")).want(t, exitInterrupted)
}

func TestInspectBase(t *testing.T) {
	t.Parallel()
	var doc inspect.Document
	melo(t, "inspect", "--json", goldenDir("dinov2_reg")).want(t, exitDone).decode(t, &doc)
	if doc.Kind != "base" || doc.Base == nil || doc.Base.Family != "dinov2" || doc.Base.Depth == 0 {
		t.Errorf("got %+v, %+v", doc, doc.Base)
	}
	r := melo(t, "inspect", goldenDir("timm_vit")).want(t, exitDone)
	for _, part := range []string{"kind        base", "timm naming", "own head", "input"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is missing in\n%s", part, r.out)
		}
	}
}

// TestInspectNearest: a base that lacks a part is an error, and what it resembles and lacks is printed; a model that is no ViT
// is told by its name; a picture is a picture.
func TestInspectNearest(t *testing.T) {
	t.Parallel()
	f, err := safetensors.Open(filepath.Join(goldenDir("timm_vit"), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []safetensors.TensorData
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		if !strings.HasSuffix(name, ".mlp.fc1.bias") {
			tensors = append(tensors, safetensors.TensorData{Name: name, DType: x.DType, Shape: x.Shape, Data: x.Data})
		}
	}
	lacking := t.TempDir()
	if err := safetensors.WriteFile(filepath.Join(lacking, "model.safetensors"), 0o600, tensors, nil); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(goldenDir("timm_vit"), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lacking, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	var doc inspect.Document
	melo(t, "inspect", "--json", lacking).want(t, exitBadInput).decode(t, &doc)
	if m := doc.Nearest; m == nil || m.Package != "timm" || m.Family != "vision_transformer" || len(m.Models) == 0 ||
		!slices.Equal(m.Missing, []string{"blocks.#.mlp.fc#.bias"}) && len(m.Missing) != 0 {
		t.Errorf("%+v", doc.Nearest)
	}
	r := melo(t, "inspect", lacking).want(t, exitBadInput)
	if !strings.Contains(r.out, "nearest") || !strings.Contains(r.err, "mlp.fc1.bias") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	r = melo(t, "inspect", pictures(t, 1)[0]).want(t, exitBadInput)
	if !strings.Contains(r.err, "picture (PNG)") || r.out != "" {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
}
