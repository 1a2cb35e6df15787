package lora

import (
	"math"
	"testing"

	"melo.example/melo/vit"
)

func TestFLOPs(t *testing.T) {
	base := &vit.Config{Width: 768, Depth: 12, Heads: 12, MLP: 3072, Image: 224, Patch: 16, Channels: 3, Class: true}
	// ViT-B/16 at 224: 17.6 G multiply-adds in the literature, within its rounding.
	if got := base.ForwardFLOPs(); math.Abs(got/35.1e9-1) > 0.01 {
		t.Errorf("ViT-B/16 forward: %.3g, want 35.1e9", got)
	}
	linear, melo, full := StepFLOPs(base, LinearOnly, 12), StepFLOPs(base, MeLo, 0), StepFLOPs(base, FullTuning, 0)
	if linear != base.ForwardFLOPs() || melo < 2*linear || full < 2.9*linear || full > 3.1*linear {
		t.Errorf("linear %.3g, melo %.3g, full %.3g", linear, melo, full)
	}
	if last := StepFLOPs(base, MeLo, 8); last >= melo || last <= linear {
		t.Errorf("only the last blocks: %.3g", last)
	}
}
