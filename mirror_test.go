package melo

import (
	"slices"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// TestRelationMirror: an adapter that asks for it answers an image and its mirror image alike, with the mean of what it says
// of each without.
func TestRelationMirror(t *testing.T) {
	b := open(t, "hf_vit", Batch(2))
	a, err := lora.New(&b.model.Config, lora.Config{}, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	attached := func(mirror bool) *Adapter {
		path := writeFile(t, b, &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Mirror: mirror}})
		adapter, err := b.Adapter(path)
		if err != nil {
			t.Fatal(err)
		}
		return adapter
	}
	single, both := attached(false), attached(true)
	x := make([]float32, single.Recipe().Values())
	if err := single.Recipe().Apply(picture(1), x); err != nil {
		t.Fatal(err)
	}
	y := slices.Clone(x)
	imaging.Mirror(y, single.Recipe().Size)
	answersOf := func(adapter *Adapter, x []float32) []float32 {
		answers, err := b.answer(adapter, slices.Clone(x), 1)
		if err != nil {
			t.Fatal(err)
		}
		return answers[0].prediction.Logits
	}
	want := answersOf(single, x)
	for k, v := range answersOf(single, y) {
		if want[k] == v {
			t.Fatal("the mirror image is no other image")
		}
		want[k] = (want[k] + v) / 2
	}
	if got := answersOf(both, x); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := answersOf(both, y); !slices.Equal(got, want) {
		t.Errorf("the mirror image: %v, want %v", got, want)
	}
}
