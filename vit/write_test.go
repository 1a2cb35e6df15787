package vit

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

func folder(m *model, dtype safetensors.DType) (*checkpoint.Exported, error) {
	return checkpoint.Folder(&checkpoint.Description{Config: m.Config, Recipe: m.Recipe, Labels: m.Labels}, m.Parameter, dtype)
}

// inMemory writes m as a folder in memory.
func inMemory(t *testing.T, m *model, dtype safetensors.DType) fstest.MapFS {
	t.Helper()
	x, err := folder(m, dtype)
	if err != nil {
		t.Fatal(err)
	}
	var weights bytes.Buffer
	if err := safetensors.Write(&weights, x.Tensors, nil); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"model.safetensors": {Data: weights.Bytes()}}
	for name, text := range x.Files {
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

// TestFolder: what Folder writes and OpenFS reads is the same network, bit for bit, with its recipe.
func TestFolder(t *testing.T) {
	pool := testPool(1, t.Cleanup)
	c := families()["vit"]
	c.Family, c.Source = "vit", "hf"
	m := randomModel(pool, c, 1)
	m.Recipe.Size, m.Recipe.Interpolation = c.Image, "bilinear"
	m.Recipe.Mean, m.Recipe.Std = [3]float32{0.5, 0.5, 0.5}, [3]float32{0.25, 0.25, 0.25}
	back, err := OpenFS(inMemory(t, m, safetensors.F32), "memory", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if back.Recipe != m.Recipe || back.Config != m.Config || back.Path != "memory" {
		t.Errorf("recipe %+v, config %+v, path %q", back.Recipe, back.Config, back.Path)
	}
	images := randomImages(2, &c, 3)
	want := slices.Clone(newEngine(m, pool, 2, c.Depth).Forward(images, 2, nil).Data)
	if got := newEngine(inside(back), pool, 2, c.Depth).Forward(images, 2, nil).Data; !slices.Equal(got, want) {
		t.Error("the features differ")
	}
}

// TestDINOv2Folder: DINOv2 as transformers has it, with and without head, registers and SwiGLU, is written as it was read.
func TestDINOv2Folder(t *testing.T) {
	pool := testPool(1, t.Cleanup)
	for _, kind := range []string{"dinov2", "dinov2_head", "dinov2_reg"} {
		opened, err := Open(filepath.Join(golden.Root(t), kind), Options{Workers: pool})
		if err != nil {
			t.Fatal(err)
		}
		m := inside(opened)
		d := &checkpoint.Description{Config: m.Config, Recipe: imaging.Recipe{Size: m.Image, Interpolation: "bilinear", Std: [3]float32{1, 1, 1}}, Labels: m.Labels,
			Problem: "multi_label_classification"}
		x, err := checkpoint.HFFolder(d, m.Parameter, safetensors.F32)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		var weights bytes.Buffer
		if err := safetensors.Write(&weights, x.Tensors, nil); err != nil {
			t.Fatal(err)
		}
		files := fstest.MapFS{"model.safetensors": {Data: weights.Bytes()}}
		for name, text := range x.Files {
			files[name] = &fstest.MapFile{Data: text}
		}
		back, err := OpenFS(files, "memory", Options{Workers: pool})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if back.Config != m.Config || (m.Classes > 0) != (back.Problem != "") {
			t.Errorf("%s: %+v became %+v, %q", kind, m.Config, back.Config, back.Problem)
		}
		for _, p := range m.Params() {
			if !slices.Equal(back.Parameter(p.Name), m.Parameter(p.Name)) {
				t.Errorf("%s: %s differs", kind, p.Name)
			}
		}
	}
}

// TestTimmFolderWithoutNorm: a CLIP that classifies by the mean of its patches has no norm behind its blocks, and says so.
func TestTimmFolderWithoutNorm(t *testing.T) {
	pool := testPool(1, t.Cleanup)
	c := families()["vit"]
	c.Family, c.Source, c.FinalNorm, c.PreNorm, c.Pooling, c.Eps = "clip", "hf", false, true, PoolMean, 1e-5
	m := randomModel(pool, c, 1)
	d := &checkpoint.Description{Config: m.Config, Recipe: imaging.Recipe{Size: m.Image, Interpolation: "bilinear", Std: [3]float32{1, 1, 1}}}
	x, err := checkpoint.TimmFolder(d, m.Parameter, safetensors.F32)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(x.Files["config.json"]), `"final_norm": false`) {
		t.Errorf("timm would look for a norm: %s", x.Files["config.json"])
	}
}

func TestFolderRefuses(t *testing.T) {
	pool := testPool(1, t.Cleanup)
	for _, name := range []string{"clip", "dinov2", "tokens", "mean"} {
		m := randomModel(pool, families()[name], 1)
		if _, err := folder(m, safetensors.F32); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestOpenFSRefuses(t *testing.T) {
	pool := testPool(1, t.Cleanup)
	c := families()["vit"]
	c.Family = "vit"
	m := randomModel(pool, c, 1)
	m.Recipe.Size, m.Recipe.Interpolation = c.Image, "bilinear"
	m.Recipe.Std = [3]float32{1, 1, 1}
	whole := inMemory(t, m, safetensors.F32)
	for says, files := range map[string]fstest.MapFS{
		"memory/model.safetensors": {"config.json": whole["config.json"]},
		"memory/config.json":       {"model.safetensors": whole["model.safetensors"], "config.json": {Data: []byte("{")}},
	} {
		if _, err := OpenFS(files, "memory", Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, expected one that names %s", err, says)
		}
	}
}
