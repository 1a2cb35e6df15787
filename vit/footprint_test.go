package vit

import (
	"runtime"
	"testing"

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
