package metric

import "math"

// Recalibration is a logistic regression of the truth on the logit of a probability (Cox 1958; Van Calster et
// al., BMC Medicine 2019). A slope below 1 means that probabilities are too extreme. A calibration in the large
// above 0 means that they are too low on average.
type Recalibration struct {
	Slope, Intercept Estimate // of the regression
	InTheLarge       Estimate // the intercept with slope fixed to 1
}

// logitEdge is the distance that is kept from probabilities 0 and 1, whose logit is infinite.
const logitEdge = 0x1p-40

// Recalibrate fits by maximum likelihood. Intervals are Wald's with Student's quantile over units (nil: every
// sample) and White's sandwich variance. If classes are perfectly separated, or one is missing, nothing is
// defined.
func Recalibrate(prob []float64, truth []bool, units [][]int, level float64) Recalibration {
	if units == nil {
		units = singles(len(prob))
	}
	x := make([]float64, len(prob))
	for i, p := range prob {
		p = min(max(p, logitEdge), 1-logitEdge)
		x[i] = math.Log(p / (1 - p))
	}
	var r Recalibration
	t := studentQuantile((1+level)/2, float64(max(len(units)-1, 1)))
	few := len(units) < enoughLosses
	put := func(e *Estimate, v, se float64) {
		*e = Estimate{Value: v, Defined: true, Low: v - t*se, High: v + t*se, Bounded: se > 0, Approximate: few}
	}
	if at, se, ok := logistic(x, truth, units, true); ok {
		put(&r.Intercept, at[0], se[0])
		put(&r.Slope, at[1], se[1])
	}
	if at, se, ok := logistic(x, truth, units, false); ok {
		put(&r.InTheLarge, at[0], se[0])
	}
	return r
}

// logistic fits intercept and slope of x, or the intercept with slope 1, by Newton's method. It returns them
// with their standard errors over units.
func logistic(x []float64, truth []bool, units [][]int, slope bool) (at, se [2]float64, ok bool) {
	at[1] = 1
	target := func(i int) float64 {
		if truth[i] {
			return 1
		}
		return 0
	}
	var aa, ab, bb float64 // the information matrix
	for step := range 100 {
		var ga, gb float64
		aa, ab, bb = 0, 0, 0
		for i, v := range x {
			p := 1 / (1 + math.Exp(-at[0]-at[1]*v))
			w, d := p*(1-p), target(i)-p
			ga, gb = ga+d, gb+d*v
			aa, ab, bb = aa+w, ab+w*v, bb+w*v*v
		}
		if !slope {
			ab, bb, gb = 0, 1, 0
		}
		det := aa*bb - ab*ab
		if !(det > 1e-12*aa*bb) || aa < 1e-9 {
			return at, se, false
		}
		da, db := (bb*ga-ab*gb)/det, (aa*gb-ab*ga)/det
		at[0], at[1] = at[0]+da, at[1]+db
		if !(math.Abs(at[0]) < 50 && math.Abs(at[1]) < 50) {
			return at, se, false // perfectly separated: there is no maximum
		}
		if math.Abs(da)+math.Abs(db) < 1e-12 {
			break
		}
		if step == 99 {
			return at, se, false
		}
	}
	det := aa*bb - ab*ab
	for _, u := range units {
		var ga, gb float64
		for _, i := range u {
			d := target(i) - 1/(1+math.Exp(-at[0]-at[1]*x[i]))
			ga, gb = ga+d, gb+d*x[i]
		}
		if !slope {
			gb = 0
		}
		za, zb := (bb*ga-ab*gb)/det, (aa*gb-ab*ga)/det
		se[0], se[1] = se[0]+za*za, se[1]+zb*zb
	}
	f := unbiased(len(units))
	se[0], se[1] = math.Sqrt(f*se[0]), math.Sqrt(f*se[1])
	return at, se, true
}
