package metric

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// TwoLevel is a difference whose interval covers both other images and retraining. Its resamples draw samples
// and, within each, the seeds of either side. So it needs several runs. With one run per side, variation
// between seeds is not included.
type TwoLevel struct {
	Estimate
	Seeds bool // whether seeds were drawn
	// NotInferior is the one-sided p-value of the hypothesis that the first method is worse than the second by
	// at least the margin. A small value supports non-inferiority.
	NotInferior float64
}

// Differences holds the differences of metrics between two methods, first minus second, in the order of the
// fields of Numbers.
type Differences struct {
	AUC, Accuracy, BalancedAccuracy, F1, ECE, Brier, LogLoss TwoLevel
	Labels                                                   []TwoLevel // of the AUC of each label
}

// CompareMethods compares the runs of two methods on the same samples. margin is how much worse the first
// method may be (on a scale of 0 to 1; used for AUC, accuracy, balanced accuracy and F1). If both sides have
// the same number of runs, runs at the same position share a seed and are drawn together.
//
// Intervals are percentiles of two-level resamples, with two corrections for a small number k of seeds. The
// variance of a resampled mean of k seeds is too small by the factor (k-1)/k, so the contribution of seeds is
// scaled by the root of its inverse. And because k seeds estimate their own variance poorly, distances from the
// value are widened from the normal to Student's distribution, with Satterthwaite's degrees of freedom. The
// p-value is the larger of that of Student's distribution with the resamples' standard deviation, and that of
// the proportion of resamples with the opposite sign.
func (b Bootstrap) CompareMethods(ctx context.Context, first, second []*Predictions, margin float64) (*Differences, error) {
	one, err := b.runTables(ctx, first)
	if err != nil {
		return nil, err
	}
	two, err := b.runTables(ctx, second)
	if err != nil {
		return nil, err
	}
	if !sameSamples(first[0], second[0]) {
		return nil, errOtherSamples
	}
	seeds := len(first) > 1 || len(second) > 1
	resamples := len(one[0]) - 1
	drawn := make([]pick, resamples)
	for r := range drawn {
		rng := rand.New(rand.NewPCG(b.Seed^0x5eed, uint64(r)))
		drawn[r].first = picks(rng, len(one))
		drawn[r].second = drawn[r].first
		if len(one) != len(two) {
			drawn[r].second = picks(rng, len(two))
		}
	}
	of := func(k int) TwoLevel { return b.twoLevel(one, two, drawn, k, margin, seeds) }
	d := &Differences{AUC: of(0), Accuracy: of(1), BalancedAccuracy: of(2), F1: of(3), ECE: of(4), Brier: of(6), LogLoss: of(7)}
	for l := range first[0].Labels {
		d.Labels = append(d.Labels, of(overall+perLabel*l))
	}
	return d, nil
}

// Offsets in the list of Numbers: metrics over all labels come first, then those of each label.
const (
	overall  = 8
	perLabel = 11
)

// pick is the weight of each run of either side in a resample.
type pick struct{ first, second []float64 }

// picks draws n runs with replacement. The weights add up to 1; their deviations from 1/n are scaled by the
// root of n/(n-1).
func picks(rng *rand.Rand, n int) []float64 {
	w := make([]float64, n)
	for range n {
		w[rng.IntN(n)] += 1 / float64(n)
	}
	if n > 1 {
		f := math.Sqrt(float64(n) / float64(n-1))
		for i := range w {
			w[i] = 1/float64(n) + f*(w[i]-1/float64(n))
		}
	}
	return w
}

// runTables returns the table of each run.
func (b Bootstrap) runTables(ctx context.Context, runs []*Predictions) ([][][]float64, error) {
	if err := checkRuns(runs); err != nil {
		return nil, err
	}
	var out [][][]float64
	for _, p := range runs {
		t, err := b.table(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// twoLevel computes the difference in column k.
func (b Bootstrap) twoLevel(one, two [][][]float64, drawn []pick, k int, margin float64, seeds bool) TwoLevel {
	value := 0.0
	for _, t := range one {
		value += t[0][k] / float64(len(one))
	}
	for _, t := range two {
		value -= t[0][k] / float64(len(two))
	}
	list := make([]float64, len(drawn))
	for r, p := range drawn {
		for i, w := range p.first {
			list[r] += w * one[i][r+1][k]
		}
		for i, w := range p.second {
			list[r] -= w * two[i][r+1][k]
		}
	}
	if math.Abs(value) < 1e-15 { // rounding errors of equal values
		value = 0
	}
	out := TwoLevel{Estimate: b.estimate(value, list), Seeds: seeds, NotInferior: 1}
	if !out.Defined {
		return out
	}
	list = slices.DeleteFunc(list, math.IsNaN)
	n, mean, square := float64(len(list)), 0.0, 0.0
	for _, v := range list {
		mean += v / n
	}
	for _, v := range list {
		square += (v - mean) * (v - mean) / max(n-1, 1)
	}
	sd := math.Sqrt(square)
	df := math.Inf(1)
	if v, k := seedVariance(one, two, k); v > 0 && square > 0 {
		df = max(1, (k-1)*square*square/(v*v))
	}
	p := (1 + b.level()) / 2
	wider := studentQuantile(p, df) / normalQuantile(p)
	out.Low, out.High = value-wider*(value-out.Low), value+wider*(out.High-value)
	out.P, out.NotInferior = tails(value, 0, list, sd, df), tails(value, -margin, list, sd, df)/2
	if value < -margin {
		out.NotInferior = 1 - out.NotInferior
	}
	if !out.Bounded || out.High-out.Low < 1e-12 {
		// all answers are equal, so there is no variation from which to estimate an interval
		out.Bounded, out.Low, out.High = false, 0, 0
	}
	return out
}

// seedVariance returns the contribution of seeds to the variance of the difference of means, and the number of
// seeds of the side with fewer of them.
func seedVariance(one, two [][][]float64, k int) (v, seeds float64) {
	of := func(at func(i int) float64, n int) float64 {
		mean, square := 0.0, 0.0
		for i := range n {
			mean += at(i) / float64(n)
		}
		for i := range n {
			square += (at(i) - mean) * (at(i) - mean)
		}
		return square / float64(max(n-1, 1)) / float64(n)
	}
	if len(one) == len(two) {
		return of(func(i int) float64 { return one[i][0][k] - two[i][0][k] }, len(one)), float64(len(one))
	}
	seeds = float64(max(len(one), len(two)))
	if least := min(len(one), len(two)); least > 1 {
		seeds = float64(least)
	}
	return of(func(i int) float64 { return one[i][0][k] }, len(one)) + of(func(i int) float64 { return two[i][0][k] }, len(two)), seeds
}

// tails returns the two-sided p-value of the hypothesis that the difference is at.
func tails(value, at float64, list []float64, sd, df float64) float64 {
	up, down := 0, 0
	for _, v := range list {
		if v >= at {
			up++
		}
		if v <= at {
			down++
		}
	}
	p := min(1, 2*float64(1+min(up, down))/float64(1+len(list)))
	if sd > 0 {
		p = max(p, 2*studentTail(math.Abs(value-at)/sd, min(df, 1e7)))
	}
	return p
}
