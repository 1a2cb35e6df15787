package predictions_test

import (
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/predictions"
)

// TestApplies: an image that nobody could read is not one that no adapter knows.
func TestApplies(t *testing.T) {
	about := func(name string, unlike bool) predictions.Document {
		return predictions.Document{Adapter: &experiment.AdapterReference{Path: name + ".safetensors"},
			Results: []predictions.Prediction{{Image: "a", Fit: &fit.Verdict{Unlike: unlike}}, {Image: "b", Fit: &fit.Verdict{Unlike: true}}},
			Failed:  []experiment.FailedImage{{Image: "c", Error: "gone"}}}
	}
	d := predictions.All{Adapters: []predictions.Document{about("x", false), about("y", true)}}
	d.Apply([]string{"a", "b", "c"})
	if a := d.Applies[0]; len(a.Apply) != 1 || a.Apply[0] != "x" || a.Error != "" {
		t.Errorf("a: %+v", a)
	}
	if b := d.Applies[1]; len(b.Apply) != 0 || b.Error != "" {
		t.Errorf("b: %+v", b)
	}
	if c := d.Applies[2]; c.Error != "gone" {
		t.Errorf("c: %+v", c)
	}
}
