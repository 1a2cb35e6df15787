package metric

import (
	"math"
	"slices"
)

// How many units either side of a number needs for its interval to reach its level: images by themselves, or patients with
// several; and the means of losses, to which few images add most. Below, an [Estimate] is Approximate.
const (
	EnoughImages = 10
	EnoughGroups = 20
	enoughLosses = 100
)

// intervals replaces the intervals of numbers by those that reach their level in small samples and at the edges: of shares
// Wilson's, with the design effect of units; of an AUC DeLong's variance within a score interval, or under a logit with
// Student's quantile where units are larger than a sample; of means over labels those of the labels put together by the
// squares of their distances (Zou and Donner, Statistics in Medicine 2008). None has a width of zero. TestCoverage says what
// they reach.
type intervals struct {
	runs   []*Predictions
	units  [][]int
	level  float64
	single bool // every unit is one sample
}

// bound is a number with its interval.
type bound struct {
	*influence
	low, high float64
	rough     bool
}

// put writes it down.
func (b bound) put(e *Estimate) {
	if e.Defined && b.defined {
		e.Low, e.High, e.Bounded, e.Approximate = b.low, b.high, true, b.rough
	}
}

// quantile is that of Student with k units, or the normal one where samples are units.
func (s *intervals) quantile(k int) float64 {
	p := (1 + s.level) / 2
	if s.single {
		return normalQuantile(p)
	}
	return studentQuantile(p, float64(max(k-1, 1)))
}

// few tells whether an interval of so many units may miss its level.
func (s *intervals) few(units int) bool {
	if s.single {
		return units < EnoughImages
	}
	return units < EnoughGroups
}

// share bounds a ratio between 0 and 1. counts says that each sample adds 0 or 1 below, and at most as much above.
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
		n = float64(k) // as if all of a unit were one
	}
	b := bound{influence: f, rough: s.few(k)}
	b.low, b.high = wilson(f.value, n, s.quantile(k))
	return b
}

// auc bounds the AUC of a label.
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
		// DeLong's variance is itself uncertain where a class is small: it moves toward Hanley's.
		trust := float64(fewer-1) / float64(fewer-1+EnoughImages)
		ratio := math.Pow(v/hanley(f.value, float64(m), float64(n)), trust)
		b.low, b.high = rankInterval(f.value, float64(m), float64(n), ratio, z)
	default:
		b.low, b.high = rankInterval(f.value, float64(m), float64(n), 1, z)
	}
	return b
}

// mean bounds a mean over labels. Where numbers do not vary, together is how they are taken to go together.
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

// positive bounds a mean of values that are not negative, by the logarithm of the mean and Student's quantile.
func (s *intervals) positive(of func(run, i int) float64) bound {
	f := ratioOf(s.runs, func(r, i int) (float64, float64) { return of(r, i), 1 })
	b := bound{influence: f}
	v, k, _ := f.variance(s.units)
	b.rough = k < enoughLosses
	if t := studentQuantile((1+s.level)/2, float64(max(k-1, 1))); v > 0 && f.value > 0 {
		half := t * math.Sqrt(v) / f.value
		b.low, b.high = f.value*math.Exp(-half), f.value*math.Exp(half)
	} else {
		// All alike: what was never seen is rarer than Wilson's bound, and as bad as a coin's toss at the least.
		_, rare := wilson(0, float64(max(k, 1)), normalQuantile((1+s.level)/2))
		b.low, b.high, b.rough = f.value*(1-rare), f.value+rare, true
	}
	return b
}

// decided tells by which rule decisions are counted.
type decided func(run, i, label int) bool

// rates bounds the decisions about one label.
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

// all replaces the intervals of n but for those of ECE.
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
		aucs = aucs[1:] // the other is the same
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

// refine replaces the intervals of resamples where there are better ones.
func (b Bootstrap) refine(n *Numbers, runs []*Predictions) {
	s := newIntervals(runs, b.Units, b.level())
	s.all(n)
	s.calibration(n)
}

// calibration mends the intervals of ECE, which are those of resamples. A resample has the noise of the samples once more: what
// it makes of the debiased number is off from the ECE of the samples as the debiased number is from the truth, which both
// intervals are of. Where nothing
// varies, all samples being certain and alike, the share of others is bounded.
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

// singles are units of one sample each.
func singles(n int) [][]int {
	units := make([][]int, n)
	for i := range units {
		units[i] = []int{i}
	}
	return units
}

// AUCInterval is the AUC of a label with its interval over units (nil: every sample), as Measure has it.
func AUCInterval(p *Predictions, label int, units [][]int, level float64) Estimate {
	s := newIntervals([]*Predictions{p}, units, level)
	return s.estimate(s.auc(label))
}

// MacroAUCInterval is the mean AUC over labels with its interval over units (nil: every sample), as Measure has it.
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

// newIntervals prepares those of runs.
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
