package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/dataset"
)

// overconfident is an evaluation whose logits are three times what they should be.
func overconfident(task dataset.Task, n, classes int) *Evaluation {
	rng := rand.New(rand.NewPCG(1, 2))
	e := &Evaluation{Task: task, Classes: classes}
	for range n {
		z, sum := make([]float64, classes), 0.0
		for k := range z {
			z[k] = rng.NormFloat64() * 1.5
			sum += math.Exp(z[k])
			e.Logits = append(e.Logits, float32(3*z[k]))
		}
		class, u := 0, rng.Float64()*sum
		for ; class < classes-1 && u > math.Exp(z[class]); class++ {
			u -= math.Exp(z[class])
		}
		for k := range z {
			yes := k == class
			if task == dataset.MultiLabel {
				yes = rng.Float64() < 1/(1+math.Exp(-z[k]))
			}
			e.Truth = append(e.Truth, yes)
		}
	}
	return e
}

func TestCalibrate(t *testing.T) {
	for task, temperatures := range map[dataset.Task]int{dataset.MultiClass: 1, dataset.Binary: 1, dataset.MultiLabel: 3} {
		classes := 3
		if task == dataset.Binary {
			classes = 2
		}
		e := overconfident(task, 2000, classes)
		c := e.Calibrate(0)
		if len(c.Temperatures) != temperatures || len(c.Thresholds) != classes {
			t.Fatalf("%s: %+v", task, c)
		}
		for _, v := range c.Temperatures {
			if math.Abs(v/3-1) > 0.2 { // 2,000 samples
				t.Errorf("%s: temperature %v, want about 3", task, v)
			}
		}
		before, _ := e.Predictions().ECE(15)
		after, _ := e.Calibrated(c).ECE(15)
		if after > before/2 {
			t.Errorf("%s: calibration error %v, before %v", task, after, before)
		}
		if got, want := e.Calibrated(Calibration{}).Prob, e.Predictions().Prob; !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-15 }) {
			t.Errorf("%s: without calibration the probabilities differ", task)
		}
		// A threshold for a sensitivity reaches it, and needs to be no higher.
		c = e.Calibrate(0.9)
		p := e.Calibrated(c)
		for l := range classes {
			prob, truth := p.Column(l)
			found, all := 0, 0
			for i, yes := range truth {
				if yes {
					all++
					if prob[i] >= c.Thresholds[l] {
						found++
					}
				}
			}
			if s := float64(found) / float64(all); s < 0.9 || s > 0.91 {
				t.Errorf("%s: sensitivity %v of label %d, want just over 0.9", task, s, l)
			}
		}
	}
}

// TestCalibrateWithoutEvidence: what validation does not tell stays as it is.
func TestCalibrateWithoutEvidence(t *testing.T) {
	separated := &Evaluation{Task: dataset.Binary, Classes: 2, Logits: []float32{2, -2, -1, 1}, Truth: []bool{true, false, false, true}}
	if c := separated.Calibrate(0); c.Temperatures != nil || c.Thresholds[0] < 0.2 || c.Thresholds[0] > 0.8 {
		t.Errorf("separated: %+v", c)
	}
	absent := &Evaluation{Task: dataset.MultiLabel, Classes: 2, Logits: []float32{2, 0, -1, 1}, Truth: []bool{true, false, false, false}}
	if c := absent.Calibrate(0.9); c.Temperatures != nil || c.Thresholds[1] != 0.5 {
		t.Errorf("absent: %+v", c)
	}
}
