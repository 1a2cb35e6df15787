// Package metric evaluates predictions. It works on probabilities and true labels, and knows no model.
//
// Functions return a second result that says whether the data defines the metric. An AUC without positives, for
// example, is not defined; it is never reported as NaN or as an arbitrary value.
package metric

import (
	"fmt"
	"math"
)

// Predictions holds the probabilities that a model gave n samples, and their true labels.
type Predictions struct {
	Labels int
	// Exclusive says that each sample has exactly one label, so that its probabilities add up to 1. Otherwise
	// labels are present or absent independently.
	Exclusive bool
	Prob      []float64 // [n, Labels]
	Truth     []bool    // [n, Labels]
	// Thresholds are the probabilities from which a label counts as present: one per label, or nil for one
	// half. Exclusive labels are decided by the highest probability unless ByThreshold is set; their thresholds
	// then apply only when one label is considered against the rest.
	Thresholds []float64
	// ByThreshold says, for two exclusive labels, that the second is decided if its probability reaches its
	// threshold.
	ByThreshold bool
}

// N returns the number of samples.
func (p *Predictions) N() int {
	if p.Labels == 0 {
		return 0
	}
	return len(p.Prob) / p.Labels
}

// Check returns an error if lengths do not agree, a probability is not in [0, 1], or exclusive labels are not
// exclusive.
func (p *Predictions) Check() error {
	if p.Labels < 1 || len(p.Prob)%p.Labels != 0 || len(p.Prob) != len(p.Truth) {
		return fmt.Errorf("metric: %d probabilities and %d truths for %d labels", len(p.Prob), len(p.Truth), p.Labels)
	}
	for i, v := range p.Prob {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("metric: sample %d: probability %v of label %d, expected 0 to 1", i/p.Labels, v, i%p.Labels)
		}
	}
	if k := len(p.Thresholds); k != 0 && k != p.Labels {
		return fmt.Errorf("metric: %d thresholds for %d labels", k, p.Labels)
	}
	if !p.Exclusive {
		return nil
	}
	for i := range p.N() {
		n := 0
		for _, t := range p.Truth[i*p.Labels : (i+1)*p.Labels] {
			if t {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("metric: sample %d has %d labels, expected 1", i, n)
		}
	}
	return nil
}

// Subset returns the predictions of some samples.
func (p *Predictions) Subset(samples []int) *Predictions {
	out := &Predictions{Labels: p.Labels, Exclusive: p.Exclusive, Thresholds: p.Thresholds, ByThreshold: p.ByThreshold}
	for _, i := range samples {
		out.Prob = append(out.Prob, p.Prob[i*p.Labels:(i+1)*p.Labels]...)
		out.Truth = append(out.Truth, p.Truth[i*p.Labels:(i+1)*p.Labels]...)
	}
	return out
}

// Column returns the probabilities and truths of one label.
func (p *Predictions) Column(label int) (prob []float64, truth []bool) {
	n := p.N()
	prob, truth = make([]float64, n), make([]bool, n)
	for i := range n {
		prob[i], truth[i] = p.Prob[i*p.Labels+label], p.Truth[i*p.Labels+label]
	}
	return prob, truth
}

// top returns the most probable label of sample i, the first in case of a tie.
func (p *Predictions) top(i int) int {
	best := 0
	for l, v := range p.Prob[i*p.Labels : (i+1)*p.Labels] {
		if v > p.Prob[i*p.Labels+best] {
			best = l
		}
	}
	return best
}

// sides reports whether one threshold decides between two labels.
func (p *Predictions) sides() bool { return p.Exclusive && p.ByThreshold && p.Labels == 2 }

// Decided returns the label decided for sample i: the most probable one, the first in case of a tie; or, with
// ByThreshold, the one of two labels that the threshold selects. Labels must be exclusive.
func (p *Predictions) Decided(i int) int {
	switch {
	case !p.sides():
		return p.top(i)
	case p.Prob[2*i+1] >= p.Threshold(1):
		return 1
	}
	return 0
}

// label returns the first true label of sample i.
func (p *Predictions) label(i int) int {
	for l, t := range p.Truth[i*p.Labels : (i+1)*p.Labels] {
		if t {
			return l
		}
	}
	return -1
}

// mean averages f over the labels.
func (p *Predictions) mean(f func(label int) (float64, bool)) (float64, bool) {
	return mean(p.Labels, f)
}

// mean averages f over 0 to labels-1, leaving out labels for which it is not defined. The mean is not defined
// if no label remains.
func mean(labels int, f func(label int) (float64, bool)) (float64, bool) {
	sum, n := 0.0, 0
	for l := range labels {
		if v, ok := f(l); ok {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// logFloor limits the logarithm of a probability of zero, so that log loss stays finite, at 36.04 per such
// sample.
var logFloor = math.Log(0x1p-52)

// LogLoss returns the mean negative logarithm of the probability of the truth, in nats: that of the true label,
// or for labels that are not exclusive that of each label's presence or absence. Probabilities below 2^-52
// count as 2^-52.
func (p *Predictions) LogLoss() (float64, bool) {
	n := p.N()
	if n == 0 {
		return 0, false
	}
	sum, terms := 0.0, 0
	for i, prob := range p.Prob {
		switch {
		case p.Truth[i]:
		case p.Exclusive:
			continue
		default:
			prob = 1 - prob
		}
		sum -= max(math.Log(prob), logFloor)
		terms++
	}
	return sum / float64(terms), true
}

// Brier returns the mean squared error of the probabilities. With two exclusive labels it is that of the second
// label (0 to 1), with more the sum over labels (0 to 2; Brier 1950), and with labels that are not exclusive
// the mean over labels.
func (p *Predictions) Brier() (float64, bool) {
	n := p.N()
	if n == 0 {
		return 0, false
	}
	sum := 0.0
	for i, v := range p.Prob {
		if p.Truth[i] {
			v = 1 - v
		}
		sum += v * v
	}
	switch {
	case !p.Exclusive:
		sum /= float64(p.Labels)
	case p.Labels == 2:
		sum /= 2
	}
	return sum / float64(n), true
}
