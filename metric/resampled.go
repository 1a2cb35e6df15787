package metric

import "math"

// CorrectedResampled tests differences between two methods over trainings on overlapping parts of the same
// data, such as the folds of cross-validation. It uses the corrected resampled t-test of Nadeau and Bengio
// (Inference for the generalization error, 2003): the variance of the mean of J differences is (1/J + ratio)
// times their variance, where ratio is the number of test images divided by the number of training images.
// Without the correction, folds would be treated as independent experiments.
//
// There is no interval for a single difference, or if all differences are equal.
func CorrectedResampled(differences []float64, ratio, level float64) Estimate {
	n := float64(len(differences))
	if n == 0 || !(ratio >= 0) {
		return Estimate{}
	}
	mean, square := 0.0, 0.0
	for _, d := range differences {
		mean += d / n
	}
	for _, d := range differences {
		square += (d - mean) * (d - mean)
	}
	out := Estimate{Defined: true, Value: mean, P: 1}
	if n < 2 || square <= 1e-24*n {
		return out
	}
	se := math.Sqrt((1/n + ratio) * square / (n - 1))
	wide := studentQuantile((1+level)/2, n-1) * se
	out.Low, out.High, out.Bounded = mean-wide, mean+wide, true
	out.P = 2 * studentTail(math.Abs(mean)/se, n-1)
	return out
}
