package machine

import (
	"testing"

	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// tiny is a ViT-Ti/16 with random weights, on all cores.
func tiny(b *testing.B, prec vit.Precision) *Bench {
	if !vit.Supports(prec) {
		b.Skip("this CPU has no instructions for it")
	}
	m := &Bench{pool: par.New(0), prec: prec, config: vit.Config{Family: "vit", Width: 192, Depth: 12, Heads: 3, MLP: 768, Image: 224, Patch: 16,
		Channels: 3, Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}}
	b.Cleanup(m.pool.Close)
	return m
}

// BenchmarkForward is a forward pass of a batch of 4 with its head: what bench/baselines.txt has of inference.
func BenchmarkForward(b *testing.B) {
	for _, prec := range []vit.Precision{vit.F32, vit.BF16, vit.I8} {
		b.Run(prec.String(), func(b *testing.B) {
			m := tiny(b, prec)
			f, images := newInference(m, 4), m.images(4)
			for b.Loop() {
				f.run(images)
			}
		})
	}
}

// BenchmarkStep is a training step of a batch of 8, rank 4 on q and v.
func BenchmarkStep(b *testing.B) {
	for _, prec := range []vit.Precision{vit.F32, vit.BF16} {
		b.Run(prec.String(), func(b *testing.B) {
			m := tiny(b, prec)
			start, err := lora.New(&m.config, lora.Config{Rank: stepRank}, headLabels, 1)
			if err != nil {
				b.Fatal(err)
			}
			s, err := newTrainingStep(m, stepBatch, start)
			if err != nil {
				b.Fatal(err)
			}
			images := m.images(stepBatch)
			for b.Loop() {
				if _, err := s.run(images); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
