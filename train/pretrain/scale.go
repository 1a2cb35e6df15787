package pretrain

import "math"

// scale makes targets alike in size, those of an image also nearly uncorrelated: most of what describes an image follows
// the strength of its edges, and the rest would count for little.
type scale struct {
	global     int
	mean, gain []float32
	lower      []float64 // L of L Lᵀ = covariance of the global targets + ridge [global, global]
	even       float64   // makes the mean variance of global targets 1
}

// calibration is how many images tell how targets are spread. They are none of those that are trained on.
const calibration = 1536

// ridge is the variance, of 1 for each target, below which a direction of the global targets counts less.
const ridge = 0.2

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
	s := &scale{global: g, mean: make([]float32, n), gain: make([]float32, n)}
	for i := range n {
		k := kind(i)
		mean := sums[k] / count[k]
		s.mean[i] = float32(mean)
		s.gain[i] = float32(1 / math.Sqrt(max(squares[k]/count[k]-mean*mean, 1e-6)))
	}
	s.decorrelate(all, n)
	return s
}

// decorrelate finds the covariance of the global targets of images [calibration, n].
func (s *scale) decorrelate(all []float32, n int) {
	g := s.global
	cov, x := make([]float64, g*g), make([]float64, g)
	for i := range calibration {
		for k := range g {
			x[k] = s.standard(k, all[i*n+k])
		}
		for r, v := range x {
			out := cov[r*g:][:r+1]
			for c := range out {
				out[c] += v * x[c] / calibration
			}
		}
	}
	for r := range g {
		cov[r*g+r] += ridge
	}
	if !cholesky(cov, g) {
		panic("pretrain: a covariance has no root") // it is positive definite by the ridge
	}
	s.lower, s.even = cov, 1
	var sum float64
	for i := range calibration {
		target := all[i*n:][:g]
		s.apply(all[i*n : (i+1)*n])
		for _, v := range target {
			sum += float64(v) * float64(v)
		}
	}
	s.even = math.Sqrt(float64(calibration*g) / sum)
}

// limit bounds targets: a rare image must not decide a step.
const limit = 5

// standard is target k with mean 0 and variance 1.
func (s *scale) standard(k int, v float32) float64 {
	return float64(min(max((v-s.mean[k])*s.gain[k], -limit), limit))
}

// apply scales the targets of an image.
func (s *scale) apply(target []float32) {
	g := s.global
	x := make([]float64, g)
	for r := range g { // L x = standardised targets
		v := s.standard(r, target[r])
		row := s.lower[r*g:][:r]
		for c, l := range row {
			v -= l * x[c]
		}
		x[r] = v / s.lower[r*g+r]
		target[r] = float32(x[r] * s.even)
	}
	for k := g; k < len(target); k++ {
		target[k] = float32(s.standard(k, target[k]))
	}
}
