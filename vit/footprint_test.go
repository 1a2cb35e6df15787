package vit

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/vit/arch"
)

// TestFootprint: the estimate is what a base takes, within a fifth: weights and what a pass works in.
func TestFootprint(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // and what finalizers and pools kept
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, p := range []Precision{F32, BF16, I8} {
		if !Supports(p) {
			continue
		}
		for name, c := range map[string]Config{
			"vit": {Family: "vit", Width: 192, Depth: 3, Heads: 3, MLP: 768, Image: 224, Patch: 16, Channels: 3,
				Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6},
			"swiglu": {Family: "vit", Width: 192, Depth: 3, Heads: 3, MLP: 512, Image: 112, Patch: 14, Channels: 3, SwiGLU: true, LayerScale: true,
				Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6},
		} {
			const batch = 16
			pool := testPool(2, t.Cleanup)
			before := heap()
			m := Random(pool, c, p, 0.02, 1)
			e := m.NewEngine(batch)
			pixels := make([]float32, batch*3*c.Image*c.Image)
			e.Features(pixels, batch)
			took, estimate := heap()-before, Footprint(&c, p, batch, 2)
			if took < estimate*8/10 || took > estimate*12/10 {
				t.Errorf("%s in %v: takes %d bytes, the estimate is %d", name, p, took, estimate)
			}
			runtime.KeepAlive(e)
			runtime.KeepAlive(pixels)
		}
	}
}

// TestOutline: what is known of a base without its weights is what is known with them.
func TestOutline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base")
	if err := os.CopyFS(path, os.DirFS(filepath.Join(golden.Root(t), "hf_vit"))); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(path, "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(`"model_type"`), []byte(`"problem_type": "multi_label_classification", "model_type"`), 1)
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	outline, err := Outline(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if outline.Problem != "multi_label_classification" {
		t.Errorf("problem %q", outline.Problem)
	}
	same := *whole
	same.Backend = nil
	if !reflect.DeepEqual(*outline, same) {
		t.Errorf("%+v, expected %+v", *outline, same)
	}
}
