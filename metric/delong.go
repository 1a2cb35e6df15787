package metric

import "math"

// placements are the contributions of single samples to an AUC (DeLong, DeLong, Clarke-Pearson, Biometrics
// 1988): for each positive the proportion of negatives with a lower score, for each negative the proportion of
// positives with a higher score, where ties count half.
type placements struct {
	auc                float64
	positive, negative []float64
}

// place computes the placements by ranks (Sun and Xu, IEEE Signal Processing Letters 2014). They are not defined
// without a positive or without a negative.
func place(scores []float64, positive []bool) (placements, bool) {
	var pos, neg []float64
	for i, s := range scores {
		if positive[i] {
			pos = append(pos, s)
		} else {
			neg = append(neg, s)
		}
	}
	m, n := len(pos), len(neg)
	if m == 0 || n == 0 {
		return placements{}, false
	}
	all := midranks(append(append([]float64(nil), pos...), neg...))
	amongPos, amongNeg := midranks(pos), midranks(neg)
	p := placements{positive: make([]float64, m), negative: make([]float64, n)}
	for i := range pos {
		p.positive[i] = (all[i] - amongPos[i]) / float64(n)
		p.auc += p.positive[i]
	}
	for j := range neg {
		p.negative[j] = 1 - (all[m+j]-amongNeg[j])/float64(m)
	}
	p.auc /= float64(m)
	return p, true
}

// midranks returns the ranks of values, from 1. Equal values share the mean of their ranks.
func midranks(values []float64) []float64 {
	order, ranks := ascending(values), make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}

// covariance returns the covariance of two lists of equal length around the given means, with denominator n-1.
func covariance(a, b []float64, meanA, meanB float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - meanA) * (b[i] - meanB)
	}
	return sum / float64(len(a)-1)
}

// DeLong returns an AUC and the estimate of its variance by DeLong et al. (1988), which assumes that samples
// are independent. It is not defined with fewer than two positives or two negatives.
func DeLong(scores []float64, positive []bool) (auc, variance float64, ok bool) {
	p, ok := place(scores, positive)
	if !ok || len(p.positive) < 2 || len(p.negative) < 2 {
		return 0, 0, false
	}
	return p.auc, jointVariance(p, p), true
}

// jointVariance estimates the covariance of two AUCs on the same samples.
func jointVariance(a, b placements) float64 {
	return covariance(a.positive, b.positive, a.auc, b.auc)/float64(len(a.positive)) +
		covariance(a.negative, b.negative, a.auc, b.auc)/float64(len(a.negative))
}

// DeLongInterval returns the confidence interval of an AUC at a level such as 0.95, by DeLong's variance and
// the normal distribution, clipped to [0, 1].
func DeLongInterval(scores []float64, positive []bool, level float64) (low, high float64, ok bool) {
	auc, variance, ok := DeLong(scores, positive)
	if !ok {
		return 0, 0, false
	}
	half := math.Sqrt2 * math.Erfinv(level) * math.Sqrt(variance)
	return max(0, auc-half), min(1, auc+half), true
}

// DeLongTest compares the AUCs of two scores on the same samples. It returns their difference a - b and its
// two-sided p-value. It is not defined with fewer than two positives or two negatives, or if the AUCs differ
// but have no variance.
func DeLongTest(a, b []float64, positive []bool) (difference, p float64, ok bool) {
	pa, okA := place(a, positive)
	pb, okB := place(b, positive)
	if !okA || !okB || len(pa.positive) < 2 || len(pa.negative) < 2 {
		return 0, 0, false
	}
	difference = pa.auc - pb.auc
	variance := jointVariance(pa, pa) + jointVariance(pb, pb) - 2*jointVariance(pa, pb)
	switch {
	case difference == 0:
		return 0, 1, true
	case variance <= 0:
		return 0, 0, false
	}
	return difference, math.Erfc(math.Abs(difference) / math.Sqrt(2*variance)), true
}
