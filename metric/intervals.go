package metric

import (
	"math"
	"slices"
)

// The number of units on either side of a metric that its interval needs to reach its nominal coverage: single
// images, patients with several images, and for mean losses, to which few images contribute most. With fewer,
// an [Estimate] is Approximate.
const (
	EnoughImages = 10
	EnoughGroups = 20
	enoughLosses = 100
)

// intervals replaces bootstrap intervals by intervals that reach their nominal coverage in small samples and
// near 0 and 1. Proportions get Wilson's interval with the design effect of units. An AUC gets a score interval
// with DeLong's variance, or, if units have several samples, an interval on the logit scale with Student's
// quantile. A mean over labels combines the labels' intervals by the squares of their distances (Zou and
// Donner, Statistics in Medicine 2008). No interval has width 0. TestCoverage measures the coverage.
type intervals struct {
	runs   []*Predictions
	units  [][]int
	level  float64
	single bool // every unit has one sample
}

// bound is a metric with its interval.
type bound struct {
	*influence
	low, high float64
	rough     bool
}

// put stores the interval in an Estimate.
func (b bound) put(e *Estimate) {
	if e.Defined && b.defined {
		e.Low, e.High, e.Bounded, e.Approximate = b.low, b.high, true, b.rough
	}
}

// quantile returns Student's quantile for k units, or the normal quantile if samples are units.
func (s *intervals) quantile(k int) float64 {
	p := (1 + s.level) / 2
	if s.single {
		return normalQuantile(p)
	}
	return studentQuantile(p, float64(max(k-1, 1)))
}

// few reports whether the interval may miss its nominal coverage with that many units.
func (s *intervals) few(units int) bool {
	if s.single {
		return units < EnoughImages
	}
	return units < EnoughGroups
}

// share returns the interval of a ratio between 0 and 1. counts says that each sample adds 0 or 1 to the
// denominator, and at most as much to the numerator.
func (s *intervals) share(f *influence, counts bool) bound {
	if !f.defined {
		return bound{influence: f, high: 1}
	}
	v, k, _ := f.variance(s.units)
	n := f.size
	switch {
	case counts && s.single && len(s.runs) == 1:
	case v > 1e-18 && f.value > 0 && f.value < 1:
		n = f.value * (1 - f.value) / v
		if len(s.runs) == 1 {
			n = min(n, f.size)
		}
	default:
		n = float64(k) // as if each unit were one sample
	}
	b := bound{influence: f, rough: s.few(k)}
	b.low, b.high = wilson(f.value, n, s.quantile(k))
	return b
}

// auc returns the interval of a label's AUC.
func (s *intervals) auc(label int) bound {
	f := aucOf(s.runs, label)
	if !f.defined {
		return bound{influence: f, high: 1}
	}
	v, m, n := f.variance(s.units)
	fewer := min(m, n)
	b := bound{influence: f, rough: s.few(fewer)}
	z := normalQuantile((1 + s.level) / 2)
	spread := v > 1e-18 && f.value > 0 && f.value < 1
	switch {
	case spread && !s.single:
		b.low, b.high = logitInterval(f.value, v, s.quantile(fewer))
	case spread:
		// DeLong's variance is itself uncertain if a class is small. It is then moved towards Hanley's.
		trust := float64(fewer-1) / float64(fewer-1+EnoughImages)
		ratio := math.Pow(v/hanley(f.value, float64(m), float64(n)), trust)
		b.low, b.high = rankInterval(f.value, float64(m), float64(n), ratio, z)
	default:
		b.low, b.high = rankInterval(f.value, float64(m), float64(n), 1, z)
	}
	return b
}

// mean returns the interval of a mean over labels. together is the correlation assumed for metrics that do not
// vary.
func (s *intervals) mean(list []bound, together float64) bound {
	list = slices.DeleteFunc(slices.Clone(list), func(b bound) bool { return !b.defined })
	k := float64(len(list))
	if k == 0 {
		return bound{influence: &influence{}}
	}
	out := bound{influence: &influence{defined: true, z: make([]float64, len(list[0].z))}}
	for _, b := range list {
		out.value += b.value / k
		out.rough = out.rough || b.rough
		for i, v := range b.z {
			out.z[i] += v / k
		}
	}
	down, up := 0.0, 0.0
	for i, a := range list {
		for j, b := range list {
			r := 1.0
			if i != j {
				r = together
				if still := slices.Max(a.z) == 0 || slices.Max(b.z) == 0; !still {
					r = correlation(a.influence, b.influence, s.units)
				}
			}
			down += r * (a.value - a.low) * (b.value - b.low)
			up += r * (a.high - a.value) * (b.high - b.value)
		}
	}
	out.low = max(0, out.value-math.Sqrt(max(down, 0))/k)
	out.high = min(1, out.value+math.Sqrt(max(up, 0))/k)
	return out
}

// positive returns the interval of a mean of non-negative values, on the scale of its logarithm with Student's
// quantile.
func (s *intervals) positive(of func(run, i int) float64) bound {
	f := ratioOf(s.runs, func(r, i int) (float64, float64) { return of(r, i), 1 })
	b := bound{influence: f}
	v, k, _ := f.variance(s.units)
	b.rough = k < enoughLosses
	if t := studentQuantile((1+s.level)/2, float64(max(k-1, 1))); v > 0 && f.value > 0 {
		half := t * math.Sqrt(v) / f.value
		b.low, b.high = f.value*math.Exp(-half), f.value*math.Exp(half)
	} else {
		// All values are equal. Assume that unseen values are as frequent as Wilson's bound allows, and differ
		// by at most 1.
		_, rare := wilson(0, float64(max(k, 1)), normalQuantile((1+s.level)/2))
		b.low, b.high, b.rough = f.value*(1-rare), f.value+rare, true
	}
	return b
}

// decided reports whether the decision about a label of a sample is positive.
type decided func(run, i, label int) bool

// rates sets the intervals of the decisions about one label.
func (s *intervals) rates(label int, says decided, r *Rates) (sensitivity, specificity, f1 bound) {
	truth := func(i int) bool { p := s.runs[0]; return p.Truth[i*p.Labels+label] }
	if1 := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	among := func(in func(run, i int) bool, right func(run, i int) bool) bound {
		return s.share(ratioOf(s.runs, func(run, i int) (float64, float64) {
			if !in(run, i) {
				return 0, 0
			}
			return if1(right(run, i)), 1
		}), true)
	}
	yes := func(_, i int) bool { return truth(i) }
	no := func(_, i int) bool { return !truth(i) }
	said := func(run, i int) bool { return says(run, i, label) }
	unsaid := func(run, i int) bool { return !says(run, i, label) }
	sensitivity, specificity = among(yes, said), among(no, unsaid)
	f1 = s.share(ratioOf(s.runs, func(run, i int) (float64, float64) {
		a, b := if1(truth(i)), if1(said(run, i))
		return 2 * a * b, a + b
	}), false)
	sensitivity.put(&r.Sensitivity)
	specificity.put(&r.Specificity)
	among(said, yes).put(&r.Precision)
	among(unsaid, no).put(&r.NegativePrecision)
	f1.put(&r.F1)
	return sensitivity, specificity, f1
}

// all replaces the intervals of n, except those of ECE.
func (s *intervals) all(n *Numbers) {
	first := s.runs[0]
	labels := first.Labels
	var tops, above [][]bool
	var squares, nats [][]float64
	for _, p := range s.runs {
		c := newScorer(p)
		tops, above = append(tops, c.decided), append(above, c.above)
		squares, nats = append(squares, c.square), append(nats, c.nats)
	}
	by := func(list [][]bool) decided { return func(run, i, l int) bool { return list[run][i*labels+l] } }
	var aucs, balance, f1s []bound
	for l := range labels {
		x := &n.Labels[l]
		auc := s.auc(l)
		auc.put(&x.AUC)
		aucs = append(aucs, auc)
		sensitivity, specificity, f1 := s.rates(l, by(tops), &x.Decided)
		s.rates(l, by(above), &x.At)
		f1s = append(f1s, f1)
		switch {
		case first.Exclusive:
			balance = append(balance, sensitivity)
		case sensitivity.defined && specificity.defined:
			balance = append(balance, sensitivity, specificity)
		}
	}
	if first.Exclusive && labels == 2 {
		aucs = aucs[1:] // the other one is equal
	}
	s.mean(aucs, 1).put(&n.AUC)
	s.mean(balance, 0).put(&n.BalancedAccuracy)
	s.mean(f1s, 1).put(&n.F1)
	s.share(ratioOf(s.runs, func(run, i int) (float64, float64) {
		right, of := 0.0, 0.0
		for l := range labels {
			switch yes, says := first.Truth[i*labels+l], tops[run][i*labels+l]; {
			case first.Exclusive && yes && says:
				return 1, 1
			case !first.Exclusive && yes == says:
				right++
			}
			of++
		}
		if first.Exclusive {
			return 0, 1
		}
		return right / of, 1
	}), first.Exclusive).put(&n.Accuracy)
	s.positive(func(r, i int) float64 { return squares[r][i] }).put(&n.Brier)
	s.positive(func(r, i int) float64 { return nats[r][i] }).put(&n.LogLoss)
}

// refine replaces bootstrap intervals where better ones are known.
func (b Bootstrap) refine(n *Numbers, runs []*Predictions) {
	s := newIntervals(runs, b.Units, b.level())
	s.all(n)
	s.calibration(n)
}

// calibration corrects the bootstrap intervals of ECE. A resample adds sampling noise a second time: the
// debiased ECE of a resample differs from the ECE of the samples as the debiased ECE of the samples differs
// from the true value, for which both intervals are meant. If nothing varies, because all samples are equally
// certain, the proportion of other samples is bounded.
func (s *intervals) calibration(n *Numbers) {
	e, d := &n.ECE, &n.ECEDebiased
	e.Approximate, d.Approximate = e.Bounded, d.Bounded
	if d.Bounded {
		off := d.Value + e.Value
		d.Low, d.High = max(0, min(off-d.High, d.Value)), min(1, max(off-d.Low, d.Value))
		e.Low, e.High = min(d.Low, e.Value), max(d.High, e.Value)
	}
	_, rare := wilson(0, float64(len(s.units)), normalQuantile((1+s.level)/2))
	for _, x := range []*Estimate{e, d} {
		if x.Bounded && x.High-x.Low < 1e-12 {
			x.High = min(1, x.Value+rare)
		}
	}
}

// singles returns units of one sample each.
func singles(n int) [][]int {
	units := make([][]int, n)
	for i := range units {
		units[i] = []int{i}
	}
	return units
}

// AUCInterval returns the AUC of a label with its interval over units (nil: every sample), as Measure computes
// it.
func AUCInterval(p *Predictions, label int, units [][]int, level float64) Estimate {
	s := newIntervals([]*Predictions{p}, units, level)
	return s.estimate(s.auc(label))
}

// MacroAUCInterval returns the mean AUC over labels with its interval over units (nil: every sample), as
// Measure computes it.
func MacroAUCInterval(p *Predictions, units [][]int, level float64) Estimate {
	s := newIntervals([]*Predictions{p}, units, level)
	var list []bound
	for l := range p.Labels {
		list = append(list, s.auc(l))
	}
	if p.Exclusive && p.Labels == 2 {
		list = list[1:]
	}
	return s.estimate(s.mean(list, 1))
}

func (s *intervals) estimate(b bound) Estimate {
	e := Estimate{Defined: b.defined}
	if b.defined {
		e.Value = b.value
		b.put(&e)
	}
	return e
}

// newIntervals prepares the intervals of runs.
func newIntervals(runs []*Predictions, units [][]int, level float64) *intervals {
	s := &intervals{runs: runs, units: units, level: level, single: true}
	if s.units == nil {
		s.units = singles(runs[0].N())
	}
	for _, u := range s.units {
		s.single = s.single && len(u) == 1
	}
	return s
}
