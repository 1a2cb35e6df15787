package metric

// Confusion counts exclusive decisions: Count[true label][decided label].
type Confusion struct{ Count [][]int }

// Confusion decides for the most probable label (of equal ones the first) and counts. The labels must be
// exclusive.
func (p *Predictions) Confusion() Confusion {
	c := Confusion{Count: make([][]int, p.Labels)}
	for l := range c.Count {
		c.Count[l] = make([]int, p.Labels)
	}
	for i := range p.N() {
		c.Count[p.label(i)][p.top(i)]++
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

// Counts are the true and false, positive and negative decisions about one label.
type Counts struct{ TP, FP, TN, FN int }

// Count decides that label is present from a probability of threshold on.
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

// ratio is a/b, not defined for b = 0.
func ratio(a, b int) (float64, bool) {
	if b == 0 {
		return 0, false
	}
	return float64(a) / float64(b), true
}

// Sensitivity (recall) is the share of positives that were found; not defined without positives.
func (k Counts) Sensitivity() (float64, bool) { return ratio(k.TP, k.TP+k.FN) }

// Specificity is the share of negatives that were found; not defined without negatives.
func (k Counts) Specificity() (float64, bool) { return ratio(k.TN, k.TN+k.FP) }

// Precision is the share of positive decisions that were right; not defined without positive decisions.
func (k Counts) Precision() (float64, bool) { return ratio(k.TP, k.TP+k.FP) }

// F1 is the harmonic mean of precision and sensitivity, 2TP / (2TP+FP+FN): 0 when positives were all
// missed; not defined when there were neither positives nor positive decisions.
func (k Counts) F1() (float64, bool) { return ratio(2*k.TP, 2*k.TP+k.FP+k.FN) }

// halfway is the threshold for labels that do not exclude each other, where no other was fitted.
const halfway = 0.5

// counts returns the decisions about each label: the most probable label of exclusive ones, else a
// probability of at least one half.
func (p *Predictions) counts() []Counts {
	all := make([]Counts, p.Labels)
	if p.Exclusive {
		c := p.Confusion()
		for l := range all {
			all[l] = c.Of(l)
		}
		return all
	}
	for l := range all {
		prob, truth := p.Column(l)
		all[l] = Count(prob, truth, halfway)
	}
	return all
}

// Accuracy returns the share of right decisions: the most probable label is the true one; or, for labels
// that do not exclude each other, the share of all decisions at one half.
func (p *Predictions) Accuracy() (float64, bool) {
	right, all := 0, 0
	if p.Exclusive {
		for l, row := range p.Confusion().Count {
			right += row[l]
		}
		return ratio(right, p.N())
	}
	for _, k := range p.counts() {
		right += k.TP + k.TN
		all += k.TP + k.TN + k.FP + k.FN
	}
	return ratio(right, all)
}

// BalancedAccuracy returns the mean sensitivity over the exclusive labels that occur; for labels that do not
// exclude each other the mean of sensitivity and specificity, averaged over the labels that have both.
func (p *Predictions) BalancedAccuracy() (float64, bool) {
	all := p.counts()
	return p.mean(func(l int) (float64, bool) {
		found, ok := all[l].Sensitivity()
		if p.Exclusive || !ok {
			return found, ok
		}
		rest, ok := all[l].Specificity()
		return (found + rest) / 2, ok
	})
}

// F1 returns the mean F1 over the labels that occur or were decided for (macro average).
func (p *Predictions) F1() (float64, bool) {
	all := p.counts()
	return p.mean(func(l int) (float64, bool) { return all[l].F1() })
}
