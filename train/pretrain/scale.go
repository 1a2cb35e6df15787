package pretrain

import "math"

// scale gives targets mean 0 and variance 1.
type scale struct{ mean, gain []float32 }

// calibration is how many images tell how targets are spread. They are none of those that are trained on.
const calibration = 1024

// calibrate finds mean and spread of each target; those of patches are shared by all patches.
func (d *Data) calibrate() *scale {
	g, n := d.Global(), d.Outputs()
	all := make([]float32, calibration*n)
	each(d.workers, calibration, func(a *artist, i int) {
		d.targets(a, all[i*n:(i+1)*n], math.MaxUint64-uint64(i))
	})
	kind := func(i int) int { // of target i
		if i < g {
			return i
		}
		return g + (i-g)%localSize
	}
	sums, squares, count := make([]float64, g+localSize), make([]float64, g+localSize), make([]float64, g+localSize)
	for i, v := range all {
		k := kind(i % n)
		sums[k], squares[k], count[k] = sums[k]+float64(v), squares[k]+float64(v)*float64(v), count[k]+1
	}
	s := &scale{mean: make([]float32, n), gain: make([]float32, n)}
	for i := range n {
		k := kind(i)
		mean := sums[k] / count[k]
		s.mean[i] = float32(mean)
		s.gain[i] = float32(1 / math.Sqrt(max(squares[k]/count[k]-mean*mean, 1e-6)))
	}
	return s
}

// limit bounds targets: a rare image must not decide a step.
const limit = 5

// apply scales the targets of an image.
func (s *scale) apply(target []float32) {
	for k, v := range target {
		target[k] = min(max((v-s.mean[k])*s.gain[k], -limit), limit)
	}
}
