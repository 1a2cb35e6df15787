package metric

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestGoldenIntervals: quantiles, intervals, indices and tests are those of scipy, statsmodels and scikit-learn.
func TestGoldenIntervals(t *testing.T) {
	var g struct {
		Wilson, Student, Newcombe [][]float64
		Clustered                 struct {
			Score         []float64
			Truth         []int
			Patient       []string
			AUC, Variance float64
			Units         [2]int
			Interval      [2]float64
		}
		Agreement []struct {
			Classes        int
			Truth, Decided []int
			MCC, Kappa     float64
		}
		Recalibration struct {
			Logit            []float64
			Truth            []int
			Slope, Intercept float64
			InTheLarge       float64 `json:"in_the_large"`
		}
		Benefit struct {
			Twentieths     []float64
			Truth          []int
			At, Model, All []float64
		}
		Holm  struct{ P, Adjusted []float64 }
		Folds struct {
			Differences []float64
			Share, P    float64
			Interval    [2]float64
		}
	}
	text, err := os.ReadFile("testdata/intervals.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	bools := func(list []int) (out []bool) {
		for _, v := range list {
			out = append(out, v == 1)
		}
		return out
	}
	for _, r := range g.Wilson {
		low, high := Wilson(int(r[0]), int(r[1]), 0.95)
		same("Wilson, low", low, r[2], 1e-12)
		same("Wilson, high", high, r[3], 1e-12)
		low, high = wilson(r[0]/r[1], r[1], normalQuantile(0.975))
		same("wilson, low", low, r[2], 1e-12)
		same("wilson, high", high, r[3], 1e-12)
	}
	for _, r := range g.Student {
		same("Student", studentQuantile(r[0], r[1]), r[2], 1e-9)
	}
	for _, r := range g.Newcombe {
		low, high := rankInterval(r[0], r[1], r[2], 1, normalQuantile(0.975))
		same("Newcombe, low", low, r[3], 1e-9)
		same("Newcombe, high", high, r[4], 1e-9)
	}
	c := &g.Clustered
	p := &Predictions{Labels: 1, Truth: bools(c.Truth)}
	for _, v := range c.Score {
		p.Prob = append(p.Prob, 1/(1+math.Exp(-v/10)))
	}
	f := aucOf([]*Predictions{p}, 0)
	variance, a, b := f.variance(Units(c.Patient))
	same("AUC", f.value, c.AUC, 1e-12)
	same("Obuchowski's variance", variance, c.Variance, 1e-12)
	if a != c.Units[0] || b != c.Units[1] {
		t.Errorf("%d and %d units, want %v", a, b, c.Units)
	}
	n := measure(t, Bootstrap{Resamples: 100, Units: Units(c.Patient)}, p)
	same("interval by patient, low", n.AUC.Low, c.Interval[0], 1e-9)
	same("interval by patient, high", n.AUC.High, c.Interval[1], 1e-9)
	for _, r := range g.Agreement {
		x := Confusion{Count: make([][]int, r.Classes)}
		for k := range x.Count {
			x.Count[k] = make([]int, r.Classes)
		}
		for i := range r.Truth {
			x.Count[r.Truth[i]][r.Decided[i]]++
		}
		mcc, _ := x.MCC()
		kappa, _ := x.Kappa()
		same("MCC", mcc, r.MCC, 1e-12)
		same("kappa", kappa, r.Kappa, 1e-12)
	}
	var prob []float64
	for _, z := range g.Recalibration.Logit {
		prob = append(prob, 1/(1+math.Exp(-z)))
	}
	r := Recalibrate(prob, bools(g.Recalibration.Truth), nil, 0.95)
	same("slope", r.Slope.Value, g.Recalibration.Slope, 1e-8)
	same("intercept", r.Intercept.Value, g.Recalibration.Intercept, 1e-8)
	same("in the large", r.InTheLarge.Value, g.Recalibration.InTheLarge, 1e-8)
	for k, at := range g.Benefit.At {
		probs := make([]float64, len(g.Benefit.Twentieths))
		for i, v := range g.Benefit.Twentieths {
			probs[i] = v / 20
		}
		model, all, _ := NetBenefit(probs, bools(g.Benefit.Truth), at)
		same("net benefit", model, g.Benefit.Model[k], 1e-12)
		same("net benefit of all", all, g.Benefit.All[k], 1e-12)
	}
	for k, v := range Holm(g.Holm.P) {
		same("Holm", v, g.Holm.Adjusted[k], 1e-12)
	}
	e := CorrectedFolds(g.Folds.Differences, g.Folds.Share, 0.95)
	same("p over folds", e.P, g.Folds.P, 1e-9)
	same("interval over folds, low", e.Low, g.Folds.Interval[0], 1e-9)
	same("interval over folds, high", e.High, g.Folds.Interval[1], 1e-9)
}

// TestNoWidth: where all are right, or all alike, intervals keep a width; and so do those of one positive.
func TestNoWidth(t *testing.T) {
	for name, positives := range map[string]int{"all right": 19, "one positive": 1} {
		p := &Predictions{Labels: 2, Exclusive: true}
		for i := range 38 {
			yes := i < positives
			v := 0.0
			if yes {
				v = 1
			}
			p.Prob, p.Truth = append(p.Prob, 1-v, v), append(p.Truth, !yes, yes)
		}
		for _, units := range [][][]int{nil, {{0, 37}, {1, 2, 3}, {4, 5, 6, 7, 8, 9, 10}, {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36}}} {
			for k, e := range measure(t, Bootstrap{Resamples: 100, Units: units}, p).list() {
				if e.Bounded && !(e.High-e.Low > 0.01) || e.Defined && !e.Bounded {
					t.Errorf("%s: number %d: %+v", name, k, *e)
				}
			}
			bands, err := Bootstrap{Resamples: 100, Units: units}.Bands(t.Context(), []*Predictions{p}, 1, Grid(10))
			if err != nil {
				t.Fatal(err)
			}
			for k, e := range append(bands.ROC, bands.Precision...) {
				if e.Bounded && !(e.High > e.Low) {
					t.Errorf("%s: band %d: %+v", name, k, e)
				}
			}
		}
	}
}
