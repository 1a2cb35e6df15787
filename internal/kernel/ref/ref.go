// Package ref defines the result of every kernel in plain Go and float64. The fast kernels are tested against
// it. It is not optimised and shares no code with package kernel.
package ref

import "math"

// GELU returns x*Phi(x), where Phi is the standard normal distribution function (Hendrycks & Gimpel, arXiv
// 1606.08415).
func GELU(x float64) float64 { return limit(x, x*phi(x)) }

// GELUGrad returns the derivative of GELU.
func GELUGrad(x float64) float64 {
	return phi(x) + limit(x, x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
}

// phi is the standard normal distribution function. Computing it with erfc keeps the digits of its tail.
func phi(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// limit returns y, or 0 where |x| is so large that y is 0 times infinity.
func limit(x, y float64) float64 {
	if math.IsInf(x, -1) || math.IsInf(x, 1) && math.IsNaN(y) {
		return 0
	}
	return y
}

// Sigmoid returns 1/(1+e^-x).
func Sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// tanhArgument returns the argument of tanh in GELUTanh, and its derivative.
func tanhArgument(x float64) (z, dz float64) {
	k := math.Sqrt(2 / math.Pi)
	return k * (x + 0.044715*x*x*x), k * (1 + 3*0.044715*x*x)
}

// GELUTanh returns 0.5*x*(1+tanh(z)), z = sqrt(2/pi)*(x + 0.044715 x^3). It is computed as x*sigmoid(2z), which
// is equal and keeps the digits of the negative tail.
func GELUTanh(x float64) float64 {
	z, _ := tanhArgument(x)
	return limit(x, x*Sigmoid(2*z))
}

// GELUTanhGrad returns the derivative of GELUTanh.
func GELUTanhGrad(x float64) float64 {
	z, dz := tanhArgument(x)
	s := Sigmoid(2 * z)
	return s + limit(x, x*s*Sigmoid(-2*z)*2*dz)
}

// GELUQuick returns x*sigmoid(1.702 x).
func GELUQuick(x float64) float64 { return limit(x, x*Sigmoid(1.702*x)) }

// GELUQuickGrad returns the derivative of GELUQuick.
func GELUQuickGrad(x float64) float64 {
	return Sigmoid(1.702*x) + limit(x, 1.702*x*Sigmoid(1.702*x)*Sigmoid(-1.702*x))
}

// SiLU returns x*sigmoid(x).
func SiLU(x float64) float64 { return limit(x, x*Sigmoid(x)) }

// SiLUGrad returns the derivative of SiLU.
func SiLUGrad(x float64) float64 { return Sigmoid(x) + limit(x, x*Sigmoid(x)*Sigmoid(-x)) }

// Dot returns the sum of a*b.
func Dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// Moments returns the mean of x and 1/sqrt(variance + eps).
func Moments(x []float64, eps float64) (mean, rstd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		rstd += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, 1 / math.Sqrt(rstd+eps)
}

// LayerNorm returns (x - mean)*rstd*gain + bias.
func LayerNorm(x, gain, bias []float64, eps float64) []float64 {
	mean, rstd := Moments(x, eps)
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v-mean)*rstd*gain[i] + bias[i]
	}
	return y
}

// LayerNormGrad returns the gradients of x, gain and bias, given dy, the gradient of the result.
func LayerNormGrad(dy, x, gain []float64, eps float64) (dx, dgain, dbias []float64) {
	mean, rstd := Moments(x, eps)
	n := float64(len(x))
	dx, dgain, dbias = make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
	var s, sh float64
	for i, v := range x {
		h := (v - mean) * rstd
		s += dy[i] * gain[i] / n
		sh += dy[i] * gain[i] * h / n
		dgain[i], dbias[i] = dy[i]*h, dy[i]
	}
	for i, v := range x {
		h := (v - mean) * rstd
		dx[i] = rstd * (dy[i]*gain[i] - s - h*sh)
	}
	return dx, dgain, dbias
}

// Softmax returns e^(scale*x) divided by its sum, and the logarithm of that sum.
func Softmax(x []float64, scale float64) (p []float64, lse float64) {
	m := math.Inf(-1)
	for _, v := range x {
		m = max(m, scale*v)
	}
	var sum float64
	p = make([]float64, len(x))
	for i, v := range x {
		p[i] = math.Exp(scale*v - m)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p, m + math.Log(sum)
}

// SoftmaxGrad returns the gradient of x from the probabilities and their gradients.
func SoftmaxGrad(p, dp []float64, scale float64) []float64 {
	delta := Dot(p, dp)
	dx := make([]float64, len(p))
	for i, v := range p {
		dx[i] = scale * v * (dp[i] - delta)
	}
	return dx
}

// AdamW does one update (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2) with gradients g. Step numbers t
// start at 1. Weight decay is decoupled from the gradient.
func AdamW(w, g, m, v []float64, lr, beta1, beta2, eps, decay float64, t int) {
	for i := range w {
		m[i] = beta1*m[i] + (1-beta1)*g[i]
		v[i] = beta2*v[i] + (1-beta2)*g[i]*g[i]
		mhat, vhat := m[i]/(1-math.Pow(beta1, float64(t))), v[i]/(1-math.Pow(beta2, float64(t)))
		w[i] -= lr*decay*w[i] + lr*mhat/(math.Sqrt(vhat)+eps)
	}
}
