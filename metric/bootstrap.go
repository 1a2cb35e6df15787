package metric

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Defaults of a Bootstrap.
const (
	DefaultResamples = 2000
	DefaultLevel     = 0.95
)

// Bootstrap computes confidence intervals by resampling with replacement (Efron's percentile method). Resample
// r depends only on Seed and r. So neither the number of workers nor the number of resamples changes it, and
// different predictions of the same samples are evaluated on the same resamples.
type Bootstrap struct {
	Resamples int     // 0: DefaultResamples
	Level     float64 // confidence level; 0: DefaultLevel
	Seed      uint64
	Workers   int // 0: all cores; results do not depend on it
	// Units lists the samples that are drawn together, such as the images of a patient. Each sample belongs to
	// exactly one unit. nil: every sample is a unit.
	Units [][]int
}

// Units returns the units of samples, one per group, in the order of their first samples. A sample with an
// empty group is a unit of its own.
func Units(groups []string) [][]int {
	var units [][]int
	at := map[string]int{}
	for i, g := range groups {
		k, ok := at[g]
		if !ok || g == "" {
			k = len(units)
			at[g] = k
			units = append(units, nil)
		}
		units[k] = append(units[k], i)
	}
	return units
}

// Measure computes all metrics of predictions, with confidence intervals.
func (b Bootstrap) Measure(ctx context.Context, p *Predictions) (*Numbers, error) {
	return b.MeasureRuns(ctx, []*Predictions{p})
}

// MeasureRuns computes the mean of each metric over several predictions of the same samples, such as those of
// models trained with different seeds. The intervals are those of the mean: each resample is drawn once for all
// runs. They reflect the variation between samples, not between seeds.
func (b Bootstrap) MeasureRuns(ctx context.Context, runs []*Predictions) (*Numbers, error) {
	table, err := b.meanTable(ctx, runs)
	if err != nil {
		return nil, err
	}
	n := b.numbers(table, runs[0].Labels)
	b.refine(n, runs)
	return n, nil
}

// Compare computes the differences between two predictions of the same samples, first minus second, on the same
// resamples. The p-value of each is twice the proportion of resamples in which the difference is zero or has
// the opposite sign. The original samples count as one resample, so that it is never 0.
func (b Bootstrap) Compare(ctx context.Context, first, second *Predictions) (*Numbers, error) {
	return b.CompareRuns(ctx, []*Predictions{first}, []*Predictions{second})
}

// CompareRuns is Compare for means over several predictions.
func (b Bootstrap) CompareRuns(ctx context.Context, first, second []*Predictions) (*Numbers, error) {
	one, err := b.meanTable(ctx, first)
	if err != nil {
		return nil, err
	}
	two, err := b.meanTable(ctx, second)
	if err != nil {
		return nil, err
	}
	if !sameSamples(first[0], second[0]) {
		return nil, errOtherSamples
	}
	for r, row := range two {
		for k, v := range row {
			one[r][k] -= v
		}
	}
	n := b.numbers(one, first[0].Labels)
	for k, e := range n.list() {
		if e.Defined {
			e.P = pValue(one[1:], k)
		}
	}
	return n, nil
}

var errOtherSamples = errors.New("metric: predictions of different samples cannot be compared")

// sameSamples reports whether two predictions can be of the same samples.
func sameSamples(a, b *Predictions) bool {
	return a.Labels == b.Labels && a.Exclusive == b.Exclusive && slices.Equal(a.Truth, b.Truth)
}

// checkRuns returns an error unless the predictions are runs on the same samples.
func checkRuns(runs []*Predictions) error {
	if len(runs) == 0 {
		return errors.New("metric: no predictions")
	}
	for _, p := range runs {
		if err := p.Check(); err != nil {
			return err
		}
		if !sameSamples(p, runs[0]) {
			return errOtherSamples
		}
	}
	return nil
}

// meanTable returns the mean of the runs' tables. An entry that is undefined for one run is undefined.
func (b Bootstrap) meanTable(ctx context.Context, runs []*Predictions) ([][]float64, error) {
	if err := checkRuns(runs); err != nil {
		return nil, err
	}
	var sum [][]float64
	for _, p := range runs {
		t, err := b.table(ctx, p)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = t
			continue
		}
		for r, row := range t {
			for k, v := range row {
				sum[r][k] += v
			}
		}
	}
	if n := float64(len(runs)); n > 1 {
		for _, row := range sum {
			for k := range row {
				row[k] /= n
			}
		}
	}
	return sum, nil
}

// pValue returns the p-value of the differences in column k of the rows. NaN means undefined.
func pValue(rows [][]float64, k int) float64 {
	var up, down, all int
	for _, row := range rows {
		d := row[k]
		if d >= 0 {
			up++
		}
		if d <= 0 {
			down++
		}
		if !math.IsNaN(d) {
			all++
		}
	}
	return min(1, 2*float64(1+min(up, down))/float64(1+all))
}

// numbers converts a table to estimates.
func (b Bootstrap) numbers(table [][]float64, labels int) *Numbers {
	n := newNumbers(labels)
	column := make([]float64, len(table)-1)
	for k, e := range n.list() {
		for r := range column {
			column[r] = table[r+1][k]
		}
		*e = b.estimate(table[0][k], column)
	}
	return n
}

// estimate returns a metric from its value and its values on the resamples. NaN means undefined.
func (b Bootstrap) estimate(value float64, resamples []float64) Estimate {
	e := Estimate{Value: value, Defined: !math.IsNaN(value)}
	if !e.Defined {
		e.Value = 0
	}
	defined := make([]float64, 0, len(resamples))
	for _, v := range resamples {
		if !math.IsNaN(v) {
			defined = append(defined, v)
		}
	}
	e.Undefined = len(resamples) - len(defined)
	if !e.Defined || len(defined) == 0 || 2*len(defined) < len(resamples) {
		return e
	}
	slices.Sort(defined)
	tail := (1 - b.level()) / 2
	e.Low, e.High, e.Bounded = quantile(defined, tail), quantile(defined, 1-tail), true
	return e
}

// quantile returns a quantile of sorted values with linear interpolation (type 7 of Hyndman and Fan).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[j]-sorted[i])
}

func (b Bootstrap) level() float64 {
	if b.Level == 0 {
		return DefaultLevel
	}
	return b.Level
}

// table returns the metrics of the original samples, followed by those of each resample, in the order of a
// scorer. The predictions must have been checked.
func (b Bootstrap) table(ctx context.Context, p *Predictions) ([][]float64, error) {
	s := newScorer(p)
	width := len(newNumbers(p.Labels).list())
	return b.rows(ctx, p.N(), func() func([]int32) []float64 {
		t := s.scratch()
		return func(weights []int32) []float64 {
			row := make([]float64, width)
			s.score(weights, t, row)
			return row
		}
	})
}

// rows computes a row for the n original samples, then one for each resample. Each worker calls worker once to
// get a function that computes a row, given how often each sample counts.
func (b Bootstrap) rows(ctx context.Context, n int, worker func() func(weights []int32) []float64) ([][]float64, error) {
	units := b.Units
	if units == nil {
		units = make([][]int, n)
		for i := range units {
			units[i] = []int{i}
		}
	}
	resamples := b.Resamples
	if resamples == 0 {
		resamples = DefaultResamples
	}
	rows := make([][]float64, resamples+1)
	workers := b.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(workers, len(rows)) {
		wait.Go(func() {
			weights, row := make([]int32, n), worker()
			for r := int(next.Add(1)) - 1; r < len(rows) && ctx.Err() == nil; r = int(next.Add(1)) - 1 {
				b.draw(weights, units, r)
				rows[r] = row(weights)
			}
		})
	}
	wait.Wait()
	return rows, ctx.Err()
}

// draw sets how often each sample occurs in resample r. In resample 0 each occurs once.
func (b Bootstrap) draw(weights []int32, units [][]int, r int) {
	clear(weights)
	if r == 0 {
		for i := range weights {
			weights[i] = 1
		}
		return
	}
	rng := rand.New(rand.NewPCG(b.Seed, uint64(r)))
	for range units {
		for _, i := range units[rng.IntN(len(units))] {
			weights[i]++
		}
	}
}
