package metric

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// TwoLevel says what holds for other images and for training again: resamples of samples and, within each, of the seeds of either
// side. So it needs several runs; of one run each the seeds are taken to matter nothing, and the result says as much.
type TwoLevel struct {
	Estimate
	Seeds bool // seeds were drawn
	// NotInferior is the one-sided p-value of the first being worse than the second by the margin or more. It is small where the
	// first is at most so little worse.
	NotInferior float64
}

// Differences are those of AUC, accuracy and so on of two methods, first less second, in the order of the fields of Numbers.
type Differences struct {
	AUC, Accuracy, BalancedAccuracy, F1, ECE, Brier, LogLoss TwoLevel
	Labels                                                   []TwoLevel // of the AUC of each label
}

// CompareMethods measures differences between the runs of two methods on the same samples, with a margin by which the first may be
// worse (of an AUC of 0 to 1; used for AUC, accuracy, balanced accuracy, F1). Runs of the same position share a seed where
// there are as many on both sides, and are drawn together.
//
// Intervals are percentiles of two-level resamples. The spread of a drawn mean of k seeds is too small by (k-1)/k: the seeds'
// part is scaled by its root. And a few seeds tell their spread badly: distances from the value are widened from the normal
// distribution to Student's, with the degrees of freedom of Satterthwaite. p-values are Student's with the resamples' spread, or
// what the share of resamples on the other side says, if that is larger.
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

// Places in the list of Numbers: those over all labels, and then those of each.
const (
	overall  = 8
	perLabel = 11
)

// pick is how often each run of either side counts.
type pick struct{ first, second []float64 }

// picks draws n runs with replacement: shares that add up to 1, spread by the root of n/(n-1) around 1/n.
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

// runTables has the table of each run.
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

// twoLevel is the difference in column k.
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
	if math.Abs(value) < 1e-15 { // rounding of equal ones
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
		out.Bounded, out.Low, out.High = false, 0, 0 // the answers are the same: there is nothing to be uncertain about, and nothing seen
	}
	return out
}

// seedVariance is what seeds add to the variance of the difference of means, and the number of seeds (of the side with fewer, if
// there are as many on neither).
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

// tails is the two-sided p-value of the difference being at.
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
