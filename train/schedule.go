package train

import "math"

// Schedule gives the learning rate of a step, counted from 0.
type Schedule func(step int) float64

// Constant rises linearly to peak over the first warmUp steps and stays there. The state after some epochs then
// does not depend on how many follow. An Average replaces a falling rate.
func Constant(peak float64, warmUp int) Schedule {
	return func(step int) float64 { return peak * min(float64(step+1)/float64(max(warmUp, 1)), 1) }
}

// Cosine rises linearly to peak over the first warmUp steps, then falls along half a cosine to low at step
// total (arXiv 1608.03983, without restarts).
func Cosine(peak, low float64, warmUp, total int) Schedule {
	return func(step int) float64 {
		if step < warmUp {
			return peak * float64(step+1) / float64(warmUp)
		}
		if step >= total {
			return low
		}
		done := float64(step-warmUp) / float64(max(total-warmUp, 1))
		return low + (peak-low)*(1+math.Cos(math.Pi*done))/2
	}
}
