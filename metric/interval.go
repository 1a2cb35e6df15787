package metric

import "math"

// wilson returns Wilson's score interval of a proportion p of n, which need not be an integer, at z standard
// deviations.
func wilson(p, n, z float64) (low, high float64) {
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(max(0, p*(1-p)/n)+z*z/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

// hanley returns the variance of an AUC with m positives and n negatives by Hanley and McNeil (Radiology 1982),
// with the symmetrical sizes of Newcombe's fifth method (Statistics in Medicine 2006).
func hanley(auc, m, n float64) float64 {
	size := (m+n)/2 - 1
	return auc * (1 - auc) / (m * n) * (1 + size*(1-auc)/(2-auc) + size*auc/(1+auc))
}

// rankInterval returns a score interval: the AUCs that are at most z of their own standard deviations from the
// observed one. Their variance is ratio times Hanley's. The interval has a positive width even if all pairs are
// ranked correctly.
func rankInterval(auc, m, n, ratio, z float64) (low, high float64) {
	far := func(theta float64) bool {
		return math.Abs(auc-theta) > z*math.Sqrt(ratio*hanley(theta, m, n))
	}
	end := func(out float64) float64 {
		in := auc
		if !far(out) {
			return out
		}
		for range 60 {
			if mid := (in + out) / 2; far(mid) {
				out = mid
			} else {
				in = mid
			}
		}
		return in
	}
	return end(0), end(1)
}

// logitInterval returns the interval of a proportion from its variance, with a normal distribution on the logit
// scale.
func logitInterval(p, variance, z float64) (low, high float64) {
	middle, half := math.Log(p/(1-p)), z*math.Sqrt(variance)/(p*(1-p))
	return 1 / (1 + math.Exp(half-middle)), 1 / (1 + math.Exp(-half-middle))
}
