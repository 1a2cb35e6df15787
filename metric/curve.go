package metric

import (
	"cmp"
	"math"
	"slices"
)

// Point is one operating point: scores of at least Threshold count as positive.
type Point struct {
	Threshold float64
	Counts
}

// Curve lists the operating points of scores, from no positives (a threshold of +Inf) to all positives, one for
// each distinct score. It contains the ROC curve (Sensitivity against 1 - Specificity) and the precision-recall
// curve (Precision against Sensitivity).
type Curve []Point

// ascending returns the indices of scores in ascending order.
func ascending(scores []float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	return order
}

// NewCurve returns the curve of scores, which must not be NaN.
func NewCurve(scores []float64, positive []bool) Curve {
	p := Point{Threshold: math.Inf(1)}
	for _, yes := range positive {
		if yes {
			p.FN++
		} else {
			p.TN++
		}
	}
	c := Curve{p}
	order := ascending(scores)
	for k := len(order) - 1; k >= 0; k-- {
		i := order[k]
		if scores[i] != p.Threshold {
			if k < len(order)-1 {
				c = append(c, p)
			}
			p.Threshold = scores[i]
		}
		if positive[i] {
			p.TP, p.FN = p.TP+1, p.FN-1
		} else {
			p.FP, p.TN = p.FP+1, p.TN-1
		}
	}
	if len(order) > 0 {
		c = append(c, p)
	}
	return c
}

// classes returns the numbers of positives and negatives.
func (c Curve) classes() (positives, negatives int) {
	return c[0].TP + c[0].FN, c[0].FP + c[0].TN
}

// AveragePrecision returns the area under the precision-recall curve as a step sum: precision times the
// increase in sensitivity. It is not defined without positives.
func (c Curve) AveragePrecision() (float64, bool) {
	positives, _ := c.classes()
	if positives == 0 {
		return 0, false
	}
	sum := 0.0
	for i := 1; i < len(c); i++ {
		precision, _ := c[i].Precision()
		sum += precision * float64(c[i].TP-c[i-1].TP)
	}
	return sum / float64(positives), true
}

// AtSpecificity returns the index of the point with the highest sensitivity whose specificity is at least
// least; in case of a tie, the one with the highest specificity. It is not defined without a positive or
// without a negative.
func (c Curve) AtSpecificity(least float64) (int, bool) {
	if p, n := c.classes(); p == 0 || n == 0 {
		return 0, false
	}
	best := 0
	for i := range c {
		if s, _ := c[i].Specificity(); s < least {
			break
		}
		if c[i].TP > c[best].TP {
			best = i
		}
	}
	return best, true
}

// AtSensitivity returns the index of the point with the highest specificity whose sensitivity is at least
// least; in case of a tie, the one with the highest sensitivity. It is not defined without a positive or
// without a negative.
func (c Curve) AtSensitivity(least float64) (int, bool) {
	if p, n := c.classes(); p == 0 || n == 0 {
		return 0, false
	}
	best := len(c) - 1
	for i := len(c) - 1; i >= 0; i-- {
		if s, _ := c[i].Sensitivity(); s < least {
			break
		}
		if c[i].TN > c[best].TN {
			best = i
		}
	}
	return best, true
}

// Youden returns the index of the point that maximises sensitivity + specificity (Youden 1950), the first in
// case of a tie. It is not defined without a positive or without a negative.
func (c Curve) Youden() (int, bool) {
	positives, negatives := c.classes()
	if positives == 0 || negatives == 0 {
		return 0, false
	}
	best, most := 0, int64(math.MinInt64)
	for i := 1; i < len(c); i++ { // a threshold of +Inf is no useful decision
		// Compare the sums over a common denominator, so that ties are exact.
		if j := int64(c[i].TP)*int64(negatives) - int64(c[i].FP)*int64(positives); j > most {
			best, most = i, j
		}
	}
	return best, true
}

// Between returns a threshold with the decisions of point i, halfway to the next lower score. So a score that
// is recomputed, and differs by rounding, is decided the same way.
func (c Curve) Between(i int) float64 {
	if i == 0 || i == len(c)-1 {
		return c[i].Threshold
	}
	low, high := c[i+1].Threshold, c[i].Threshold
	if mid := low + (high-low)/2; mid > low && mid <= high {
		return mid
	}
	return high
}
