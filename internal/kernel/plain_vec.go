package kernel

import "math"

// AddTo adds x to dst.
func AddTo(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}

// Axpy adds s*x to dst.
func Axpy(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] += s * v
	}
}

// Scale sets dst = s*x.
func Scale(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] = s * v
	}
}

// Mul sets dst = a*b element by element.
func Mul(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = v * b[i]
	}
}

// MulAddTo adds a*b to dst element by element.
func MulAddTo(dst, a, b []float32) {
	for i, v := range a {
		dst[i] += v * b[i]
	}
}

// Dot returns the sum of a*b.
func Dot(a, b []float32) float32 {
	var s float32
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// activation returns the value and the derivative at x.
func activation(x float64, act Activation) (y, dy float64) {
	switch act {
	case GELUErf:
		c := 0.5 * (1 + math.Erf(x/math.Sqrt2))
		return x * c, c + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case GELUTanh:
		const k, a = 0.7978845608028654, 0.044715
		t := math.Tanh(k * (x + a*x*x*x))
		return 0.5 * x * (1 + t), 0.5*(1+t) + 0.5*x*(1-t*t)*k*(1+3*a*x*x)
	case GELUQuick:
		s := 1 / (1 + math.Exp(-1.702*x))
		return x * s, s + 1.702*x*s*(1-s)
	}
	return x, 1
}

// Activate sets dst = act(x).
func Activate(dst, x []float32, act Activation) {
	for i, v := range x {
		y, _ := activation(float64(v), act)
		dst[i] = float32(y)
	}
}

// ActivateGrad sets dx = dy * act'(x).
func ActivateGrad(dx, dy, x []float32, act Activation) {
	for i, v := range x {
		_, g := activation(float64(v), act)
		dx[i] = dy[i] * float32(g)
	}
}

// SwiGLU sets dst = silu(gate) * up.
func SwiGLU(dst, gate, up []float32) {
	for i, v := range gate {
		g := float64(v)
		dst[i] = float32(g / (1 + math.Exp(-g)) * float64(up[i]))
	}
}

// SwiGLUGrad sets the gradients of gate and up from dy.
func SwiGLUGrad(dgate, dup, dy, gate, up []float32) {
	for i, v := range gate {
		g, y, u := float64(v), float64(dy[i]), float64(up[i])
		s := 1 / (1 + math.Exp(-g))
		dup[i] = float32(y * g * s)
		dgate[i] = float32(y * u * (s + g*s*(1-s)))
	}
}

// LayerNorm normalises x into dst and returns the row's mean and reciprocal standard deviation.
func LayerNorm(dst, x, gain, bias []float32, eps float32) (mean, rstd float32) {
	var m, v float64
	for _, t := range x {
		m += float64(t)
	}
	m /= float64(len(x))
	for _, t := range x {
		v += (float64(t) - m) * (float64(t) - m)
	}
	mean, rstd = float32(m), float32(1/math.Sqrt(v/float64(len(x))+float64(eps)))
	LayerNormApply(dst, x, gain, bias, mean, rstd)
	return mean, rstd
}

// LayerNormApply repeats LayerNorm with known statistics.
func LayerNormApply(dst, x, gain, bias []float32, mean, rstd float32) {
	for i, v := range x {
		dst[i] = (v-mean)*rstd*gain[i] + bias[i]
	}
}

// LayerNormGrad sets (or adds to) dx.
func LayerNormGrad(dx, dy, x, gain []float32, mean, rstd float32, accumulate bool) {
	var s1, s2 float64
	n := float64(len(x))
	for i, v := range x {
		t := float64(dy[i] * gain[i])
		s1 += t
		s2 += t * float64((v-mean)*rstd)
	}
	for i, v := range x {
		t, h := float64(dy[i]*gain[i]), float64((v-mean)*rstd)
		g := float32(float64(rstd) * (t - s1/n - h*s2/n))
		if accumulate {
			g += dx[i]
		}
		dx[i] = g
	}
}

// LayerNormParamGrad adds one row's gradients of gain and bias.
func LayerNormParamGrad(dgain, dbias, dy, x []float32, mean, rstd float32) {
	for i, v := range dy {
		dgain[i] += v * (x[i] - mean) * rstd
		dbias[i] += v
	}
}

// Softmax sets x = softmax(scale*x) and returns the log-sum-exp of scale*x.
func Softmax(x []float32, scale float32) (lse float32) {
	m := math.Inf(-1)
	for _, v := range x {
		m = max(m, float64(v*scale))
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v*scale) - m)
	}
	lse = float32(m + math.Log(sum))
	SoftmaxFromLSE(x, scale, lse)
	return lse
}

// SoftmaxFromLSE sets x = exp(scale*x - lse).
func SoftmaxFromLSE(x []float32, scale, lse float32) {
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v*scale - lse)))
	}
}

// SoftmaxGrad sets ds = scale * p * (dp - delta).
func SoftmaxGrad(ds, p, dp []float32, delta, scale float32) {
	for i, v := range p {
		ds[i] = scale * v * (dp[i] - delta)
	}
}
