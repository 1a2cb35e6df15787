package metric

import "math"

// Confusion is a confusion matrix: Count[true label][decided label].
type Confusion struct{ Count [][]int }

// Confusion returns the confusion matrix of the decisions ([Predictions.Decided]). Labels must be exclusive.
func (p *Predictions) Confusion() Confusion {
	c := Confusion{Count: make([][]int, p.Labels)}
	for l := range c.Count {
		c.Count[l] = make([]int, p.Labels)
	}
	for i := range p.N() {
		c.Count[p.label(i)][p.Decided(i)]++
	}
	return c
}

// Of returns the counts of one label against the rest.
func (c Confusion) Of(label int) Counts {
	var k Counts
	for truth, row := range c.Count {
		for decided, n := range row {
			switch {
			case truth == label && decided == label:
				k.TP += n
			case truth == label:
				k.FN += n
			case decided == label:
				k.FP += n
			default:
				k.TN += n
			}
		}
	}
	return k
}

// Counts holds the numbers of true and false, positive and negative decisions about one label.
type Counts struct{ TP, FP, TN, FN int }

// Count counts decisions by a threshold: a probability of at least threshold is positive.
func Count(prob []float64, truth []bool, threshold float64) Counts {
	var k Counts
	for i, v := range prob {
		switch {
		case v >= threshold && truth[i]:
			k.TP++
		case v >= threshold:
			k.FP++
		case truth[i]:
			k.FN++
		default:
			k.TN++
		}
	}
	return k
}

// ratio returns a/b; not defined for b = 0.
func ratio(a, b int) (float64, bool) {
	if b == 0 {
		return 0, false
	}
	return float64(a) / float64(b), true
}

// Sensitivity (recall) is the proportion of positives that were found; not defined without positives.
func (k Counts) Sensitivity() (float64, bool) { return ratio(k.TP, k.TP+k.FN) }

// Specificity is the proportion of negatives that were recognised; not defined without negatives.
func (k Counts) Specificity() (float64, bool) { return ratio(k.TN, k.TN+k.FP) }

// Precision is the proportion of positive decisions that are correct (positive predictive value); not defined
// without positive decisions.
func (k Counts) Precision() (float64, bool) { return ratio(k.TP, k.TP+k.FP) }

// NegativePrecision is the proportion of negative decisions that are correct (negative predictive value); not
// defined without negative decisions.
func (k Counts) NegativePrecision() (float64, bool) { return ratio(k.TN, k.TN+k.FN) }

// F1 is the harmonic mean of precision and sensitivity, 2TP / (2TP+FP+FN). It is 0 if all positives were
// missed, and not defined if there are neither positives nor positive decisions.
func (k Counts) F1() (float64, bool) { return ratio(2*k.TP, 2*k.TP+k.FP+k.FN) }

// halfway is the threshold if none was fitted.
const halfway = 0.5

// Threshold returns the probability from which a label counts as present. If one threshold decides between two
// labels, it is that of the second label, and its complement to 1 for the first.
func (p *Predictions) Threshold(label int) float64 {
	if p.Thresholds == nil {
		return halfway
	}
	if p.sides() && label == 0 {
		return 1 - p.Thresholds[1]
	}
	return p.Thresholds[label]
}

// Counts returns the decisions about each label. Exclusive labels are decided by [Predictions.Decided], others
// by comparing the probability with the label's threshold.
func (p *Predictions) Counts() []Counts {
	if !p.Exclusive {
		return p.countsAt()
	}
	all := make([]Counts, p.Labels)
	c := p.Confusion()
	for l := range all {
		all[l] = c.Of(l)
	}
	return all
}

// countsAt returns the decisions about each label by its own threshold.
func (p *Predictions) countsAt() []Counts {
	all := make([]Counts, p.Labels)
	for l := range all {
		prob, truth := p.Column(l)
		all[l] = Count(prob, truth, p.Threshold(l))
	}
	return all
}

// accuracy returns the proportion of correct decisions, given the counts of each label.
func accuracy(all []Counts, exclusive bool) (float64, bool) {
	right, n := 0, 0
	for _, k := range all {
		right += k.TP
		n += k.TP + k.FN
		if !exclusive {
			right += k.TN
			n += k.TN + k.FP
		}
	}
	return ratio(right, n)
}

// balanced returns the mean sensitivity, or for labels that are not exclusive the mean of sensitivity and
// specificity.
func balanced(all []Counts, exclusive bool) (float64, bool) {
	return mean(len(all), func(l int) (float64, bool) {
		found, ok := all[l].Sensitivity()
		if exclusive || !ok {
			return found, ok
		}
		rest, ok := all[l].Specificity()
		return (found + rest) / 2, ok
	})
}

// macroF1 returns the mean F1.
func macroF1(all []Counts) (float64, bool) {
	return mean(len(all), func(l int) (float64, bool) { return all[l].F1() })
}

// Accuracy returns the proportion of correct decisions. For labels that are not exclusive, every decision about
// a label counts.
func (p *Predictions) Accuracy() (float64, bool) { return accuracy(p.Counts(), p.Exclusive) }

// BalancedAccuracy returns the mean sensitivity over the exclusive labels that occur. For labels that are not
// exclusive it is the mean of sensitivity and specificity, averaged over the labels for which both are defined.
func (p *Predictions) BalancedAccuracy() (float64, bool) { return balanced(p.Counts(), p.Exclusive) }

// F1 returns the mean F1 over the labels that occur or were decided (macro average).
func (p *Predictions) F1() (float64, bool) { return macroF1(p.Counts()) }

// Wilson returns Wilson's score interval (1927) of a proportion, given successes of n, at a confidence level
// such as 0.95. For n = 0 it is [0, 1].
func Wilson(successes, n int, level float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	z := math.Sqrt2 * math.Erfinv(level)
	p, m := float64(successes)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}
