package melo

import (
	"strings"
	"testing"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// TestOtherPooling: an adapter whose head sees class token and mean of patches runs beside others on the same base, and
// one that is made for another pooling than it says is refused.
func TestOtherPooling(t *testing.T) {
	b := open(t, "hf_vit")
	pooled, err := vit.Pooled(b.model, "class+mean")
	if err != nil {
		t.Fatal(err)
	}
	start, err := lora.New(&pooled.Config, lora.Config{}, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f := &adapterfile.File{Adapter: start, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&pooled.Config, "test", b.Path(), digest), Pool: "class+mean",
		Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe}}
	a, err := b.Adapter(writeFile(t, b, f))
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]float32, a.Recipe().Values())
	if err := a.Recipe().Apply(picture(1), pixels); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 3)
	start.Head.Logits(want, pooled.NewEngine(1).Features(pixels, 1, lora.Segment{Adapter: start.Resident(vit.F32), Images: 1}))
	for i, v := range predict(t, b, a, picture(1))[0].Logits {
		if d := v - want[i]; d > 1e-4 || d < -1e-4 { // the file rounds the head to 24 bits
			t.Errorf("logit %d: %v, expected %v", i, v, want[i])
		}
	}
	f.Meta.Pool = "mean"
	if _, err := b.Adapter(writeFile(t, b, f)); err == nil || !strings.Contains(err.Error(), "features") {
		t.Errorf("error %v, expected one about the features", err)
	}
}

// TestPoolSites: an adapter beside the maps of attention pooling goes through a file, and does something.
func TestPoolSites(t *testing.T) {
	b := open(t, "siglip")
	start, err := lora.New(&b.model.Config, lora.Config{Kinds: []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}, Blocks: []int{1, arch.PoolBlock}}, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := predict(t, b, attached(t, b, start), picture(1))[0].Logits
	for _, d := range start.Deltas {
		if d.Site.Block == arch.PoolBlock {
			for i := range d.B {
				d.B[i] = float32(i%5) / 20
			}
		}
	}
	a := attached(t, b, start)
	pixels := make([]float32, a.Recipe().Values())
	if err := a.Recipe().Apply(picture(1), pixels); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 3)
	start.Head.Logits(want, b.model.NewEngine(1).Features(pixels, 1, lora.Segment{Adapter: start.Resident(vit.F32), Images: 1}))
	moved := false
	for i, v := range predict(t, b, a, picture(1))[0].Logits {
		if d := v - want[i]; d > 1e-4 || d < -1e-4 { // the file rounds the head to 24 bits
			t.Errorf("logit %d: %v, expected %v", i, v, want[i])
		}
		moved = moved || v != before[i]
	}
	if !moved {
		t.Error("the deltas of attention pooling change nothing")
	}
}

func attached(t *testing.T, b *Base, start *lora.Adapter) *Adapter {
	t.Helper()
	a, err := b.Adapter(writeFile(t, b, &adapterfile.File{Adapter: start, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe}}))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
