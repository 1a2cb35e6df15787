package vit

import (
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit/arch"
)

// Marks come for every block, in order, and change nothing.
func TestMark(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	c := Config{Family: "vit", Width: 32, Depth: 2, Heads: 2, MLP: 64, Image: 32, Patch: 16, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
	m := randomModel(pool, c, 1)
	images := make([]float32, 3*32*32)
	for i := range images {
		images[i] = float32(i%17) / 17
	}
	e := newEngine(m, pool, 1, m.Depth)
	want := slices.Clone(e.Forward(images, 1, nil).Data)
	type at struct {
		block int
		part  compute.Part
	}
	var got []at
	e.Mark = func(block int, p compute.Part) { got = append(got, at{block, p}) }
	if y := e.Forward(images, 1, nil); !slices.Equal(y.Data, want) {
		t.Error("the result differs")
	}
	order := []at{{compute.Outside, compute.PartEmbed}}
	for b := range 2 {
		for _, p := range []compute.Part{compute.PartNorm, compute.PartQKV, compute.PartAttention, compute.PartProj, compute.PartNorm, compute.PartFC1, compute.PartFC2} {
			order = append(order, at{b, p})
		}
	}
	if order = append(order, at{compute.Outside, compute.PartPool}); !slices.Equal(got, order) {
		t.Errorf("got %v, expected %v", got, order)
	}
}
