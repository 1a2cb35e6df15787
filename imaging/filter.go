package imaging

import "math"

// The interpolations of [Recipe], with the names that Pillow and torchvision use.
const (
	Box      = "box"
	Bilinear = "bilinear"
	Hamming  = "hamming"
	Bicubic  = "bicubic"
	Lanczos  = "lanczos"
)

// filter is a resampling kernel: zero outside [-support, support].
type filter struct {
	support float64
	weight  func(x float64) float64
}

// filterByName returns nil for an unknown name.
func filterByName(name string) *filter {
	switch name {
	case Box:
		return &filter{0.5, boxWeight}
	case Bilinear:
		return &filter{1, bilinearWeight}
	case Hamming:
		return &filter{1, hammingWeight}
	case Bicubic:
		return &filter{2, bicubicWeight}
	case Lanczos:
		return &filter{3, lanczosWeight}
	}
	return nil
}

// The products in these functions are wrapped in float64(...), which forbids the compiler to fuse them
// with the addition: a fused result would differ from Pillow's in the last bit on some machines.

func boxWeight(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func bilinearWeight(x float64) float64 {
	if x = math.Abs(x); x < 1 {
		return 1 - x
	}
	return 0
}

func hammingWeight(x float64) float64 {
	x = math.Abs(x)
	if x == 0 {
		return 1
	}
	if x >= 1 {
		return 0
	}
	x *= math.Pi
	const a, b = float32(0.54), float32(0.46) // single precision, as in Pillow
	return math.Sin(x) / x * (float64(a) + float64(float64(b)*math.Cos(x)))
}

// bicubicWeight is the Catmull-Rom cubic, a = -0.5.
func bicubicWeight(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	if x < 1 {
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	}
	if x < 2 {
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}

func lanczosWeight(x float64) float64 {
	if x >= -3 && x < 3 {
		return sinc(x) * sinc(x/3)
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// axis holds the weights that resample one dimension: output i, counted from the start of the wanted
// window, is the sum of taps[i] input samples from first[i] on.
type axis struct {
	in, out  int    // full sizes
	off, n   int    // the window of the output that is wanted
	interp   string // name of the filter
	ksize    int    // greatest number of taps
	first    []int
	taps     []int
	fixed    []int32   // n x ksize weights with 22 fractional bits, for 8-bit samples
	weights  []float64 // n x ksize weights, for 16-bit samples
	identity bool      // the sizes agree: nothing to compute
}

// fixedBits are the fractional bits of Pillow's weights: 32 less 8 for the sample and 2 for overshoot.
const fixedBits = 32 - 8 - 2

// set computes the weights as Pillow does (Resample.c, precompute_coeffs and normalize_coeffs_8bpc):
// when shrinking, the filter is widened by the scale, so that it averages all samples it covers.
func (a *axis) set(interp string, in, out, off, n int) {
	if a.interp == interp && a.in == in && a.out == out && a.off == off && a.n == n {
		return
	}
	a.interp, a.in, a.out, a.off, a.n = interp, in, out, off, n
	if a.identity = in == out; a.identity {
		return
	}
	f := filterByName(interp)
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := float64(f.support * stretch)
	a.ksize = int(math.Ceil(support))*2 + 1
	a.first, a.taps = resized(a.first, n), resized(a.taps, n)
	a.fixed, a.weights = resized(a.fixed, n*a.ksize), resized(a.weights, n*a.ksize)
	for i := range n {
		center := float64((float64(off+i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		a.first[i], a.taps[i] = lo, hi-lo
		a.setWeights(i, f, center, 1/stretch)
	}
}

// setWeights fills row i: the filter at its taps, step apart around center, normalised to sum 1.
func (a *axis) setWeights(i int, f *filter, center, step float64) {
	w := a.weights[i*a.ksize:][:a.taps[i]]
	sum := 0.0
	for x := range w {
		w[x] = f.weight((float64(a.first[i]+x) - center + 0.5) * step)
		sum += w[x]
	}
	fixed := a.fixed[i*a.ksize:][:len(w)]
	for x := range w {
		if sum != 0 {
			w[x] /= sum
		}
		fixed[x] = int32(math.Copysign(0.5, w[x]) + float64(w[x]*(1<<fixedBits)))
	}
}
