package lora

import (
	"math"
	"slices"
	"testing"

	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
)

// TestGaugeAddsNothing: features beside a gauge are those without, and what it finds is what passes.
func TestGaugeAddsNothing(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	m := vit.Random(pool, gaugeShape(32), vit.F32, 0.02, 1)
	images := make([]float32, 3*m.Channels*m.Image*m.Image)
	for i := range images {
		images[i] = float32(math.Sin(float64(i)))
	}
	e := m.NewEngine(3)
	want := slices.Clone(e.Features(images, 3))
	g := NewGauge(vit.Q, vit.FC1)
	got, err := g.Measure(e, images, 3)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("the features differ, %v", err)
	}
	for b := range m.Depth {
		s := g.At(vit.Site{Block: b, Kind: vit.Q})
		// LayerNorm with gains near 1 makes rows of a variance near 1.
		if math.Abs(s.X-1) > 0.1 || s.X1 <= 0 || s.X1 > 32 || s.Y <= 0 {
			t.Errorf("block %d: %+v", b, s)
		}
	}
	if s := g.At(vit.Site{Kind: vit.V}); s != (Size{}) {
		t.Errorf("what is not measured has size %+v", s)
	}
}

// gaugeShape is a small ViT of a width.
func gaugeShape(width int) vit.Config {
	return vit.Config{Family: "vit", Width: width, Depth: 2, Heads: width / 16, MLP: 2 * width, Image: 32, Patch: 8, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Eps: 1e-6, Pooling: vit.PoolClass}
}
