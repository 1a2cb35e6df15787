package kernel

import "math"

// Functions over slices, each for the kernel set in use. Unless stated otherwise, the first argument is the
// result and may be the same slice as another argument. One argument determines the length; the others have at
// least as many elements. Every element is computed by the same operations wherever it is in the slice.

// AddTo adds x to dst.
func AddTo(dst, x []float32) { Add(dst, dst, x) }

// Add sets dst = a + b. The length is that of b.
func Add(dst, a, b []float32) {
	n := len(b)
	if !fast() {
		plainAdd(dst, a, b)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(a, n), ptr(b, n)}}
	o.run(vecAdd, n, 1)
}

// Axpy adds s*x to dst.
func Axpy(dst, x []float32, s float32) {
	n := len(x)
	if !fast() {
		plainAxpy(dst, x, s)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(x, n)}, s: [10]float32{s}}
	o.run(vecAxpy, n, 1)
}

// Scale sets dst = s*x.
func Scale(dst, x []float32, s float32) {
	n := len(x)
	if !fast() {
		plainScale(dst, x, s)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(x, n)}, s: [10]float32{s}}
	o.run(vecScale, n, 1)
}

// Mul sets dst = a*b element by element.
func Mul(dst, a, b []float32) {
	n := len(a)
	if !fast() {
		plainMul(dst, a, b)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(a, n), ptr(b, n)}}
	o.run(vecMul, n, 1)
}

// MulAddTo adds a*b to dst element by element.
func MulAddTo(dst, a, b []float32) { MulAdd(dst, a, b, dst) }

// MulAdd sets dst = a*b + c element by element. Vector kernels round only once.
func MulAdd(dst, a, b, c []float32) {
	n := len(a)
	if !fast() {
		plainMulAdd(dst, a, b, c)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(a, n), ptr(b, n), ptr(c, n)}}
	o.run(vecMulAdd, n, 1)
}

// Dot returns the sum of a*b. Vector i of the operands is added to partial sum i mod 4, element by element. The
// partial sums are added pairwise at the end.
func Dot(a, b []float32) float32 {
	n := len(a)
	if !fast() {
		return plainDot(a, b)
	}
	o := operands{p: [5]*float32{ptr(a, n), ptr(b, n)}}
	s := o.reduce(vecDot, n, 0)
	return float32(s.total(0))
}

// Activate sets dst = act(x). Against float64, the relative error of the vector kernels is at most 6 u (u =
// 2^-24) for GELUErf. For GELUTanh and GELUQuick it is at most 4 u where x is positive and 4(1+|z|) u where it
// is not, z being the argument of the sigmoid. Results smaller than 1e-36 in magnitude may become 0. -Inf gives
// 0.
func Activate(dst, x []float32, act Activation) {
	n := len(x)
	op := vecGeluErf
	switch {
	case act == Identity:
		copy(dst, x)
		return
	case !fast():
		plainActivate(dst, x, act)
		return
	case act == GELUTanh:
		op = vecGeluTanh
	case act == GELUQuick:
		op = vecGeluQuick
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(x, n)}}
	o.run(op, n, 1)
}

// ActivateGrad sets dx = dy * act'(x). The error of act' is at most 4 u.
func ActivateGrad(dx, dy, x []float32, act Activation) {
	n := len(x)
	op := vecGeluErfGrad
	switch {
	case act == Identity:
		copy(dx, dy[:n])
		return
	case !fast():
		plainActivateGrad(dx, dy, x, act)
		return
	case act == GELUTanh:
		op = vecGeluTanhGrad
	case act == GELUQuick:
		op = vecGeluQuickGrad
	}
	o := operands{p: [5]*float32{ptr(dx, n), ptr(dy, n), ptr(x, n)}}
	o.run(op, n, 1)
}

// SwiGLU sets dst = silu(gate) * up, where silu(x) = x*sigmoid(x).
func SwiGLU(dst, gate, up []float32) {
	n := len(gate)
	if !fast() {
		plainSwiGLU(dst, gate, up)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(gate, n), ptr(up, n)}}
	o.run(vecSwiglu, n, 1)
}

// SwiGLUGrad sets the gradients of gate and up from dy. The length is that of gate.
func SwiGLUGrad(dgate, dup, dy, gate, up []float32) {
	n := len(gate)
	if !fast() {
		plainSwiGLUGrad(dgate, dup, dy, gate, up)
		return
	}
	o := operands{p: [5]*float32{ptr(dgate, n), ptr(dup, n), ptr(dy, n), ptr(gate, n), ptr(up, n)}}
	o.run(vecSwigluGrad, n, 2)
}

// LayerNorm normalises x into dst and returns the row's mean and reciprocal standard deviation. It computes the
// mean first, then the mean square of the deviations. Both come from float32 partial sums (one per lane of four
// vectors) that are added pairwise.
func LayerNorm(dst, x, gain, bias []float32, eps float32) (mean, rstd float32) {
	n := len(x)
	if !fast() {
		mean, rstd = plainMoments(x, eps)
	} else if n > 0 {
		o := operands{p: [5]*float32{ptr(x, n)}}
		s := o.reduce(vecSum, n, 0)
		mean = float32(s.total(0) / float64(n))
		o.s[0] = mean
		s = o.reduce(vecSquares, n, mean)
		rstd = float32(1 / math.Sqrt(s.total(0)/float64(n)+float64(eps)))
	}
	LayerNormApply(dst, x, gain, bias, mean, rstd)
	return mean, rstd
}

// LayerNormApply repeats LayerNorm with known statistics: dst = (x - mean)*rstd*gain + bias.
func LayerNormApply(dst, x, gain, bias []float32, mean, rstd float32) {
	n := len(x)
	if !fast() {
		plainNorm(dst, x, gain, bias, mean, rstd)
		return
	}
	o := operands{p: [5]*float32{ptr(dst, n), ptr(x, n), ptr(gain, n), ptr(bias, n)}, s: [10]float32{mean, rstd}}
	o.run(vecNorm, n, 1)
}

// LayerNormGrad sets dx to the gradient of LayerNorm's input, or adds it with accumulate. With t = dy*gain and
// h = (x - mean)*rstd, it is rstd * (t - mean(t) - h*mean(t*h)).
func LayerNormGrad(dx, dy, x, gain []float32, mean, rstd float32, accumulate bool) {
	n := len(x)
	if !fast() || n == 0 {
		plainNormGrad(dx, dy, x, gain, mean, rstd, accumulate)
		return
	}
	o := operands{p: [5]*float32{ptr(dy, n), ptr(x, n), ptr(gain, n)}, s: [10]float32{mean, rstd}}
	s := o.reduce(vecNormSums, n, 0)
	o.p = [5]*float32{ptr(dx, n), ptr(dy, n), ptr(x, n), ptr(gain, n)}
	o.s[2], o.s[3] = float32(s.total(0)/float64(n)), float32(s.total(1)/float64(n))
	op := vecNormGrad
	if accumulate {
		op = vecNormGradAdd
	}
	o.run(op, n, 1)
}

// LayerNormParamGrad adds one row's gradients of gain and bias. The length is that of dy.
func LayerNormParamGrad(dgain, dbias, dy, x []float32, mean, rstd float32) {
	n := len(dy)
	if !fast() {
		plainNormParamGrad(dgain, dbias, dy, x, mean, rstd)
		return
	}
	o := operands{p: [5]*float32{ptr(dgain, n), ptr(dbias, n), ptr(dy, n), ptr(x, n)}, s: [10]float32{mean, rstd}}
	o.run(vecNormParamGrad, n, 2)
}

// Softmax sets x = softmax(scale*x) and returns the log-sum-exp of scale*x. Each lane has a float32 sum; these
// are added pairwise. Probabilities below 1e-37 may become 0.
func Softmax(x []float32, scale float32) (lse float32) {
	n := len(x)
	if !fast() || n == 0 {
		return plainSoftmax(x, scale)
	}
	m := largest(x, scale)
	sum := expSum(x, scale, m)
	Scale(x, x, float32(1/sum))
	return float32(float64(m) + math.Log(sum))
}

// SoftmaxFromLSE sets x = exp(scale*x - lse).
func SoftmaxFromLSE(x []float32, scale, lse float32) {
	if !fast() {
		plainSoftmaxFromLSE(x, scale, lse)
		return
	}
	expSum(x, scale, lse)
}

// largest returns the maximum of scale*x. x must not be empty.
func largest(x []float32, scale float32) float32 {
	l, whole := current.lanes, len(x)&^(current.lanes-1)
	var s [maxLanes]float32
	o := operands{p: [5]*float32{ptr(x, whole), nil, nil, nil, &s[0]}, n: whole, s: [10]float32{scale}}
	if whole > 0 {
		asmVec(vecLargest, &o)
	} else {
		l = 1
		s[0] = x[0] * scale
	}
	m := s[0]
	for _, v := range s[1:l] {
		m = max(m, v)
	}
	for _, v := range x[whole:] {
		m = max(m, v*scale)
	}
	return m
}

// expSum sets x = exp(scale*x - shift) and returns the sum.
func expSum(x []float32, scale, shift float32) float64 {
	n, whole := len(x), len(x)&^(current.lanes-1)
	var s, t sums
	o := operands{p: [5]*float32{ptr(x, n), nil, nil, nil, &s[0]}, n: whole, s: [10]float32{scale, shift}}
	if whole > 0 {
		asmVec(vecExpSum, &o)
	}
	if rest := n - whole; rest > 0 {
		var buf [maxLanes]float32
		copy(buf[:], x[whole:])
		o.p[0], o.p[4], o.n = &buf[0], &t[0], current.lanes
		asmVec(vecExpSum, &o)
		copy(x[whole:], buf[:])
		for i := range rest {
			s[i] += buf[i]
		}
	}
	return s.total(0)
}

// SoftmaxGrad sets ds = scale * p * (dp - delta).
func SoftmaxGrad(ds, p, dp []float32, delta, scale float32) {
	n := len(p)
	if !fast() {
		plainSoftmaxGrad(ds, p, dp, delta, scale)
		return
	}
	o := operands{p: [5]*float32{ptr(ds, n), ptr(p, n), ptr(dp, n)}, s: [10]float32{scale, delta}}
	o.run(vecSoftmaxGrad, n, 1)
}

// AdamWFactors holds the constants of one update. Keep is 1 - Beta.
type AdamWFactors struct {
	Shrink       float32 // 1 - learning rate * weight decay
	Rate         float32 // learning rate / bias correction of m
	Beta1, Keep1 float32
	Beta2, Keep2 float32
	Root         float32 // 1 / sqrt(bias correction of v)
	Eps          float32
	Scale        float32 // factor of the gradient, for clipping
}

// AdamW updates w (Loshchilov and Hutter, arXiv 1711.05101) and sets g to zero. All slices have the length of
// w:
//
//	g *= Scale; m = Beta1 m + Keep1 g; v = Beta2 v + Keep2 g g
//	w = w Shrink - Rate m / (sqrt(v) Root + Eps)
func AdamW(w, g, m, v []float32, f *AdamWFactors) {
	n := len(w)
	if !fast() {
		plainAdamW(w, g, m, v, f)
		return
	}
	o := operands{p: [5]*float32{ptr(w, n), ptr(m, n), ptr(v, n), ptr(g, n)},
		s: [10]float32{f.Shrink, f.Rate, f.Beta1, f.Keep1, f.Beta2, f.Keep2, f.Root, f.Eps, f.Scale}}
	o.run(vecAdamW, n, 4)
}
