// Package metric judges predictions: it sees probabilities and truths, and no model.
//
// A number that the data does not define, such as an AUC without positives, is reported as such by a
// second result, never as NaN and never as a made-up value.
package metric

import (
	"fmt"
	"math"
)

// Predictions are the probabilities that a model gave n samples, and what was true.
type Predictions struct {
	Labels int
	// Exclusive says that each sample has exactly one label, so that its probabilities add up to 1.
	// Otherwise each label is present or absent by itself.
	Exclusive bool
	Prob      []float64 // [n, Labels]
	Truth     []bool    // [n, Labels]
	// Thresholds are the probabilities from which a label counts as present: one a label, or nil for one half.
	// Exclusive labels are decided for the most probable one, unless ByThreshold says otherwise; their thresholds serve to
	// look at one alone.
	Thresholds []float64
	// ByThreshold says, of two exclusive labels, that the second is decided for where its probability reaches its threshold.
	ByThreshold bool
}

// N returns the number of samples.
func (p *Predictions) N() int {
	if p.Labels == 0 {
		return 0
	}
	return len(p.Prob) / p.Labels
}

// Check returns an error if the lengths do not fit, a probability is not in [0, 1], or exclusive labels
// are not.
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

// top returns the most probable label of sample i; of equal ones the first.
func (p *Predictions) top(i int) int {
	best := 0
	for l, v := range p.Prob[i*p.Labels : (i+1)*p.Labels] {
		if v > p.Prob[i*p.Labels+best] {
			best = l
		}
	}
	return best
}

// sides tells whether one threshold decides between two labels.
func (p *Predictions) sides() bool { return p.Exclusive && p.ByThreshold && p.Labels == 2 }

// Decided returns the label that is decided for of sample i: the most probable one, of equal ones the first; or, with
// ByThreshold, that of the two which the threshold says. The labels must be exclusive.
func (p *Predictions) Decided(i int) int {
	switch {
	case !p.sides():
		return p.top(i)
	case p.Prob[2*i+1] >= p.Threshold(1):
		return 1
	}
	return 0
}

// label returns the first label that sample i has.
func (p *Predictions) label(i int) int {
	for l, t := range p.Truth[i*p.Labels : (i+1)*p.Labels] {
		if t {
			return l
		}
	}
	return -1
}

// mean averages what f gives for each label.
func (p *Predictions) mean(f func(label int) (float64, bool)) (float64, bool) {
	return mean(p.Labels, f)
}

// mean averages what f gives for 0 to labels-1, leaving out those for which it is not defined. It is not
// defined if that leaves none.
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

// logFloor bounds the logarithm of a probability of zero: log loss stays finite, at 36.04 per such sample.
var logFloor = math.Log(0x1p-52)

// LogLoss returns the mean negative logarithm of the probability of what was true, in nats: of the one
// label, or of each label's presence or absence. Probabilities below 2^-52 count as 2^-52.
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

// Brier returns the mean squared error of the probabilities: with two exclusive labels that of the second
// label (so 0 to 1), with more the sum over labels (0 to 2; Brier 1950), with labels that do not exclude
// each other the mean over labels.
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
