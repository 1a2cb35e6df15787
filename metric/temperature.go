package metric

import "math"

// The range of temperatures to search. Beyond it the samples do not determine one: with a lower temperature the
// classes are (nearly) separated, with a higher one the logits carry no information.
const (
	MinTemperature = 0.05
	MaxTemperature = 20
)

// SoftmaxTemperature returns the temperature T that minimises the log loss of softmax(logits/T) (Guo et al.,
// arXiv 1706.04599). Logits are [n, classes]; class holds the true class of each sample. If there is no minimum
// between MinTemperature and MaxTemperature, it returns 1, and ok is false.
func SoftmaxTemperature(logits []float32, classes int, class []int) (t float64, ok bool) {
	p := make([]float64, classes)
	return temperature(func(beta float64) (slope, curvature float64) {
		for i, truth := range class {
			row := logits[i*classes : (i+1)*classes]
			top := math.Inf(-1)
			for _, z := range row {
				top = max(top, beta*float64(z))
			}
			sum := 0.0
			for k, z := range row {
				p[k] = math.Exp(beta*float64(z) - top)
				sum += p[k]
			}
			mean, square := 0.0, 0.0 // mean and mean square, under the model, of the logit minus the true one
			for k, z := range row {
				d := float64(z) - float64(row[truth])
				mean += p[k] / sum * d
				square += p[k] / sum * d * d
			}
			slope += mean
			curvature += square - mean*mean
		}
		return slope, curvature
	})
}

// SigmoidTemperature is SoftmaxTemperature for a single label: 1/(1+exp(-logit/T)). It also returns false
// without a positive or without a negative.
func SigmoidTemperature(logits []float32, positive []bool) (t float64, ok bool) {
	positives := 0
	for _, yes := range positive {
		if yes {
			positives++
		}
	}
	if positives == 0 || positives == len(positive) {
		return 1, false
	}
	return temperature(func(beta float64) (slope, curvature float64) {
		for i, logit := range logits {
			z := float64(logit)
			p := 1 / (1 + math.Exp(-beta*z))
			curvature += z * z * p * (1 - p)
			if positive[i] {
				p--
			}
			slope += z * p
		}
		return slope, curvature
	})
}

// temperature finds 1/beta at which the derivative of the loss with respect to beta is zero. The loss is convex
// in beta, so the derivative increases. It uses Newton's method within a bracket that shrinks with every step.
func temperature(loss func(beta float64) (slope, curvature float64)) (float64, bool) {
	low, high := 1.0/MaxTemperature, 1.0/MinTemperature
	if slope, _ := loss(low); !(slope < 0) {
		return 1, false
	}
	if slope, _ := loss(high); !(slope > 0) {
		return 1, false
	}
	const steps = 200 // bisection alone needs 60
	beta := 1.0
	for range steps {
		slope, curvature := loss(beta)
		switch {
		case slope < 0:
			low = beta
		case slope > 0:
			high = beta
		default:
			return 1 / beta, true
		}
		next := beta - slope/curvature
		if !(next > low && next < high) {
			next = math.Sqrt(low * high)
		}
		if math.Abs(next-beta) <= 1e-14*beta || next <= low || next >= high {
			return 1 / next, true
		}
		beta = next
	}
	return 1 / beta, true
}
