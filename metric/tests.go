package metric

import (
	"math"
	"slices"
)

// Holm adjusts p-values for multiple testing, so that the probability of any false positive is bounded (Holm
// 1979). NaN values stay NaN and are not counted.
func Holm(p []float64) []float64 {
	out, order := slices.Clone(p), ascending(p)
	order = slices.DeleteFunc(order, func(i int) bool { return math.IsNaN(p[i]) })
	before := 0.0
	for k, i := range order {
		before = max(before, min(1, float64(len(order)-k)*p[i]))
		out[i] = before
	}
	return out
}

// CorrectedFolds returns the mean of results of folds with its interval, by the corrected resampled t-test of
// Nadeau and Bengio (Machine Learning 2003). share is the number of test images divided by that of training
// images. Folds train on largely the same images, so their variance alone would give intervals that are too
// narrow. P is that of the mean being 0. It is not defined for fewer than two values.
func CorrectedFolds(values []float64, share, level float64) Estimate {
	n := float64(len(values))
	if n < 2 {
		return Estimate{}
	}
	mean, square := 0.0, 0.0
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		square += (v - mean) * (v - mean)
	}
	e := Estimate{Value: mean, Defined: true, P: 1}
	se := math.Sqrt((1/n + share) * square / (n - 1))
	if se > 0 {
		half := studentQuantile((1+level)/2, n-1) * se
		e.Low, e.High, e.Bounded = mean-half, mean+half, true
		e.P = 2 * studentTail(math.Abs(mean)/se, n-1)
	}
	return e
}
