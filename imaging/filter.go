package imaging

import "math"

// The interpolations of [Recipe], named as in Pillow and torchvision.
const (
	Box      = "box"
	Bilinear = "bilinear"
	Hamming  = "hamming"
	Bicubic  = "bicubic"
	Lanczos  = "lanczos"
)

// filter is a resampling kernel: zero outside [-support, support].
type filter struct {
	name    string
	support float64
	weight  func(x float64) float64
}

var filters = [...]filter{
	{Box, 0.5, boxWeight}, {Bilinear, 1, bilinearWeight}, {Hamming, 1, hammingWeight}, {Bicubic, 2, bicubicWeight},
	{Lanczos, 3, lanczosWeight},
}

// filterByName returns the filter of a name, or nil.
func filterByName(name string) *filter {
	for i := range filters {
		if filters[i].name == name {
			return &filters[i]
		}
	}
	return nil
}

// float64(...) around products in these functions prevents the compiler from fusing them with the addition,
// which would change the last bit compared with Pillow on some machines.

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

// axis holds the weights that resample one dimension. Output i, counted from the start of the requested window,
// is the weighted sum of taps[i] input samples from first[i] on.
type axis struct {
	in, out  int // full sizes
	off, n   int // requested window of the output
	how      resampling
	ksize    int // maximum number of taps
	first    []int
	taps     []int
	fixed    []int32 // n x ksize weights with bits fractional bits, for 8-bit samples
	bits     uint
	weights  []float64 // n x ksize weights, for 16-bit samples
	identity bool      // sizes are equal: nothing to compute
}

// fixedBits is the number of fractional bits of Pillow's weights: 32 minus 8 for the sample and 2 for
// overshoot.
const fixedBits = 32 - 8 - 2

// set computes the weights as Pillow does (Resample.c, precompute_coeffs and normalize_coeffs_8bpc). When
// shrinking, the filter is widened by the scale, so that it averages all samples it covers.
func (a *axis) set(how resampling, in, out, off, n int) {
	if a.how == how && a.in == in && a.out == out && a.off == off && a.n == n {
		return
	}
	a.how, a.in, a.out, a.off, a.n = how, in, out, off, n
	if a.identity = in == out; a.identity {
		return
	}
	f := filterByName(how.interpolation)
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
	a.bits = fixedBits
	if how.narrow {
		a.bits = narrowBits(f, in, out)
	}
	for i, w := range a.weights {
		a.fixed[i] = int32(math.Copysign(0.5, w) + float64(w*float64(int(1)<<a.bits)))
	}
}

// half is added to round a sum of fixed-point weights.
func (a *axis) half() int32 { return 1 << (a.bits - 1) }

// narrowBits returns the number of fractional bits of torchvision's weights for byte tensors: the maximum for
// which the largest weight of the whole axis fits 16 bits.
func narrowBits(f *filter, in, out int) uint {
	var all axis
	all.set(resampling{interpolation: f.name}, in, out, 0, out)
	largest := 0.0
	for _, w := range all.weights {
		largest = max(largest, w)
	}
	bits := uint(0)
	for bits < fixedBits && int(0.5+largest*float64(int(1)<<(bits+1))) < 1<<15 {
		bits++
	}
	return bits
}

// setWeights sets row i: the filter at its taps, step apart around center, normalised to sum 1.
func (a *axis) setWeights(i int, f *filter, center, step float64) {
	w := a.weights[i*a.ksize:][:a.taps[i]]
	sum := 0.0
	for x := range w {
		w[x] = f.weight((float64(a.first[i]+x) - center + 0.5) * step)
		sum += w[x]
	}
	for x := range w {
		if sum != 0 {
			w[x] /= sum
		}
	}
	clear(a.weights[i*a.ksize+len(w) : (i+1)*a.ksize])
}

func clip8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below the range, 255 above
	}
	return uint8(v)
}
