package vit

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

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
