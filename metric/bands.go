package metric

import (
	"context"
	"fmt"
	"slices"
)

// Bands holds the ROC and precision-recall curves of a label at given positions, with an interval at each. Of
// several runs it holds the mean curves.
type Bands struct {
	At []float64 // ascending
	// sensitivity at false positive rate At, interpolated linearly between the points of the curve
	ROC       []Estimate
	Precision []Estimate // precision at the first point of the curve with a sensitivity of at least At
}

// Grid returns n+1 equally spaced positions from 0 to 1.
func Grid(n int) []float64 {
	at := make([]float64, n+1)
	for i := range at {
		at[i] = float64(i) / float64(n)
	}
	return at
}

// Bands computes the curves of a label with pointwise intervals, on the resamples that Measure draws. Resamples
// without a positive (or, for the ROC curve, without a negative) are counted as in Measure.
func (b Bootstrap) Bands(ctx context.Context, runs []*Predictions, label int, at []float64) (*Bands, error) {
	if err := checkRuns(runs); err != nil {
		return nil, err
	}
	if label < 0 || label >= runs[0].Labels || !slices.IsSorted(at) {
		return nil, fmt.Errorf("metric: bands of label %d of %d, at %d places", label, runs[0].Labels, len(at))
	}
	var sweeps []*sweep
	for _, p := range runs {
		sweeps = append(sweeps, newSweep(p.Column(label)))
	}
	rows, err := b.rows(ctx, runs[0].N(), func() func([]int32) []float64 {
		one := make([]float64, 2*len(at))
		return func(weights []int32) []float64 {
			sum := make([]float64, len(one))
			for _, s := range sweeps {
				s.curves(weights, at, one)
				for k, v := range one {
					sum[k] += v
				}
			}
			for k := range sum {
				sum[k] /= float64(len(sweeps))
			}
			return sum
		}
	})
	if err != nil {
		return nil, err
	}
	out := &Bands{At: slices.Clone(at)}
	z := normalQuantile((1 + b.level()) / 2)
	positives := float64(b.unitsWith(runs[0], label))
	column := make([]float64, len(rows)-1)
	for k := range rows[0] {
		for r := range column {
			column[r] = rows[r+1][k]
		}
		e := b.estimate(rows[0][k], column)
		if k < len(at) {
			e.widen(positives, z)
			out.ROC = append(out.ROC, e)
		} else {
			if e.Value > 0 { // number of decisions needed to find that many positives
				e.widen(max(1, at[k-len(at)]*positives/e.Value), z)
			}
			out.Precision = append(out.Precision, e)
		}
	}
	return out, nil
}

// sweep holds the scores of one label in descending order.
type sweep struct {
	order    []int
	last     []bool // last of several equal scores, in that order
	positive []bool
}

func newSweep(scores []float64, positive []bool) *sweep {
	s := &sweep{order: ascending(scores), positive: positive, last: make([]bool, len(scores))}
	slices.Reverse(s.order)
	for k, i := range s.order {
		s.last[k] = k == len(s.order)-1 || scores[s.order[k+1]] != scores[i]
	}
	return s
}

// rounding is an upper bound of the rounding error of a position times a number of samples.
const rounding = 1e-6

// curves computes the ROC and the precision-recall curve at positions at into out [2*len(at)]. Sample i counts
// weights[i] times. Undefined values are notDefined.
func (s *sweep) curves(weights []int32, at, out []float64) {
	positives, negatives := 0, 0
	for i, w := range weights {
		if s.positive[i] {
			positives += int(w)
		} else {
			negatives += int(w)
		}
	}
	roc, precision := out[:len(at)], out[len(at):]
	for k := range out {
		out[k] = notDefined
	}
	if positives == 0 {
		return
	}
	var tp, fp, lastTP, lastFP, x, y int
	for k, i := range s.order {
		if s.positive[i] {
			tp += int(weights[i])
		} else {
			fp += int(weights[i])
		}
		if !s.last[k] || tp == lastTP && fp == lastFP {
			continue
		}
		// The positions within this segment of the ROC curve. A vertical segment at a position is left to the
		// next one.
		for ; negatives > 0 && x < len(at) && at[x]*float64(negatives) < float64(fp)-rounding; x++ {
			t := max(at[x]*float64(negatives)-float64(lastFP), 0) / float64(fp-lastFP)
			roc[x] = (float64(lastTP) + t*float64(tp-lastTP)) / float64(positives)
		}
		for ; tp > 0 && y < len(at) && at[y]*float64(positives) <= float64(tp)+rounding; y++ {
			precision[y] = float64(tp) / float64(tp+fp)
		}
		lastTP, lastFP = tp, fp
	}
	for ; negatives > 0 && x < len(at); x++ {
		roc[x] = 1
	}
}

// widen makes a pointwise interval at least as wide as Wilson's interval of a proportion of n. A resample
// cannot contain what no sample shows, so the percentiles alone can be too narrow.
func (e *Estimate) widen(n, z float64) {
	if e.Bounded && n > 0 {
		low, high := wilson(min(max(e.Value, 0), 1), n, z)
		e.Low, e.High = min(e.Low, low), max(e.High, high)
	}
}

// unitsWith returns the number of units that contain the label.
func (b Bootstrap) unitsWith(p *Predictions, label int) (n int) {
	units := b.Units
	if units == nil {
		units = singles(p.N())
	}
	for _, u := range units {
		if slices.ContainsFunc(u, func(i int) bool { return p.Truth[i*p.Labels+label] }) {
			n++
		}
	}
	return n
}
