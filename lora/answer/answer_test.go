package answer

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
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
	if a, err = each.Of([]float32{-0.1, 0, 0.1}); err != nil || !slices.Equal(a.Present, []bool{false, true, true}) { // one half, unless said otherwise
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := each.Of([]float32{1, 2}); err == nil {
		t.Error("two logits for three labels were accepted")
	}
}

// TestBinary: one threshold, that of the second label, decides between two labels that exclude each other; exactly one is present, and
// the probability of the answer stays that of the likelier one.
func TestBinary(t *testing.T) {
	r := Rule{Labels: []string{"benign", "malignant"}, Exclusive: true, ByThreshold: true, Thresholds: []float64{0.4, 0.25}}
	if a, b := r.Threshold(0), r.Threshold(1); a != 0.75 || b != 0.25 {
		t.Errorf("thresholds %v and %v", a, b)
	}
	for _, c := range []struct {
		p    float64 // of malignant
		want string
		top  string
	}{{0.2, "benign", "benign"}, {0.3, "malignant", "benign"}, {0.45, "malignant", "benign"}, {0.7, "malignant", "malignant"}, {0.9, "malignant", "malignant"}} {
		a, err := r.Of([]float32{0, float32(math.Log(c.p / (1 - c.p)))})
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Decision(&a); !slices.Equal(d, []string{c.want}) || a.Label != c.top || a.Present[0] == a.Present[1] {
			t.Errorf("p = %v: decided %v, likelier %s, present %v", c.p, d, a.Label, a.Present)
		}
	}
	r.Thresholds = []float64{0.5, 0.5} // at the threshold itself it is the second alone
	if a, err := r.Of([]float32{0, 0}); err != nil || !slices.Equal(r.Decision(&a), []string{"malignant"}) {
		t.Errorf("%+v, %v", a, err)
	}
	r.Thresholds = []float64{0.4, 0.25}
	r.ByThreshold = false // then the likelier one is decided, whatever the thresholds
	if a, err := r.Of([]float32{0, -0.5}); err != nil || !slices.Equal(r.Decision(&a), []string{"benign"}) || a.Present != nil || r.Threshold(0) != 0.4 {
		t.Errorf("%+v, %v", a, err)
	}
	r = Rule{Labels: []string{"a", "b"}, ByThreshold: true, Thresholds: []float64{0.4, 0.25}} // labels by themselves have their own
	if a, err := r.Of([]float32{-0.2, -0.2}); err != nil || r.Threshold(0) != 0.4 || !slices.Equal(a.Present, []bool{true, true}) {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestUnlike: nothing is decided about an image that is not like the training images, and no set is promised for it.
func TestUnlike(t *testing.T) {
	sets := conformal.New([]float64{0.9, 0.1, 0.2, 0.8}, []bool{true, false, false, true}, 2, true)
	for _, r := range []Rule{{Labels: []string{"a", "b"}, Exclusive: true, Sets: sets}, {Labels: []string{"a", "b"}, Exclusive: true, ByThreshold: true, Sets: sets}} {
		a, err := r.Of([]float32{3, 0})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []*fit.Verdict{nil, {Score: 1}} {
			a.Fit = f
			if s := r.Set(&a, 0.9); !slices.Equal(r.Decision(&a), []string{"a"}) || s == nil || s.Coverage != 0.9 || !slices.Contains(s.Labels, "a") {
				t.Errorf("%+v: decided %v, set %+v", f, r.Decision(&a), s)
			}
		}
		a.Fit = &fit.Verdict{Score: 9, Unlike: true}
		if d, s := r.Decision(&a), r.Set(&a, 0.9); d == nil || len(d) != 0 || s != nil {
			t.Errorf("unlike: decided %v, set %+v", d, s)
		}
		r.Sets, a.Fit = nil, nil
		if s := r.Set(&a, 0.9); s != nil {
			t.Errorf("without calibration: %+v", s)
		}
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
