package metric

import "cmp"

// AUC returns the area under the ROC curve: the probability that a positive scores higher than a negative,
// where ties count half (Mann-Whitney statistic). Without a positive or without a negative it is not defined,
// and ok is false.
func AUC(scores []float64, positive []bool) (auc float64, ok bool) {
	order := ascending(scores)
	// negatives with lower scores so far; twice the number of pairs won, where a tie counts one
	var below, wins int64
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

// MacroAUC returns the mean of the labels' AUCs, each against the rest. It leaves out labels that all samples
// have, or none; it is not defined if no label remains.
func (p *Predictions) MacroAUC() (float64, bool) { return p.mean(p.AUC) }
