package metric

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// plainCurves reads sensitivity and precision at places off a curve, in the plainest way: NaN where there is none.
func plainCurves(scores []float64, positive []bool, at []float64) (roc, precision []float64) {
	c := NewCurve(scores, positive)
	positives, negatives := c.classes()
	for _, x := range at {
		y, p := math.NaN(), math.NaN()
		if positives > 0 && negatives > 0 {
			for i := 1; i < len(c); i++ {
				x0, x1 := float64(c[i-1].FP)/float64(negatives), float64(c[i].FP)/float64(negatives)
				y0, y1 := float64(c[i-1].TP)/float64(positives), float64(c[i].TP)/float64(positives)
				switch {
				case math.Abs(x-x1) < 1e-9: // of points above each other the highest
					y = y1
				case x > x0 && x < x1:
					y = y0 + (x-x0)/(x1-x0)*(y1-y0)
				case math.IsNaN(y) && math.Abs(x-x0) < 1e-9:
					y = y0
				}
			}
		}
		if positives > 0 {
			for i := len(c) - 1; i > 0; i-- {
				if c[i].TP > 0 && float64(c[i].TP)/float64(positives) >= x-1e-9 {
					p, _ = c[i].Precision()
				}
			}
		}
		roc, precision = append(roc, y), append(precision, p)
	}
	return roc, precision
}

// TestSweep: curves of weighted samples are those of a list that repeats them.
func TestSweep(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	at := Grid(20)
	for round := range 200 {
		n := 1 + rng.IntN(25)
		scores, positive, weights := make([]float64, n), make([]bool, n), make([]int32, n)
		var long []float64
		var truth []bool
		for i := range n {
			scores[i], positive[i], weights[i] = float64(rng.IntN(8))/8, rng.IntN(3) == 0, int32(rng.IntN(3))
			for range weights[i] {
				long, truth = append(long, scores[i]), append(truth, positive[i])
			}
		}
		got := make([]float64, 2*len(at))
		newSweep(scores, positive).curves(weights, at, got)
		roc, precision := plainCurves(long, truth, at)
		for k, want := range append(roc, precision...) {
			if math.IsNaN(want) != math.IsNaN(got[k]) || math.Abs(want-got[k]) > 1e-9 {
				t.Fatalf("round %d: place %d is %v, want %v (scores %v, truth %v)", round, k, got[k], want, long, truth)
			}
		}
	}
}

// TestBands: the curves are those of the samples, lie within their intervals, do not depend on workers, are means
// over runs, and the area under the ROC curve is the AUC.
func TestBands(t *testing.T) {
	rng := rand.New(rand.NewPCG(33, 34))
	p := random(rng, 120, 2, true)
	other := *p
	other.Prob = random(rng, 120, 2, true).Prob
	b := Bootstrap{Resamples: 200, Workers: 1}
	at := Grid(1000)
	one, err := b.Bands(t.Context(), []*Predictions{p}, 1, at)
	if err != nil {
		t.Fatal(err)
	}
	roc, precision := plainCurves(append([]float64{}, first(p.Column(1))...), second(p.Column(1)), at)
	area := 0.0
	for k := range at {
		if !near(one.ROC[k].Value, roc[k]) || !near(one.Precision[k].Value, precision[k]) {
			t.Fatalf("at %v: %+v and %+v, want %v and %v", at[k], one.ROC[k], one.Precision[k], roc[k], precision[k])
		}
		if e := one.ROC[k]; !e.Bounded || e.Low > e.Value+0.05 || e.High < e.Value-0.05 || e.Low > e.High {
			t.Errorf("at %v: %+v", at[k], e)
		}
		area += roc[k] / float64(len(at))
	}
	if auc, _ := p.AUC(1); math.Abs(area-auc) > 0.002 {
		t.Errorf("area %v, AUC %v", area, auc)
	}
	b.Workers = 5
	if again, err := b.Bands(t.Context(), []*Predictions{p}, 1, at); err != nil || !reflect.DeepEqual(again, one) {
		t.Errorf("five workers: %v", err)
	}
	two, err1 := b.Bands(t.Context(), []*Predictions{&other}, 1, at)
	both, err2 := b.Bands(t.Context(), []*Predictions{p, &other}, 1, at)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for k := range at {
		if want := (one.ROC[k].Value + two.ROC[k].Value) / 2; !near(both.ROC[k].Value, want) {
			t.Errorf("mean at %v is %v, want %v", at[k], both.ROC[k].Value, want)
		}
	}
	none := &Predictions{Labels: 1, Prob: []float64{0.2, 0.7}, Truth: []bool{true, true}}
	flat, err := b.Bands(t.Context(), []*Predictions{none}, 0, []float64{0, 1})
	if err != nil || flat.ROC[0].Defined || flat.ROC[0].Undefined != 200 || !flat.Precision[1].Defined {
		t.Errorf("without a negative: %+v, %v", flat, err)
	}
	if _, err := b.Bands(t.Context(), []*Predictions{p}, 2, at); err == nil {
		t.Error("a label that is not there has bands")
	}
}

func first(prob []float64, _ []bool) []float64 { return prob }
func second(_ []float64, truth []bool) []bool  { return truth }

// TestRunsByHand: means and differences over runs, with p-values, from resamples that are written out.
func TestRunsByHand(t *testing.T) {
	rng := rand.New(rand.NewPCG(35, 36))
	base := random(rng, 40, 3, true)
	var runs []*Predictions
	for range 4 {
		p := *base
		p.Prob = slices.Clone(base.Prob)
		for i := 0; i < len(p.Prob); i += 3 {
			if rng.IntN(4) == 0 {
				p.Prob[i], p.Prob[i+1] = p.Prob[i+1], p.Prob[i]
			}
		}
		runs = append(runs, &p)
	}
	b := Bootstrap{Resamples: 400, Seed: 9, Units: [][]int{}}
	for i := 0; i < 40; i += 2 {
		b.Units = append(b.Units, []int{i, i + 1})
	}
	mean := func(list []*Predictions, samples []int) float64 {
		sum := 0.0
		for _, p := range list {
			v, ok := p.Subset(samples).MacroAUC()
			if !ok {
				return math.NaN()
			}
			sum += v
		}
		return sum / float64(len(list))
	}
	var means, differences []float64
	weights := make([]int32, 40)
	for r := range 401 {
		b.draw(weights, b.Units, r)
		var samples []int
		for i, w := range weights {
			for range w {
				samples = append(samples, i)
			}
		}
		m := mean(runs[:2], samples)
		means, differences = append(means, m), append(differences, m-mean(runs[2:], samples))
	}
	table, err1 := b.meanTable(t.Context(), runs[:2])
	n := b.numbers(table, 1)
	d, err2 := b.CompareRuns(t.Context(), runs[:2], runs[2:])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, c := range []struct {
		got  Estimate
		want []float64
	}{{n.AUC, means}, {d.AUC, differences}} {
		sorted := slices.Sorted(slices.Values(c.want[1:]))
		if !near(c.got.Value, c.want[0]) || !near(c.got.Low, quantile(sorted, 0.025)) || !near(c.got.High, quantile(sorted, 0.975)) {
			t.Errorf("%+v, want %v from %v to %v", c.got, c.want[0], quantile(sorted, 0.025), quantile(sorted, 0.975))
		}
	}
	up, down := 0, 0
	for _, v := range differences[1:] {
		if v >= -1e-12 {
			up++
		}
		if v <= 1e-12 {
			down++
		}
	}
	if want := min(1, 2*float64(1+min(up, down))/401); !near(d.AUC.P, want) {
		t.Errorf("p-value %v, want %v", d.AUC.P, want)
	}
	if _, err := b.MeasureRuns(t.Context(), nil); err == nil {
		t.Error("no runs have a mean")
	}
	if _, err := b.CompareRuns(t.Context(), runs[:1], []*Predictions{random(rng, 40, 3, true)}); err == nil {
		t.Error("different samples are compared")
	}
}
