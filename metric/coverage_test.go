package metric

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// world is where predictions come from: scores of a positive are normal, d above those of a negative, and the images of a
// patient have half of their variance in common.
type world struct {
	n, per    int  // images, and of a patient
	mixed     bool // the images of a patient have labels of their own
	prev, auc float64
}

func (w world) String() string {
	of := "images"
	switch {
	case w.per > 1 && w.mixed:
		of = fmt.Sprintf("images, %d a patient", w.per)
	case w.per > 1:
		of = fmt.Sprintf("images, %d a patient of one label", w.per)
	}
	return fmt.Sprintf("%3d %s, prevalence %.1f, AUC %.2f", w.n, of, w.prev, w.auc)
}

func (w world) distance() float64 { return math.Sqrt2 * normalQuantile(w.auc) }

// probability of a score: its likelihood ratio at a prevalence of one half.
func (w world) probability(score float64) float64 {
	d := w.distance()
	return 1 / (1 + math.Exp(-d*(score-d/2)))
}

func (w world) draw(rng *rand.Rand) (*Predictions, [][]int) {
	p := &Predictions{Labels: 2, Exclusive: true}
	var units [][]int
	for p.N() < w.n {
		yes, common := rng.Float64() < w.prev, rng.NormFloat64()
		var unit []int
		for range w.per {
			if w.mixed {
				yes = rng.Float64() < w.prev
			}
			s := rng.NormFloat64()
			if w.per > 1 {
				s = math.Sqrt(0.5)*common + math.Sqrt(0.5)*s
			}
			if yes {
				s += w.distance()
			}
			v := w.probability(s)
			unit = append(unit, p.N())
			p.Prob, p.Truth = append(p.Prob, 1-v, v), append(p.Truth, !yes, yes)
		}
		units = append(units, unit)
	}
	return p, units
}

// truth are the numbers of infinitely many images.
func (w world) truth() map[string]float64 {
	d := w.distance()
	found := 1 - 0.5*math.Erfc(d/2/math.Sqrt2)
	tp, fn, fp := w.prev*found, w.prev*(1-found), (1-w.prev)*(1-found)
	tn := (1 - w.prev) * found
	f1 := 2 * tp / (2*tp + fp + fn)
	m := map[string]float64{"AUC": w.auc, "accuracy": found, "balanced accuracy": found, "sensitivity": found, "specificity": found,
		"precision": tp / (tp + fp), "negative precision": tn / (tn + fn), "F1": f1, "macro F1": (f1 + 2*tn/(2*tn+fp+fn)) / 2}
	const step = 0.001
	for z := -9.0; z < 9; z += step {
		density := step * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
		no, yes := w.probability(z), w.probability(z+d)
		m["Brier"] += density * (w.prev*(1-yes)*(1-yes) + (1-w.prev)*no*no)
		m["log loss"] -= density * (w.prev*math.Log(yes) + (1-w.prev)*math.Log(1-no))
	}
	return m
}

// named are the numbers whose intervals are counted.
func named(n *Numbers) map[string]*Estimate {
	l := &n.Labels[1]
	return map[string]*Estimate{"AUC": &n.AUC, "accuracy": &n.Accuracy, "balanced accuracy": &n.BalancedAccuracy, "macro F1": &n.F1,
		"Brier": &n.Brier, "log loss": &n.LogLoss, "sensitivity": &l.Decided.Sensitivity, "specificity": &l.Decided.Specificity,
		"precision": &l.Decided.Precision, "negative precision": &l.Decided.NegativePrecision, "F1": &l.Decided.F1}
}

var coverageNames = []string{"AUC", "accuracy", "balanced accuracy", "sensitivity", "specificity", "precision", "negative precision", "F1", "macro F1", "Brier", "log loss"}

// coverage is the share of intervals that hold the truth, of those that are printed without and with a mark.
type coverage struct{ hit, all, markedHit, marked int }

func (w world) cover(rng *rand.Rand, rounds int) map[string]*coverage {
	truth, out := w.truth(), map[string]*coverage{}
	for _, name := range coverageNames {
		out[name] = &coverage{}
	}
	var s *scratch
	for range rounds {
		p, units := w.draw(rng)
		c := newScorer(p)
		if s == nil {
			s = c.scratch()
		}
		weights, row := make([]int32, p.N()), make([]float64, len(newNumbers(2).list()))
		for i := range weights {
			weights[i] = 1
		}
		c.score(weights, s, row)
		n := Bootstrap{}.numbers([][]float64{row}, 2)
		Bootstrap{Units: units}.refine(n, []*Predictions{p})
		for name, e := range named(n) {
			k := out[name]
			if !e.Bounded {
				continue
			}
			hit := 0
			if e.Low <= truth[name] && truth[name] <= e.High {
				hit = 1
			}
			if e.Approximate {
				k.marked, k.markedHit = k.marked+1, k.markedHit+hit
			} else {
				k.all, k.hit = k.all+1, k.hit+hit
			}
		}
	}
	return out
}

var coverageRounds = flag.Int("rounds", 500, "samples that each line of TestCoverage draws")

// TestCoverage: intervals that are printed without a mark hold the truth in 93 to 97.5 % of samples, as far as so many samples
// tell: two of their standard deviations are allowed. A mark says that this is not so, and may be.
func TestCoverage(t *testing.T) {
	for _, kind := range []struct {
		per   int
		mixed bool
	}{{1, false}, {4, true}, {4, false}} {
		for _, n := range []int{50, 200} {
			for _, prev := range []float64{0.5, 0.2} {
				for _, auc := range []float64{0.75, 0.85, 0.97} {
					w := world{n, kind.per, kind.mixed, prev, auc}
					got := w.cover(rand.New(rand.NewPCG(uint64(n), uint64(1000*auc))), *coverageRounds)
					line := w.String()
					for _, name := range coverageNames {
						c := got[name]
						line += "\t" + name + " " + c.String()
						if c.all < 200 { // seldom without a mark
							continue
						}
						share := float64(c.hit) / float64(c.all)
						if slack := 2 * math.Sqrt(0.05*0.95/float64(c.all)); share < 0.93-slack || share > 0.975+slack {
							t.Errorf("%s: %s holds the truth in %.1f %% of %d", w, name, 100*share, c.all)
						}
					}
					t.Log(line)
				}
			}
		}
	}
}

// String shows the share of intervals without a mark that hold the truth, and in brackets that of those with one.
func (c *coverage) String() string {
	text := "-"
	if c.all > 0 {
		text = fmt.Sprintf("%.1f", 100*float64(c.hit)/float64(c.all))
	}
	if c.marked > 0 {
		text += fmt.Sprintf(" (%.0f %% marked: %.1f)", 100*float64(c.marked)/float64(c.marked+c.all), 100*float64(c.markedHit)/float64(c.marked))
	}
	return text
}
