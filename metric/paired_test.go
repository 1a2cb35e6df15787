package metric

import (
	"math"
	"math/rand/v2"

	"testing"
)

// TestTwoLevel: where seeds matter, intervals over images alone miss the truth of training again, and those over both hold it.
func TestTwoLevel(t *testing.T) {
	const rounds, seeds, n, sd = 100, 4, 60, 0.6
	both, images := 0, 0
	for round := range rounds {
		rng := rand.New(rand.NewPCG(64, uint64(round)))
		truth := make([]bool, n)
		common := make([]float64, n)
		for i := range truth {
			truth[i], common[i] = i%3 == 0, rng.NormFloat64()
		}
		method := func() (runs []*Predictions) {
			for range seeds {
				d := 1.2 + sd*rng.NormFloat64() // how good this seed is
				p := &Predictions{Labels: 1, Truth: truth}
				for i, yes := range truth {
					v := common[i] + 0.3*rng.NormFloat64()
					if yes {
						v += d
					}
					p.Prob = append(p.Prob, 1/(1+math.Exp(-v)))
				}
				runs = append(runs, p)
			}
			return runs
		}
		a, b := method(), method()
		boot := Bootstrap{Resamples: 150, Seed: 1}
		d, err := boot.CompareMethods(t.Context(), a, b, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		if d.AUC.Low <= 0 && d.AUC.High >= 0 {
			both++
		}
		if x, err := boot.CompareRuns(t.Context(), a, b); err != nil {
			t.Fatal(err)
		} else if x.AUC.Low <= 0 && x.AUC.High >= 0 {
			images++
		}
	}
	if share := float64(both) / rounds; share < 0.91 || images >= both {
		t.Errorf("%v hold no difference over images and seeds, %v over images", share, float64(images)/rounds)
	}
}

// TestCompareMethods: one run each is CompareRuns; the places of the list are those of the numbers; the same answers have no
// interval; a margin that is passed shows.
func TestCompareMethods(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := random(rng, 80, 3, true)
	q := random(rng, 80, 3, true)
	q.Truth = p.Truth
	boot := Bootstrap{Resamples: 200, Seed: 3}
	d, err := boot.CompareMethods(t.Context(), []*Predictions{p}, []*Predictions{q}, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	want, err := boot.CompareRuns(t.Context(), []*Predictions{p}, []*Predictions{q})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]Estimate{"AUC": {d.AUC.Estimate, want.AUC}, "accuracy": {d.Accuracy.Estimate, want.Accuracy},
		"balanced": {d.BalancedAccuracy.Estimate, want.BalancedAccuracy}, "F1": {d.F1.Estimate, want.F1}, "ECE": {d.ECE.Estimate, want.ECE},
		"Brier": {d.Brier.Estimate, want.Brier}, "log loss": {d.LogLoss.Estimate, want.LogLoss},
		"label 1": {d.Labels[1].Estimate, want.Labels[1].AUC}, "label 2": {d.Labels[2].Estimate, want.Labels[2].AUC}} {
		if a, b := pair[0], pair[1]; !near(a.Value, b.Value) || !near(a.Low, b.Low) || !near(a.High, b.High) || a.P < b.P-1e-12 {
			t.Errorf("%s: %+v, want %+v", what, a, b)
		}
	}
	if d.AUC.Seeds || !(d.AUC.NotInferior < 0.05) {
		t.Errorf("%+v", d.AUC)
	}
	if back, _ := boot.CompareMethods(t.Context(), []*Predictions{q}, []*Predictions{p}, 0.01); !(back.AUC.NotInferior > 0.95) {
		t.Errorf("the worse one: %+v", back.AUC)
	}
	same, err := boot.CompareMethods(t.Context(), []*Predictions{p, q}, []*Predictions{p, q}, 0.01)
	if err != nil || same.AUC.Value != 0 || same.AUC.Bounded || same.AUC.P != 1 || same.AUC.NotInferior > 0.1 {
		t.Errorf("itself: %+v, %v", same.AUC, err)
	}
	if w := picks(rng, 4); math.Abs(w[0]+w[1]+w[2]+w[3]-1) > 1e-12 {
		t.Errorf("picks %v", w)
	}
}
