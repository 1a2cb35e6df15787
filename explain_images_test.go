package melo

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"melo.example/melo/explain"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// TestExplain: what is explained is the answer that Predict gives, to the bit, by every method, of adapters that mirror, too.
func TestExplain(t *testing.T) {
	b := open(t, "hf_vit")
	for _, mirror := range []bool{false, true} {
		start, err := lora.New(&b.model.Config, lora.Config{}, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range start.Deltas {
			for j := range start.Deltas[i].B {
				start.Deltas[i].B[j] = float32(j%7-3) / 20
			}
		}
		a, err := b.Adapter(writeFile(t, b, &adapterfile.File{Adapter: start, Meta: adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3), Recipe: b.model.Recipe, Mirror: mirror}}))
		if err != nil {
			t.Fatal(err)
		}
		want, err := b.Predict(t.Context(), a, picture(1), picture(2))
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range explain.Methods() {
			got, err := a.Explain(t.Context(), ExplainOptions{Method: method}, picture(1), picture(2))
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range got {
				for j, v := range x.Prediction.Logits {
					if v != want[i].Logits[j] {
						t.Errorf("%s, mirror %v: logit %d of image %d is %v, predicted %v", method, mirror, j, i, v, want[i].Logits[j])
					}
				}
				if x.Label != want[i].Label || x.Probability != want[i].Probability || len(x.Map.Values) != x.Map.Grid*x.Map.Grid {
					t.Errorf("%s: %+v, predicted %+v", method, x, want[i])
				}
				full, err := x.Full()
				if err != nil || len(full) != x.Width*x.Height {
					t.Errorf("%d values for %d x %d pixels: %v", len(full), x.Width, x.Height, err)
				}
				var text bytes.Buffer
				if err := x.WritePNG(&text, "note"); err != nil {
					t.Fatal(err)
				}
				if _, err := png.Decode(&text); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestExplainRefuses: labels that there are not, other bases, and images that are none.
func TestExplainRefuses(t *testing.T) {
	b := open(t, "hf_vit")
	a, err := b.OwnHead()
	if err != nil {
		t.Fatal(err)
	}
	for says, o := range map[string]ExplainOptions{
		"no label \"x\"":   {Label: "x"},
		"no label \"y\"":   {Label: "class 1", Against: "y"},
		"against itself":   {Label: "class 1", Against: "class 1"},
		"unknown method":   {Method: "magic"},
		"a window of 99":   {Method: explain.Occlusion, Window: 99},
		"name a label":     {Against: "class 4"}, // the answer, see ExampleBase_Predict
		"image 0: no imag": {Label: "class 2"},
	} {
		img := []*imaging.Image{picture(1)}
		switch says {
		case "image 0: no imag":
			img[0] = nil
		case "name a label":
			o.Against = predict(t, b, a, picture(1))[0].Label
		}
		if _, err := a.Explain(t.Context(), o, img...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, expected one that says %q", err, says)
		}
	}
	if _, err := (*Adapter)(nil).Explain(t.Context(), ExplainOptions{}); err == nil {
		t.Error("a nil adapter explains")
	}
	if err := open(t, "hf_vit").ExplainEach(t.Context(), a, ExplainOptions{}, 0, nil, nil); err == nil {
		t.Error("nothing is read")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Explain(t.Context(), ExplainOptions{}, picture(1)); err == nil {
		t.Error("a closed base explains")
	}
}
