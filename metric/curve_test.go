package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCurveByHand: 0.9 is positive, 0.6 one of each, 0.2 negative.
func TestCurveByHand(t *testing.T) {
	c := NewCurve([]float64{0.6, 0.9, 0.2, 0.6}, []bool{true, true, false, false})
	want := Curve{{math.Inf(1), Counts{0, 0, 2, 2}}, {0.9, Counts{1, 0, 2, 1}}, {0.6, Counts{2, 1, 1, 0}}, {0.2, Counts{2, 2, 0, 0}}}
	if len(c) != len(want) {
		t.Fatalf("got %v", c)
	}
	for i := range c {
		if c[i] != want[i] {
			t.Errorf("point %d is %+v, want %+v", i, c[i], want[i])
		}
	}
	check(t, "average precision", 0.5+0.5*2/3)(c.AveragePrecision())
	if i, _ := c.Youden(); i != 1 {
		t.Errorf("Youden's point is %d, want 1, the first of two", i)
	}
	if got := []float64{c.Between(1), c.Between(2), c.Between(3)}; !near(got[0], 0.75) || !near(got[1], 0.4) || got[2] != 0.2 {
		t.Errorf("thresholds %v", got)
	}
	low := 0.5
	high := math.Nextafter(low, 1)
	if got := NewCurve([]float64{low, high}, []bool{false, true}).Between(1); got != high {
		t.Errorf("threshold between neighbours is %v, want the upper one %v", got, high)
	}
}

// TestCurveIsAllThresholds: each point counts what its threshold decides, and so does the one that is stored; the
// area below by trapezia is the AUC.
func TestCurveIsAllThresholds(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for range 100 {
		n := 1 + rng.IntN(30)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(rng.IntN(12))/12, rng.IntN(2) == 0
		}
		c := NewCurve(scores, positive)
		area := 0.0
		for i, p := range c {
			if Count(scores, positive, p.Threshold) != p.Counts || Count(scores, positive, c.Between(i)) != p.Counts {
				t.Fatalf("point %+v of %v %v", p, scores, positive)
			}
			if i > 0 {
				area += float64(p.FP-c[i-1].FP) * float64(p.TP+c[i-1].TP) / 2
			}
		}
		positives, negatives := c.classes()
		if auc, ok := AUC(scores, positive); ok {
			check(t, "area", area/float64(positives*negatives))(auc, ok)
		} else if _, ok := c.Youden(); ok {
			t.Error("a threshold without two classes")
		}
	}
}

func TestCurveUndefined(t *testing.T) {
	for _, c := range []Curve{NewCurve(nil, nil), NewCurve([]float64{0.1, 0.2}, []bool{false, false})} {
		undefined(t, "average precision")(c.AveragePrecision())
		for _, f := range []func() (int, bool){c.Youden, func() (int, bool) { return c.AtSpecificity(0.5) }, func() (int, bool) { return c.AtSensitivity(0.5) }} {
			if i, ok := f(); ok || i != 0 {
				t.Errorf("point %d (%v), want none", i, ok)
			}
		}
	}
}

// TestDeLongBruteForce computes placements by comparing all pairs.
func TestDeLongBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for range 100 {
		n := 4 + rng.IntN(30)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(rng.IntN(10)), i < 2 || i > 3 && rng.IntN(2) == 0
		}
		share := func(i int) float64 { // of the other class that sample i is ordered rightly with
			sum, all := 0.0, 0.0
			for j := range n {
				if positive[j] == positive[i] {
					continue
				}
				all++
				switch d := scores[i] - scores[j]; {
				case d == 0:
					sum += 0.5
				case d > 0 == positive[i]:
					sum++
				}
			}
			return sum / all
		}
		want := 0.0
		for _, class := range []bool{true, false} {
			mean, square, m := 0.0, 0.0, 0.0
			for i := range n {
				if positive[i] == class {
					mean, m = mean+share(i), m+1
				}
			}
			mean /= m
			for i := range n {
				if positive[i] == class {
					square += (share(i) - mean) * (share(i) - mean)
				}
			}
			want += square / (m - 1) / m
		}
		auc, variance, ok := DeLong(scores, positive)
		plain, _ := AUC(scores, positive)
		check(t, "AUC", plain)(auc, ok)
		check(t, "variance", want)(variance, ok)
	}
}

func TestDeLongEnds(t *testing.T) {
	perfect, truth := []float64{1, 2, 3, 4}, []bool{false, false, true, true}
	low, high, ok := DeLongInterval(perfect, truth, 0.95)
	check(t, "low end", 1)(low, ok)
	check(t, "high end", 1)(high, ok)
	difference, p, ok := DeLongTest(perfect, perfect, truth)
	check(t, "difference", 0)(difference, ok)
	check(t, "p of no difference", 1)(p, ok)
	if _, _, ok := DeLongTest(perfect, []float64{4, 3, 2, 1}, truth); ok {
		t.Error("a p-value without variance")
	}
	if _, _, ok := DeLong([]float64{1, 2, 3}, []bool{true, false, false}); ok {
		t.Error("a variance of one positive")
	}
}

// TestTemperature: logits that were scaled want to be scaled back, and where there is no minimum, none is found.
func TestTemperature(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	const n = 4000
	logits, class := make([]float32, 3*n), make([]int, n)
	binary, positive := make([]float32, n), make([]bool, n)
	for i := range n {
		var p [3]float64
		sum := 0.0
		for k := range p {
			z := rng.NormFloat64() * 1.5
			logits[3*i+k] = float32(2.5 * z)
			p[k] = math.Exp(z)
			sum += p[k]
		}
		for u := rng.Float64() * sum; u > p[class[i]] && class[i] < 2; class[i]++ {
			u -= p[class[i]]
		}
		z := rng.NormFloat64() * 2
		binary[i], positive[i] = float32(0.5*z), rng.Float64() < 1/(1+math.Exp(-z))
	}
	soft, ok1 := SoftmaxTemperature(logits, 3, class)
	sig, ok2 := SigmoidTemperature(binary, positive)
	// The error of the estimate from 4,000 samples is about 2 %.
	if !ok1 || !ok2 || math.Abs(soft/2.5-1) > 0.08 || math.Abs(sig/0.5-1) > 0.08 {
		t.Errorf("temperatures %v and %v, want about 2.5 and 0.5", soft, sig)
	}
	for name, f := range map[string]func() (float64, bool){
		"separated":  func() (float64, bool) { return SigmoidTemperature([]float32{-3, 2, 4}, []bool{false, true, true}) },
		"reversed":   func() (float64, bool) { return SigmoidTemperature([]float32{3, -2, -4}, []bool{false, true, true}) },
		"one class":  func() (float64, bool) { return SigmoidTemperature([]float32{-3, 2}, []bool{true, true}) },
		"no samples": func() (float64, bool) { return SoftmaxTemperature(nil, 3, nil) },
		"no logits":  func() (float64, bool) { return SoftmaxTemperature(make([]float32, 6), 3, []int{0, 1}) },
		"separated classes": func() (float64, bool) {
			return SoftmaxTemperature([]float32{1e30, 0, 0, 0, 1e30, 0}, 3, []int{0, 1})
		},
	} {
		if v, ok := f(); ok || v != 1 {
			t.Errorf("%s: temperature %v (%v), want 1 and not fitted", name, v, ok)
		}
	}
}
