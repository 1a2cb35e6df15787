package answer

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestProbabilities(t *testing.T) {
	e := math.Exp(1)
	for name, c := range map[string]struct {
		rule   Rule
		logits []float32
		want   []float64
	}{
		"softmax":               {Rule{Exclusive: true}, []float32{1, 0}, []float64{e / (1 + e), 1 / (1 + e)}},
		"one temperature":       {Rule{Exclusive: true, Temperatures: []float64{2}}, []float32{2, 0, 0}, []float64{e / (2 + e), 1 / (2 + e), 1 / (2 + e)}},
		"sigmoid":               {Rule{}, []float32{1, 0}, []float64{e / (1 + e), 0.5}},
		"a temperature a label": {Rule{Temperatures: []float64{4, 1}}, []float32{4, -1}, []float64{e / (1 + e), 1 / (1 + e)}},
		"single logit":          {Rule{}, []float32{0}, []float64{0.5}},
		"large logits":          {Rule{Exclusive: true}, []float32{1e30, 0}, []float64{1, 0}},
	} {
		got := make([]float64, len(c.want))
		c.rule.Probabilities(got, c.logits)
		// A few float64 operations.
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-15 }) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestSoftmaxStaysBelowOne: nobody needs to cut probabilities off at 1.
func TestSoftmaxStaysBelowOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, 5)
	for range 100_000 {
		scale := math.Exp(rng.NormFloat64() * 4)
		for i := range x {
			x[i] = rng.NormFloat64() * scale
		}
		softmax(x)
		if p := slices.Max(x); !(p <= 1) {
			t.Fatalf("probability %v", p)
		}
	}
}

func TestOf(t *testing.T) {
	exclusive := Rule{Labels: []string{"a", "b", "c"}, Exclusive: true, Thresholds: []float64{0.1, 0.1, 0.1}}
	a, err := exclusive.Of([]float32{0, 2, 2})
	if err != nil || a.Label != "b" || a.Index != 1 || a.Probability != a.Probabilities[1] || a.Present != nil || a.Logits[1] != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if d := exclusive.Decision(&a); !slices.Equal(d, []string{"b"}) {
		t.Errorf("decision %v", d)
	}
	each := Rule{Labels: []string{"a", "b", "c"}, ByThreshold: true, Thresholds: []float64{0.4, 0.5, 0.6}}
	a, err = each.Of([]float32{0, 0, 0})
	if err != nil || a.Label != "a" || !slices.Equal(a.Present, []bool{true, true, false}) || !slices.Equal(each.Decision(&a), []string{"a", "b"}) {
		t.Errorf("%+v, %v", a, err)
	}
	each.Thresholds = nil
	if a, err = each.Of([]float32{-1, -1, -1}); err != nil || len(each.Decision(&a)) != 0 || each.Decision(&a) == nil {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := each.Of([]float32{1, 2}); err == nil {
		t.Error("two logits for three labels were accepted")
	}
}

// TestNotFinite: a row that is no number is an error that names the output, in every kind of task.
func TestNotFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	for _, rule := range []Rule{{Labels: []string{"a", "b"}, Exclusive: true}, {Labels: []string{"a", "b"}}, {Labels: []string{"a", "b"}, Temperatures: []float64{0.5}}} {
		for _, bad := range []float32{nan, inf, -inf} {
			_, err := rule.Of([]float32{1, bad})
			var e *NotFiniteError
			// With a softmax one NaN makes all NaN: then the first is named.
			if !errors.As(err, &e) || e.Label == "" {
				t.Errorf("%+v, logit %v: %v", rule, bad, err)
			}
		}
	}
}
