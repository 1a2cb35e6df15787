package explain

import (
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// BenchmarkMap compares a map with the prediction that it comes with, on a ViT-Ti/16 of random weights with 224 pixels.
func BenchmarkMap(b *testing.B) {
	p := compute.NewPool(2)
	defer p.Close()
	c := arch.Config{Width: 192, Depth: 12, Heads: 3, MLP: 768, Image: 224, Patch: 16, Channels: 3, Class: true, PosPrefix: true, FinalNorm: true,
		QKVBias: true, Act: arch.GELUErf, Eps: 1e-6, Classes: 3}
	m := vit.Random(p, c, compute.F32, 0.05, 1)
	s := Subject{Model: m, Adapter: compute.NewAdapter(nil, &compute.Head{Classes: 3, Features: 192, W: make([]float32, 3*192), Bias: make([]float32, 3)}, compute.F32)}
	s.Adapter.Head().W[5] = 1
	const n = 8
	x := make([]float32, n*3*224*224)
	for i := range x {
		x[i] = float32(i%17) / 17
	}
	scores := make([]Score, n)
	for i := range scores {
		scores[i] = Score{0, Nothing}
	}
	engine := m.NewEngine(n)
	b.Run("prediction", func(b *testing.B) {
		for b.Loop() {
			engine.Features(x, n)
		}
	})
	for _, method := range []Method{GradCAM, Attribution} {
		e, err := New(s, Options{Method: method, Batch: n})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(method), func(b *testing.B) {
			for b.Loop() {
				if _, err := e.Maps(x, n, scores); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
