package metric

import "math"

// MCC returns Matthews' correlation coefficient of truth and decision for any number of classes (Gorodkin
// 2004). It is not defined if all samples belong to one class, or are assigned to one.
func (c Confusion) MCC() (float64, bool) {
	right, total, truths, decisions := c.margins()
	cross, tt, dd := 0.0, 0.0, 0.0
	for k := range truths {
		cross += truths[k] * decisions[k]
		tt += truths[k] * truths[k]
		dd += decisions[k] * decisions[k]
	}
	below := (total*total - dd) * (total*total - tt)
	if below <= 0 {
		return 0, false
	}
	return (right*total - cross) / math.Sqrt(below), true
}

// Kappa returns Cohen's kappa: agreement beyond what the margins alone would give. It is not defined if the
// margins alone give full agreement.
func (c Confusion) Kappa() (float64, bool) {
	right, total, truths, decisions := c.margins()
	chance := 0.0
	for k := range truths {
		chance += truths[k] * decisions[k]
	}
	if total == 0 || chance == total*total {
		return 0, false
	}
	chance /= total
	return (right - chance) / (total - chance), true
}

func (c Confusion) margins() (right, total float64, truths, decisions []float64) {
	truths, decisions = make([]float64, len(c.Count)), make([]float64, len(c.Count))
	for t, row := range c.Count {
		for d, n := range row {
			v := float64(n)
			if t == d {
				right += v
			}
			total, truths[t], decisions[d] = total+v, truths[t]+v, decisions[d]+v
		}
	}
	return right, total, truths, decisions
}

// ConfusionOf returns the 2x2 confusion matrix of one label: absent first, present second.
func ConfusionOf(k Counts) Confusion { return Confusion{[][]int{{k.TN, k.FP}, {k.FN, k.TP}}} }

// Predictive returns the positive and negative predictive values at a given prevalence, by Bayes' theorem. A
// value is NaN if there are no such decisions.
func Predictive(sensitivity, specificity, prevalence float64) (ppv, npv float64) {
	tp, fp := sensitivity*prevalence, (1-specificity)*(1-prevalence)
	tn, fn := specificity*(1-prevalence), (1-sensitivity)*prevalence
	return tp / (tp + fp), tn / (tn + fn)
}

// NetBenefit returns the net benefit of treating samples with a probability of at least threshold, in true
// positives per sample: false positives are weighted by the odds of the threshold (Vickers and Elkin, Medical
// Decision Making 2006). all is the net benefit of treating everybody; treating nobody has 0. They are not
// defined without samples, or for a threshold outside [0, 1).
func NetBenefit(prob []float64, truth []bool, threshold float64) (model, all float64, ok bool) {
	if len(prob) == 0 || !(threshold >= 0 && threshold < 1) {
		return 0, 0, false
	}
	k, n, odds := Count(prob, truth, threshold), float64(len(prob)), threshold/(1-threshold)
	return (float64(k.TP) - odds*float64(k.FP)) / n, (float64(k.TP+k.FN) - odds*float64(k.FP+k.TN)) / n, true
}
