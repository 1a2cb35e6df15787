package vit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/par"
	"melo.example/melo/memo"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// TestKeptSharded: the packed weights of a base in shards are kept, too, until any of its shards is another one.
func TestKeptSharded(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	source, base, cache := filepath.Join(golden.Root(t), "hf_vit"), t.TempDir(), memo.New(t.TempDir())
	f, err := safetensors.Open(filepath.Join(source, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	config, err := os.ReadFile(filepath.Join(source, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(base, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shards := [2]string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
	index := map[string]string{}
	age := time.Hour
	write := func(i int, scale float32) {
		var tensors []safetensors.TensorData
		for k, name := range f.Names() {
			if k%2 != i {
				continue
			}
			x, _ := f.Tensor(name)
			v, err := x.Float32s(nil)
			if err != nil {
				t.Fatal(err)
			}
			for j := range v {
				v[j] *= scale
			}
			one, err := safetensors.FromFloat32s(name, safetensors.F32, x.Shape, v)
			if err != nil {
				t.Fatal(err)
			}
			tensors, index[name] = append(tensors, one), shards[i]
		}
		path := filepath.Join(base, shards[i])
		if err := safetensors.WriteFile(path, 0o600, tensors, nil); err != nil {
			t.Fatal(err)
		}
		age += time.Minute
		old := time.Now().Add(-age)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 1)
	write(1, 1)
	text, err := json.Marshal(map[string]any{"weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	put(safetensors.IndexName, text)
	put("config.json", config)
	old := time.Now().Add(-age)
	if err := os.Chtimes(filepath.Join(base, safetensors.IndexName), old, old); err != nil {
		t.Fatal(err)
	}
	run := func(known *memo.Cache) []float32 {
		m, err := Open(base, Options{Workers: pool, Known: known})
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(m.NewEngine(1).Features(wave(m.Channels*m.Image*m.Image), 1))
	}
	isKept := func() bool {
		c, err := checkpoint.Open(base, checkpoint.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return openKept(cache, c, F32).file != nil
	}
	for _, scale := range []float32{1, 0.5} {
		write(1, scale)
		want := run(nil)
		if isKept() {
			t.Errorf("shards times %v: the weights of others are taken", scale)
		}
		for range 2 {
			if !slices.Equal(run(cache), want) {
				t.Errorf("shards times %v: other features", scale)
			}
			if !isKept() {
				t.Errorf("shards times %v: nothing is kept", scale)
			}
		}
	}
}
