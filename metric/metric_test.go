package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// near allows the rounding of a few float64 additions.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }

func check(t *testing.T, what string, want float64) func(got float64, ok bool) {
	t.Helper()
	return func(got float64, ok bool) {
		t.Helper()
		if !ok || !near(got, want) {
			t.Errorf("%s: got %v (defined: %v), want %v", what, got, ok, want)
		}
	}
}

func undefined(t *testing.T, what string) func(got float64, ok bool) {
	t.Helper()
	return func(got float64, ok bool) {
		t.Helper()
		if ok || got != 0 {
			t.Errorf("%s: got %v (defined: %v), want undefined and 0", what, got, ok)
		}
	}
}

// three has six samples of three exclusive labels, with numbers that are easy to follow by hand.
func three() *Predictions {
	return &Predictions{Labels: 3, Exclusive: true,
		Prob: []float64{
			0.7, 0.2, 0.1, // a, right
			0.4, 0.5, 0.1, // a, wrong
			0.1, 0.8, 0.1, // b, right
			0.2, 0.5, 0.3, // b, right
			0.3, 0.3, 0.4, // c, right
			0.6, 0.2, 0.2, // c, wrong
		},
		Truth: []bool{
			true, false, false, true, false, false, false, true, false,
			false, true, false, false, false, true, false, false, true,
		}}
}

func TestByHandExclusive(t *testing.T) {
	p := three()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	// a: positives 0.7, 0.4; negatives 0.1, 0.2, 0.3, 0.6: 4 + 3 of 8 pairs.
	check(t, "AUC of a", 7.0/8)(p.AUC(0))
	// b: positives 0.8, 0.5; negatives 0.2, 0.5, 0.3, 0.2: 4 + 3.5 of 8.
	check(t, "AUC of b", 7.5/8)(p.AUC(1))
	// c: positives 0.4, 0.2; negatives 0.1, 0.1, 0.1, 0.3: 4 + 3 of 8.
	check(t, "AUC of c", 7.0/8)(p.AUC(2))
	check(t, "macro AUC", 21.5/24)(p.MacroAUC())
	check(t, "accuracy", 4.0/6)(p.Accuracy())
	check(t, "balanced accuracy", (0.5+1+0.5)/3)(p.BalancedAccuracy())
	// F1: a 2*1/(2+1+1), b 2*2/(4+1+0), c 2*1/(2+0+1).
	check(t, "F1", (0.5+0.8+2.0/3)/3)(p.F1())
	want := [][]int{{1, 1, 0}, {0, 2, 0}, {1, 0, 1}}
	for l, row := range p.Confusion().Count {
		for k, n := range row {
			if n != want[l][k] {
				t.Errorf("confusion[%d][%d] is %d, want %d", l, k, n, want[l][k])
			}
		}
	}
	check(t, "log loss", -(math.Log(0.7)+math.Log(0.4)+math.Log(0.8)+math.Log(0.5)+math.Log(0.4)+math.Log(0.2))/6)(p.LogLoss())
	check(t, "Brier", (0.14+0.62+0.06+0.38+0.54+1.04)/6)(p.Brier())
	// Two bins: (0, 0.5] has 0.5 wrong, 0.5 right, 0.4 right; (0.5, 1] has 0.7 right, 0.8 right, 0.6 wrong.
	check(t, "ECE", 0.5*math.Abs(1.4/3-2.0/3)+0.5*math.Abs(2.1/3-2.0/3))(p.ECE(2))
}

func TestByHandMultiLabel(t *testing.T) {
	p := &Predictions{Labels: 2,
		Prob:  []float64{0.9, 0.5, 0.6, 0.1, 0.2, 0.7, 0.4, 0.3},
		Truth: []bool{true, true, false, false, true, false, false, false}}
	check(t, "AUC of a", 2.0/4)(p.AUC(0)) // 0.9, 0.2 against 0.6, 0.4
	check(t, "AUC of b", 2.0/3)(p.AUC(1)) // 0.5 against 0.1, 0.7, 0.3
	// a at 0.5: TP 0.9, FP 0.6, FN 0.2, TN 0.4. b: TP 0.5 (the threshold itself), FP 0.7, TN 2.
	check(t, "accuracy", 5.0/8)(p.Accuracy())
	check(t, "balanced accuracy", (0.5+(1+2.0/3)/2)/2)(p.BalancedAccuracy())
	check(t, "F1", (0.5+2.0/3)/2)(p.F1())
	check(t, "Brier", (0.01+0.36+0.64+0.16+0.25+0.01+0.49+0.09)/8)(p.Brier())
	sum := 0.0
	for _, v := range []float64{0.9, 0.5, 0.4, 0.9, 0.2, 0.3, 0.6, 0.7} {
		sum -= math.Log(v)
	}
	check(t, "log loss", sum/8)(p.LogLoss())
	// One bin: |mean probability - frequency|.
	check(t, "ECE", (math.Abs(2.1/4-0.5)+math.Abs(1.6/4-0.25))/2)(p.ECE(1))
}

func TestBinaryBrierIsOfOneLabel(t *testing.T) {
	p := &Predictions{Labels: 2, Exclusive: true, Prob: []float64{0.8, 0.2, 0.4, 0.6}, Truth: []bool{true, false, true, false}}
	check(t, "Brier", (0.04+0.36)/2)(p.Brier())
}

func TestUndefined(t *testing.T) {
	undefined(t, "AUC without positives")(AUC([]float64{0.1, 0.2}, []bool{false, false}))
	undefined(t, "AUC without negatives")(AUC([]float64{0.1, 0.2}, []bool{true, true}))
	undefined(t, "AUC of nothing")(AUC(nil, nil))
	empty := &Predictions{Labels: 3, Exclusive: true}
	for name, f := range map[string]func() (float64, bool){
		"macro AUC": empty.MacroAUC, "accuracy": empty.Accuracy, "balanced accuracy": empty.BalancedAccuracy,
		"F1": empty.F1, "log loss": empty.LogLoss, "Brier": empty.Brier,
		"ECE": func() (float64, bool) { return empty.ECE(DefaultBins) },
	} {
		undefined(t, name+" of nothing")(f())
	}
	// A label that no sample has is left out of the means, not counted as 0.
	p := &Predictions{Labels: 3, Exclusive: true, Prob: []float64{0.7, 0.3, 0, 0.2, 0.8, 0}, Truth: []bool{true, false, false, false, true, false}}
	undefined(t, "AUC of an absent label")(p.AUC(2))
	check(t, "macro AUC", 1)(p.MacroAUC())
	check(t, "balanced accuracy", 1)(p.BalancedAccuracy())
	check(t, "F1", 1)(p.F1())
	k := Counts{TN: 3}
	undefined(t, "sensitivity")(k.Sensitivity())
	undefined(t, "precision")(k.Precision())
	undefined(t, "F1")(k.F1())
	check(t, "specificity", 1)(k.Specificity())
}

func TestLogLossOfACertainMistakeIsFinite(t *testing.T) {
	p := &Predictions{Labels: 2, Exclusive: true, Prob: []float64{1, 0}, Truth: []bool{false, true}}
	check(t, "log loss", 52*math.Ln2)(p.LogLoss())
}

func TestCheckRefuses(t *testing.T) {
	for name, p := range map[string]*Predictions{
		"length":      {Labels: 2, Prob: []float64{0.1}, Truth: []bool{true}},
		"NaN":         {Labels: 1, Prob: []float64{math.NaN()}, Truth: []bool{true}},
		"range":       {Labels: 1, Prob: []float64{1.5}, Truth: []bool{true}},
		"two labels":  {Labels: 2, Exclusive: true, Prob: []float64{0.5, 0.5}, Truth: []bool{true, true}},
		"no label":    {Labels: 2, Exclusive: true, Prob: []float64{0.5, 0.5}, Truth: []bool{false, false}},
		"zero labels": {},
	} {
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAUCBruteForce counts every pair, with many ties.
func TestAUCBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 2 + rng.IntN(40)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(rng.IntN(8)), rng.IntN(3) == 0
		}
		pairs, wins := 0.0, 0.0
		for i := range n {
			for j := range n {
				if positive[i] && !positive[j] {
					pairs++
					switch {
					case scores[i] > scores[j]:
						wins++
					case scores[i] == scores[j]:
						wins += 0.5
					}
				}
			}
		}
		if got, ok := AUC(scores, positive); pairs == 0 {
			undefined(t, "AUC")(got, ok)
		} else {
			check(t, "AUC", wins/pairs)(got, ok)
		}
	}
}

// TestRelations hold for any predictions: the order of samples and a monotone map of scores change no AUC,
// and reversing the scores mirrors it.
func TestRelations(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 60
	scores, positive := make([]float64, n), make([]bool, n)
	for i := range n {
		scores[i], positive[i] = math.Round(10*rng.Float64())/10, rng.IntN(2) == 0
	}
	want, ok := AUC(scores, positive)
	if !ok {
		t.Fatal("undefined")
	}
	moved, mirrored := make([]float64, n), make([]float64, n)
	for i, s := range scores {
		moved[i], mirrored[i] = math.Exp(3*s), -s
	}
	check(t, "of exp", want)(AUC(moved, positive))
	check(t, "mirrored", 1-want)(AUC(mirrored, positive))
	rng.Shuffle(n, func(i, j int) {
		scores[i], scores[j] = scores[j], scores[i]
		positive[i], positive[j] = positive[j], positive[i]
	})
	check(t, "shuffled", want)(AUC(scores, positive))
}

// TestReliabilityCoversEverySample puts each confidence into exactly one bin, edges included.
func TestReliabilityCoversEverySample(t *testing.T) {
	bins := Reliability([]float64{0, 0.1, 0.2, 0.5, 1}, []bool{true, false, true, true, true}, 10)
	for i, want := range []int{2, 1, 0, 0, 1, 0, 0, 0, 0, 1} {
		if bins[i].N != want {
			t.Errorf("bin %d has %d samples, want %d", i, bins[i].N, want)
		}
	}
	if !near(bins[0].Confidence, 0.05) || !near(bins[0].Frequency, 0.5) {
		t.Errorf("first bin: %+v", bins[0])
	}
}

// TestWilson: ends as scipy.stats.binomtest(k, n).proportion_ci(method="wilson") gives them.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{8, 10, 0.4901624715366418, 0.9433178485456248}, {0, 5, 0.0, 0.43448246478317476}, {5, 5, 0.5655175352168251, 1.0}, {1, 1, 0.20654931437723745, 1.0}, {37, 90, 0.315132040238447, 0.5143676265285444}, {0, 0, 0, 1}} {
		low, high := Wilson(c.k, c.n, 0.95)
		if math.Abs(low-c.low) > 1e-12 || math.Abs(high-c.high) > 1e-12 {
			t.Errorf("%d of %d: %v to %v, want %v to %v", c.k, c.n, low, high, c.low, c.high)
		}
	}
}
