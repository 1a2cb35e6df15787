package study

import (
	"testing"

	"melo.example/melo/experiment"
)

func TestInWords(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	x := &experiment.LabelNumbers{Label: "malignant", Rates: experiment.Rates{Sensitivity: v(0.54), SensitivityInterval: &[2]float64{0.427, 0.654},
		Specificity: v(0.99), SpecificityInterval: &[2]float64{0.933, 0.9985}}}
	want := "malignant: of 100 images with it 54 are found (43 to 65); of 100 without it 1 is called so by mistake (0.1 to 7)."
	if got := inWords(x, nil); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want += " Where 9 of 100 images have it, as stated, 84 of 100 that are called so have it."
	if got := inWords(x, &experiment.Utility{Prevalence: 0.09, Stated: true, PPV: v(0.842)}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	x.Sensitivity = nil
	if got := inWords(x, nil); got != "malignant: there are images only with it, or only without it: what is found and at what price cannot be told." {
		t.Errorf("%q", got)
	}
}
