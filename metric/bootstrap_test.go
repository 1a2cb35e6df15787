package metric

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// random makes predictions with ties, of which some are right.
func random(rng *rand.Rand, n, labels int, exclusive bool) *Predictions {
	p := &Predictions{Labels: labels, Exclusive: exclusive}
	for range n {
		truth, total := rng.IntN(labels), 0.0
		at := len(p.Prob)
		for l := range labels {
			v := float64(1 + rng.IntN(9))
			yes := l == truth
			if !exclusive {
				yes = rng.IntN(3) == 0
			}
			if yes {
				v += 3
			}
			p.Prob, p.Truth = append(p.Prob, v/12), append(p.Truth, yes)
			total += v / 12
		}
		for l := range labels {
			if exclusive {
				p.Prob[at+l] /= total
			}
		}
	}
	if !exclusive {
		for range labels {
			p.Thresholds = append(p.Thresholds, float64(1+rng.IntN(11))/12)
		}
	}
	return p
}

// TestScorer: numbers of weighted samples are those of a list that repeats them, as the plain functions see it.
func TestScorer(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for round := range 60 {
		p := random(rng, 1+rng.IntN(30), 2+rng.IntN(3), round%2 == 0)
		weights := make([]int32, p.N())
		long := &Predictions{Labels: p.Labels, Exclusive: p.Exclusive, Thresholds: p.Thresholds}
		for i := range weights {
			weights[i] = int32(rng.IntN(3))
			for range weights[i] {
				long.Prob = append(long.Prob, p.Prob[i*p.Labels:(i+1)*p.Labels]...)
				long.Truth = append(long.Truth, p.Truth[i*p.Labels:(i+1)*p.Labels]...)
			}
		}
		n := newNumbers(p.Labels)
		out := make([]float64, len(n.list()))
		s := newScorer(p)
		s.score(weights, s.scratch(), out)
		for k, e := range n.list() {
			e.Value, e.Defined = out[k], !math.IsNaN(out[k])
		}
		compare := func(what string, e Estimate, want float64, ok bool) {
			t.Helper()
			if e.Defined != ok || ok && !near(e.Value, want) {
				t.Errorf("round %d: %s is %+v, want %v (%v)", round, what, e, want, ok)
			}
		}
		pair := func(what string, e Estimate) func(float64, bool) {
			return func(want float64, ok bool) { t.Helper(); compare(what, e, want, ok) }
		}
		pair("AUC", n.AUC)(long.MacroAUC())
		pair("accuracy", n.Accuracy)(long.Accuracy())
		pair("balanced accuracy", n.BalancedAccuracy)(long.BalancedAccuracy())
		pair("F1", n.F1)(long.F1())
		pair("ECE", n.ECE)(long.ECE(DefaultBins))
		pair("Brier", n.Brier)(long.Brier())
		pair("log loss", n.LogLoss)(long.LogLoss())
		for l := range p.Labels {
			pair("AUC of a label", n.Labels[l].AUC)(long.AUC(l))
			pair("sensitivity", n.Labels[l].Decided.Sensitivity)(long.Counts()[l].Sensitivity())
			prob, truth := long.Column(l)
			pair("specificity at a threshold", n.Labels[l].At.Specificity)(Count(prob, truth, p.Threshold(l)).Specificity())
		}
	}
}

func measure(t *testing.T, b Bootstrap, p *Predictions) *Numbers {
	t.Helper()
	n, err := b.Measure(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// percentiles are the numbers with the intervals of resamples alone.
func percentiles(t *testing.T, b Bootstrap, p *Predictions) *Numbers {
	t.Helper()
	table, err := b.meanTable(t.Context(), []*Predictions{p})
	if err != nil {
		t.Fatal(err)
	}
	return b.numbers(table, p.Labels)
}

// TestRelationBootstrap: workers change nothing; the seed does; and images that a patient has four times over tell
// nothing new, if it is known that they are the patient's.
func TestRelationBootstrap(t *testing.T) {
	p := random(rand.New(rand.NewPCG(7, 8)), 50, 3, true)
	b := Bootstrap{Resamples: 300, Seed: 4}
	one, many, other := b, b, b
	one.Workers, many.Workers, other.Seed = 1, 7, 5
	want := measure(t, one, p)
	if got := measure(t, many, p); !reflect.DeepEqual(got, want) {
		t.Errorf("7 workers: %+v\n1 worker: %+v", got, want)
	}
	if got := measure(t, other, p); got.ECE.Low == want.ECE.Low || got.ECE.Value != want.ECE.Value || got.AUC != want.AUC {
		t.Errorf("another seed: %+v, before %+v", got.ECE, want.ECE)
	}
	four := &Predictions{Labels: 3, Exclusive: true}
	var patients []string
	for range 4 {
		four.Prob, four.Truth = append(four.Prob, p.Prob...), append(four.Truth, p.Truth...)
		for i := range p.N() {
			patients = append(patients, string(rune('A'+i)))
		}
	}
	b.Units = Units(patients)
	grouped := percentiles(t, b, four)
	want = percentiles(t, one, p)
	grouped.ECEDebiased = want.ECEDebiased // copies have less noise within a bin
	for k, e := range grouped.list() {
		if w := want.list()[k]; !near(e.Value, w.Value) || !near(e.Low, w.Low) || !near(e.High, w.High) || e.Undefined != w.Undefined {
			t.Errorf("number %d by patient: %+v, want %+v", k, e, w)
		}
	}
	b.Units = nil
	if alone := measure(t, b, four); alone.AUC.High-alone.AUC.Low > 0.7*(want.AUC.High-want.AUC.Low) {
		t.Errorf("copies taken for independent: %+v", alone.AUC)
	}
}

func TestUnits(t *testing.T) {
	got := Units([]string{"a", "", "b", "a", "", "b"})
	if want := [][]int{{0, 3}, {1}, {2, 5}, {4}}; !slices.EqualFunc(got, want, slices.Equal[[]int]) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestBootstrapCountsWhatIsNotDefined: with one positive among ten, a resample lacks it with probability 0.9^10.
func TestBootstrapCountsWhatIsNotDefined(t *testing.T) {
	p := &Predictions{Labels: 1}
	for i := range 10 {
		p.Prob, p.Truth = append(p.Prob, float64(i)/10), append(p.Truth, i == 5)
	}
	n := measure(t, Bootstrap{}, p)
	share := float64(n.AUC.Undefined) / DefaultResamples
	if e := n.AUC; !e.Defined || !e.Bounded || math.Abs(share-math.Pow(0.9, 10)) > 0.05 || n.Accuracy.Undefined != 0 {
		t.Errorf("%+v, %v of the resamples undefined", e, share)
	}
	for i := range p.Truth {
		p.Truth[i] = false
	}
	if e := measure(t, Bootstrap{}, p).AUC; e != (Estimate{Undefined: DefaultResamples}) {
		t.Errorf("without positives: %+v", e)
	}
	empty := measure(t, Bootstrap{Resamples: 5}, &Predictions{Labels: 2, Exclusive: true})
	for k, e := range empty.list() {
		if *e != (Estimate{Undefined: 5}) {
			t.Errorf("number %d of nothing: %+v", k, e)
		}
	}
	// Of three samples a given one is missing from (2/3)^3 of the resamples: less than half.
	p = &Predictions{Labels: 3, Exclusive: true, Prob: []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}, Truth: []bool{true, false, false, false, true, false, false, false, true}}
	if e := measure(t, Bootstrap{}, p).Labels[0].Decided.Sensitivity; !e.Bounded || e.Undefined == 0 {
		t.Errorf("%+v", e)
	}
}

// TestBootstrapCovers: an interval of 95 % has the true accuracy in it about so often.
func TestBootstrapCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const rounds, n, accuracy = 300, 120, 0.7
	covered := 0
	for range rounds {
		p := &Predictions{Labels: 1, Prob: make([]float64, n), Truth: make([]bool, n)}
		for i := range n {
			p.Truth[i] = rng.Float64() < accuracy
			p.Prob[i] = 1
		}
		if e := measure(t, Bootstrap{Resamples: 300, Seed: rng.Uint64()}, p).Accuracy; e.Low <= accuracy && accuracy <= e.High {
			covered++
		}
	}
	// Three standard errors of a share of 300 are 0.04; the percentile method itself is short by about 0.01.
	if share := float64(covered) / rounds; share < 0.89 || share > 0.99 {
		t.Errorf("%v of the intervals have the true value", share)
	}
}

func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	good := random(rng, 150, 2, true)
	same, bad := *good, *good
	bad.Prob = slices.Clone(good.Prob)
	for i := 0; i < len(bad.Prob); i += 2 {
		if rng.IntN(3) == 0 {
			bad.Prob[i], bad.Prob[i+1] = bad.Prob[i+1], bad.Prob[i]
		}
	}
	b := Bootstrap{Resamples: 1000}
	compare := func(x, y *Predictions) *Numbers {
		t.Helper()
		n, err := b.Compare(t.Context(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := compare(good, &same); n.AUC != (Estimate{Defined: true, Bounded: true, P: 1}) {
		t.Errorf("with itself: %+v", n.AUC)
	}
	d, back := compare(good, &bad).AUC, compare(&bad, good).AUC
	g, w := measure(t, b, good).AUC, measure(t, b, &bad).AUC
	if !near(d.Value, g.Value-w.Value) || d.P > 0.01 || d.Low <= 0 || back.P != d.P || back.Value != -d.Value {
		t.Errorf("difference %+v, back %+v, of %+v and %+v", d, back, g, w)
	}
	// The same noise makes a paired interval narrower than that of independent differences.
	if paired := d.High - d.Low; paired >= math.Hypot(g.High-g.Low, w.High-w.Low) {
		t.Errorf("paired interval %v", paired)
	}
	other := *good
	other.Truth = slices.Clone(good.Truth)
	other.Truth[0], other.Truth[1] = other.Truth[1], other.Truth[0]
	if _, err := b.Compare(t.Context(), good, &other); err == nil {
		t.Error("different samples are compared")
	}
}

// TestCompareUnderNoDifference: p-values of equally good predictions are below 0.1 about every tenth time.
func TestCompareUnderNoDifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	const rounds, n = 300, 100
	small := 0
	for range rounds {
		a := &Predictions{Labels: 1, Prob: make([]float64, n), Truth: make([]bool, n)}
		c := &Predictions{Labels: 1, Prob: make([]float64, n), Truth: a.Truth}
		for i := range n {
			a.Truth[i] = rng.IntN(2) == 0
			for _, p := range []*Predictions{a, c} {
				p.Prob[i] = rng.Float64() / 1.5
				if a.Truth[i] {
					p.Prob[i] += 0.3
				}
			}
		}
		d, err := Bootstrap{Resamples: 200, Seed: rng.Uint64()}.Compare(t.Context(), a, c)
		if err != nil {
			t.Fatal(err)
		}
		if d.AUC.P < 0.1 {
			small++
		}
	}
	if share := float64(small) / rounds; share < 0.04 || share > 0.17 { // three standard errors, and a bias
		t.Errorf("%v of the p-values are below 0.1", share)
	}
}

func TestBootstrapEnds(t *testing.T) {
	p := random(rand.New(rand.NewPCG(1, 1)), 20, 2, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Bootstrap{}).Measure(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	p.Prob[0] = 2
	if _, err := (Bootstrap{}).Measure(t.Context(), p); err == nil {
		t.Error("a probability of 2 is accepted")
	}
}
