package metric

import "cmp"

// AUC returns the area under the ROC curve: the probability that a positive scores higher than a negative,
// ties counting half (the statistic of Mann and Whitney). It is not defined, and ok is false, without a
// positive or without a negative.
func AUC(scores []float64, positive []bool) (auc float64, ok bool) {
	order := ascending(scores)
	var below, wins int64 // negatives scored lower so far; twice the pairs won, a tie being one
	var positives int64
	for i := 0; i < len(order); {
		var pos, neg int64
		for s := scores[order[i]]; i < len(order) && cmp.Compare(scores[order[i]], s) == 0; i++ {
			if positive[order[i]] {
				pos++
			} else {
				neg++
			}
		}
		wins += pos * (2*below + neg)
		below += neg
		positives += pos
	}
	if positives == 0 || below == 0 {
		return 0, false
	}
	return float64(wins) / float64(2*positives*below), true
}

// AUC returns the area under the ROC curve of one label against the rest.
func (p *Predictions) AUC(label int) (float64, bool) { return AUC(p.Column(label)) }

// MacroAUC returns the mean of the labels' areas, one against the rest. Labels that all samples have or
// lack are left out; it is not defined if those are all.
func (p *Predictions) MacroAUC() (float64, bool) { return p.mean(p.AUC) }
