package experiment

import (
	"testing"

	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// TestPassFor: a gigantic base passes few images at a time, a usual one as many as ever; who says a number gets it.
func TestPassFor(t *testing.T) {
	giant := &vit.Model{Precision: vit.I8}
	giant.Config = vit.Config{Width: 1536, Depth: 40, Heads: 24, MLP: 4096, SwiGLU: true, Image: 224, Patch: 14, Channels: 3, Class: true}
	usual := &vit.Model{}
	usual.Config = vit.Config{Width: 768, Depth: 12, Heads: 12, MLP: 3072, Image: 224, Patch: 16, Channels: 3, Class: true}
	all, last := []lora.Delta{{}}, []lora.Delta{{Site: vit.Site{Block: 39}}}
	for _, x := range []struct {
		what   string
		m      *vit.Model
		pass   int
		deltas []lora.Delta
		method lora.Method
		least  int
		most   int
	}{
		{"giant", giant, 0, all, lora.MeLo, 1, 3},
		{"giant, full", giant, 0, nil, lora.FullTuning, 1, 3},
		{"giant, last block", giant, 0, last, lora.MeLo, UsualPass, UsualPass},
		{"giant, linear", giant, 0, nil, lora.LinearOnly, UsualPass, UsualPass},
		{"giant, as said", giant, 32, all, lora.MeLo, 32, 32},
		{"usual", usual, 0, all, lora.MeLo, UsualPass, UsualPass},
	} {
		o := Options{}
		o.Pass, o.Method = x.pass, x.method
		if got := o.PassFor(x.m, x.deltas); got < x.least || got > x.most {
			t.Errorf("%s: %d images, expected %d to %d", x.what, got, x.least, x.most)
		}
	}
}
