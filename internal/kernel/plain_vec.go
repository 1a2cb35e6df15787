package kernel

import "math"

// Plain loops, for machines and builds without assembly. Activations and softmax are computed in float64.
// Converting products to float32 keeps compilers from fusing them with sums on some machines.

// plainAdd sets dst = a + b.
func plainAdd(dst, a, b []float32) {
	for i, v := range b {
		dst[i] = a[i] + v
	}
}

// plainAxpy adds s*x to dst.
func plainAxpy(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] += float32(s * v)
	}
}

// plainScale sets dst = s*x.
func plainScale(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] = s * v
	}
}

// plainMul sets dst = a*b element by element.
func plainMul(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = v * b[i]
	}
}

// plainMulAdd sets dst = a*b + c element by element.
func plainMulAdd(dst, a, b, c []float32) {
	for i, v := range a {
		dst[i] = float32(v*b[i]) + c[i]
	}
}

// plainDot returns the sum of a*b.
func plainDot(a, b []float32) float32 {
	var s float32
	for i, v := range a {
		s += float32(v * b[i])
	}
	return s
}

// activation returns the value and the derivative at x.
func activation(x float64, act Activation) (y, dy float64) {
	x = max(x, -1e4) // gives the limits at -Inf, and together with d at Inf
	d := min(x, 1e4)
	switch act {
	case GELUErf:
		c := 0.5 * math.Erfc(-x/math.Sqrt2)
		return x * c, c + d*math.Exp(-d*d/2)/math.Sqrt(2*math.Pi)
	case GELUTanh: // 0.5*(1+tanh(z)) equals the sigmoid of 2z
		const k, a = 2 * 0.7978845608028654, 0.044715
		s := 1 / (1 + math.Exp(-k*(x+a*x*x*x)))
		return x * s, s + d*s*(1-s)*k*(1+3*a*d*d)
	case GELUQuick:
		s := 1 / (1 + math.Exp(-1.702*x))
		return x * s, s + 1.702*d*s*(1-s)
	}
	return x, 1
}

// plainActivate sets dst = act(x).
func plainActivate(dst, x []float32, act Activation) {
	for i, v := range x {
		y, _ := activation(float64(v), act)
		dst[i] = float32(y)
	}
}

// plainActivateGrad sets dx = dy * act'(x).
func plainActivateGrad(dx, dy, x []float32, act Activation) {
	for i, v := range x {
		_, g := activation(float64(v), act)
		dx[i] = dy[i] * float32(g)
	}
}

// plainSwiGLU sets dst = silu(gate) * up.
func plainSwiGLU(dst, gate, up []float32) {
	for i, v := range gate {
		g := max(float64(v), -1e4)
		dst[i] = float32(g / (1 + math.Exp(-g)) * float64(up[i]))
	}
}

// plainSwiGLUGrad sets the gradients of gate and up from dy.
func plainSwiGLUGrad(dgate, dup, dy, gate, up []float32) {
	for i, v := range gate {
		g, y, u := max(float64(v), -1e4), float64(dy[i]), float64(up[i])
		s := 1 / (1 + math.Exp(-g))
		dup[i] = float32(y * g * s)
		dgate[i] = float32(y * u * (s + min(g, 1e4)*s*(1-s)))
	}
}

// plainMoments returns a row's mean and reciprocal standard deviation.
func plainMoments(x []float32, eps float32) (mean, rstd float32) {
	var m, v float64
	for _, t := range x {
		m += float64(t)
	}
	m /= float64(len(x))
	for _, t := range x {
		v += (float64(t) - m) * (float64(t) - m)
	}
	return float32(m), float32(1 / math.Sqrt(v/float64(len(x))+float64(eps)))
}

// plainNorm is LayerNormApply: LayerNorm with known statistics.
func plainNorm(dst, x, gain, bias []float32, mean, rstd float32) {
	for i, v := range x {
		dst[i] = float32((v-mean)*rstd*gain[i]) + bias[i]
	}
}

// plainNormGrad sets (or adds to) dx.
func plainNormGrad(dx, dy, x, gain []float32, mean, rstd float32, accumulate bool) {
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

// plainNormParamGrad adds one row's gradients of gain and bias.
func plainNormParamGrad(dgain, dbias, dy, x []float32, mean, rstd float32) {
	for i, v := range dy {
		dgain[i] += float32(v * (x[i] - mean) * rstd)
		dbias[i] += v
	}
}

// plainSoftmax sets x = softmax(scale*x) and returns the log-sum-exp of scale*x.
func plainSoftmax(x []float32, scale float32) (lse float32) {
	m, sum := plainExponentials(x, scale)
	plainScale(x, x, float32(1/sum))
	return float32(m + math.Log(sum))
}

// plainExponentials sets x = e^(scale*x - m), m being the largest of scale*x, and returns m and the sum.
func plainExponentials(x []float32, scale float32) (m, sum float64) {
	m = math.Inf(-1)
	for _, v := range x {
		m = max(m, float64(v*scale))
	}
	for i, v := range x {
		e := math.Exp(float64(v*scale) - m)
		sum += e
		x[i] = float32(e)
	}
	return m, sum
}

// plainSoftmaxFromLSE sets x = exp(scale*x - lse).
func plainSoftmaxFromLSE(x []float32, scale, lse float32) {
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v*scale - lse)))
	}
}

// plainSoftmaxGrad sets ds = scale * p * (dp - delta).
func plainSoftmaxGrad(ds, p, dp []float32, delta, scale float32) {
	for i, v := range p {
		ds[i] = scale * v * (dp[i] - delta)
	}
}

// plainAdamW is AdamW in a plain loop.
func plainAdamW(w, g, m, v []float32, f *AdamWFactors) {
	for i := range w {
		d := g[i] * f.Scale
		a := float32(f.Beta1*m[i]) + float32(f.Keep1*d)
		b := float32(f.Beta2*v[i]) + float32(f.Keep2*d*d)
		m[i], v[i] = a, b
		w[i] = float32(w[i]*f.Shrink) - f.Rate*a/(float32(float32(math.Sqrt(float64(b)))*f.Root)+f.Eps)
		g[i] = 0
	}
}
