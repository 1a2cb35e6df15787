package metric

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// goldenNumbers are what scikit-learn says of predictions; see tools/golden_metric.
type goldenNumbers struct {
	Thousandths [][]int
	Class       []int   // of exclusive labels
	Truth       [][]int // of others
	Thresholds  []float64

	AUC, Accuracy, F1, Brier, ECE float64
	BalancedAccuracy              float64  `json:"balanced_accuracy"`
	LogLoss                       *float64 `json:"log_loss"`
	Confusion                     [][]int
	LabelAUC                      []float64 `json:"label_auc"`
	AveragePrecision              []float64 `json:"average_precision"`
	Sensitivity, Specificity      []float64
	Precision                     []float64
	NegativePrecision             []float64 `json:"negative_precision"`
}

type goldenFile struct {
	Multiclass, Binary, Multilabel goldenNumbers
	Curve                          struct {
		Thousandths, Truth                      []int
		FPR, TPR, Thresholds, Precision, Recall []float64
		Youden                                  float64
		SensAtSpec                              [][2]float64 `json:"sensitivity_at_specificity"`
		SpecAtSens                              [][2]float64 `json:"specificity_at_sensitivity"`
	}
	DeLong struct {
		A, B, Truth             []int
		AUC, Variance, Interval []float64
		P                       float64
	}
	Temperature struct {
		Softmax struct {
			Logits, Class []int
			T             float64
		}
		Sigmoid struct {
			Logits, Truth []int
			T             float64
		}
	}
	Bootstrap struct {
		Thousandths, Truth []int
		Patient            []string
		Accuracy           goldenInterval
		AUCByPatient       goldenInterval `json:"auc_by_patient"`
	}
	Paired struct {
		Thousandths [][]int // of four runs, two of each kind
		Truth       []int
		AUC         []float64
		Difference  goldenInterval
		P           float64
	}
}

type goldenInterval struct {
	Interval [2]float64
	SE       float64
}

func openGolden(t *testing.T) *goldenFile {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	g := new(goldenFile)
	if err := json.Unmarshal(text, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func parts(whole []int, unit float64) []float64 {
	out := make([]float64, len(whole))
	for i, v := range whole {
		out[i] = float64(v) / unit
	}
	return out
}

func bools(zeros []int) []bool {
	out := make([]bool, len(zeros))
	for i, v := range zeros {
		out[i] = v != 0
	}
	return out
}

func (g *goldenNumbers) predictions() *Predictions {
	p := &Predictions{Labels: len(g.Thousandths[0]), Exclusive: g.Class != nil, Thresholds: g.Thresholds}
	for i, row := range g.Thousandths {
		p.Prob = append(p.Prob, parts(row, 1000)...)
		if !p.Exclusive {
			p.Truth = append(p.Truth, bools(g.Truth[i])...)
			continue
		}
		for l := range row {
			p.Truth = append(p.Truth, l == g.Class[i])
		}
	}
	return p
}

func TestGoldenNumbers(t *testing.T) {
	g := openGolden(t)
	for name, want := range map[string]*goldenNumbers{"multiclass": &g.Multiclass, "binary": &g.Binary, "multilabel": &g.Multilabel} {
		p := want.predictions()
		n, err := Bootstrap{Resamples: 3}.Measure(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		compare := func(what string, got Estimate, want float64) {
			t.Helper()
			check(t, name+": "+what, want)(got.Value, got.Defined)
		}
		// Two labels have one curve, whose area scikit-learn gives; here it is the mean of two equal ones.
		compare("AUC", n.AUC, want.AUC)
		compare("accuracy", n.Accuracy, want.Accuracy)
		compare("balanced accuracy", n.BalancedAccuracy, want.BalancedAccuracy)
		compare("F1", n.F1, want.F1)
		compare("ECE", n.ECE, want.ECE)
		compare("Brier", n.Brier, want.Brier)
		if want.LogLoss != nil {
			compare("log loss", n.LogLoss, *want.LogLoss)
		}
		for l := range n.Labels {
			k, r := &n.Labels[l], &n.Labels[l].Decided
			compare("AUC of a label", k.AUC, want.LabelAUC[l])
			compare("sensitivity", r.Sensitivity, want.Sensitivity[l])
			compare("specificity", r.Specificity, want.Specificity[l])
			compare("precision", r.Precision, want.Precision[l])
			compare("negative precision", r.NegativePrecision, want.NegativePrecision[l])
			if !p.Exclusive && *r != k.At {
				t.Errorf("%s: %+v by decision, %+v by threshold", name, *r, k.At)
			}
			check(t, name+": average precision", want.AveragePrecision[l])(NewCurve(p.Column(l)).AveragePrecision())
		}
		if p.Exclusive && !slices.EqualFunc(p.Confusion().Count, want.Confusion, slices.Equal[[]int]) {
			t.Errorf("%s: confusion %v, want %v", name, p.Confusion().Count, want.Confusion)
		}
	}
}

func TestGoldenCurve(t *testing.T) {
	g := openGolden(t).Curve
	c := NewCurve(parts(g.Thousandths, 1000), bools(g.Truth))
	if len(c) != len(g.FPR) {
		t.Fatalf("%d points, want %d", len(c), len(g.FPR))
	}
	for i, p := range c {
		specificity, _ := p.Specificity()
		sensitivity, _ := p.Sensitivity()
		precision, _ := p.Precision()
		if !near(1-specificity, g.FPR[i]) || !near(sensitivity, g.TPR[i]) {
			t.Errorf("point %d is %+v, want a false positive rate of %v and a true one of %v", i, p, g.FPR[i], g.TPR[i])
		}
		if i > 0 && (p.Threshold != g.Thresholds[i-1] || !near(precision, g.Precision[i-1]) || !near(sensitivity, g.Recall[i-1])) {
			t.Errorf("point %d is %+v, want threshold %v, precision %v, recall %v", i, p, g.Thresholds[i-1], g.Precision[i-1], g.Recall[i-1])
		}
	}
	if i, ok := c.Youden(); !ok || c[i].Threshold != g.Youden {
		t.Errorf("Youden's threshold is %v, want %v", c[i].Threshold, g.Youden)
	}
	for _, x := range g.SensAtSpec {
		i, _ := c.AtSpecificity(x[0])
		check(t, "sensitivity at a specificity", x[1])(c[i].Sensitivity())
	}
	for _, x := range g.SpecAtSens {
		i, _ := c.AtSensitivity(x[0])
		check(t, "specificity at a sensitivity", x[1])(c[i].Specificity())
	}
}

func TestGoldenDeLong(t *testing.T) {
	g := openGolden(t).DeLong
	a, b, truth := parts(g.A, 1), parts(g.B, 1), bools(g.Truth)
	for k, scores := range [][]float64{a, b} {
		auc, variance, ok := DeLong(scores, truth)
		check(t, "AUC", g.AUC[k])(auc, ok)
		check(t, "variance", g.Variance[k])(variance, ok)
	}
	low, high, ok := DeLongInterval(a, truth, 0.95)
	check(t, "low end", g.Interval[0])(low, ok)
	check(t, "high end", g.Interval[1])(high, ok)
	difference, p, ok := DeLongTest(a, b, truth)
	check(t, "difference", g.AUC[0]-g.AUC[1])(difference, ok)
	check(t, "p", g.P)(p, ok)
}

func TestGoldenTemperature(t *testing.T) {
	g := openGolden(t).Temperature
	logits := func(whole []int) []float32 {
		out := make([]float32, len(whole))
		for i, v := range whole {
			out[i] = float32(v) / 64
		}
		return out
	}
	soft, ok1 := SoftmaxTemperature(logits(g.Softmax.Logits), 4, g.Softmax.Class)
	sig, ok2 := SigmoidTemperature(logits(g.Sigmoid.Logits), bools(g.Sigmoid.Truth))
	// A search by values of the loss finds a minimum to the square root of float64's rounding.
	if !ok1 || !ok2 || math.Abs(soft/g.Softmax.T-1) > 1e-7 || math.Abs(sig/g.Sigmoid.T-1) > 1e-7 {
		t.Errorf("temperatures %v and %v, want %v and %v", soft, sig, g.Softmax.T, g.Sigmoid.T)
	}
}

// TestGoldenBootstrap compares ends of intervals with those of other generators, in standard errors of the
// number. With 20,000 resamples an end is known to 0.02 of them; accuracy moves in steps of 0.2.
func TestGoldenBootstrap(t *testing.T) {
	g := openGolden(t).Bootstrap
	p := &Predictions{Labels: 1, Prob: parts(g.Thousandths, 1000), Truth: bools(g.Truth)}
	for _, c := range []struct {
		name      string
		units     [][]int
		of        func(*Numbers) Estimate
		want      goldenInterval
		tolerance float64
	}{
		{"accuracy", nil, func(n *Numbers) Estimate { return n.Accuracy }, g.Accuracy, 0.21},
		{"AUC by patient", Units(g.Patient), func(n *Numbers) Estimate { return n.AUC }, g.AUCByPatient, 0.12},
	} {
		e := c.of(percentiles(t, Bootstrap{Resamples: 20000, Units: c.units}, p))
		if low, high := (e.Low-c.want.Interval[0])/c.want.SE, (e.High-c.want.Interval[1])/c.want.SE; !e.Bounded ||
			math.Abs(low) > c.tolerance || math.Abs(high) > c.tolerance {
			t.Errorf("%s: %+v, want %v: off by %v and %v standard errors", c.name, e, c.want, low, high)
		}
	}
}

// TestGoldenPaired: the difference between the means of two runs each is scipy's, and the p-value with it.
func TestGoldenPaired(t *testing.T) {
	g := openGolden(t).Paired
	var runs []*Predictions
	for k, scores := range g.Thousandths {
		runs = append(runs, &Predictions{Labels: 1, Prob: parts(scores, 1000), Truth: bools(g.Truth)})
		check(t, "AUC of a run", g.AUC[k])(runs[k].AUC(0))
	}
	n, err := Bootstrap{Resamples: 20000}.CompareRuns(t.Context(), runs[:2], runs[2:])
	if err != nil {
		t.Fatal(err)
	}
	e := n.AUC
	check(t, "difference", (g.AUC[0]+g.AUC[1]-g.AUC[2]-g.AUC[3])/2)(e.Value, e.Defined)
	low, high := (e.Low-g.Difference.Interval[0])/g.Difference.SE, (e.High-g.Difference.Interval[1])/g.Difference.SE
	if !e.Bounded || math.Abs(low) > 0.12 || math.Abs(high) > 0.12 {
		t.Errorf("%+v, want %v: off by %v and %v standard errors", e, g.Difference, low, high)
	}
	// A share of 20,000 resamples has a standard error of at most sqrt(p/20000) here: four of them, on both sides.
	if math.Abs(e.P-g.P) > 8*math.Sqrt(g.P/20000) {
		t.Errorf("p-value %v, want %v", e.P, g.P)
	}
}
