package ref

import (
	"math"
	"math/rand/v2"
	"testing"
)

// near compares a gradient with a central difference. The quotient is good to about 1e-9 of the function's
// size: (2^-53)^(2/3) at the best step.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-7*(1+math.Abs(want))) {
		t.Errorf("%s: %v, difference quotient %v", what, got, want)
	}
}

const step = 1e-5

func quotient(f func() float64, x *float64) float64 {
	old := *x
	*x = old + step
	up := f()
	*x = old - step
	down := f()
	*x = old
	return (up - down) / (2 * step)
}

func random(rng *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

func TestActivationGradients(t *testing.T) {
	for name, f := range map[string][2]func(float64) float64{"GELU": {GELU, GELUGrad}, "GELUTanh": {GELUTanh, GELUTanhGrad},
		"GELUQuick": {GELUQuick, GELUQuickGrad}, "SiLU": {SiLU, SiLUGrad}} {
		for x := -8.0; x <= 8; x += 0.17 {
			near(t, name, f[1](x), quotient(func() float64 { return f[0](x) }, &x))
		}
		for _, x := range []float64{math.Inf(-1), -1e300, -50} {
			if y, g := f[0](x), f[1](x); math.Abs(y) > 1e-15 || math.Abs(g) > 1e-15 {
				t.Errorf("%s(%v) = %v, derivative %v", name, x, y, g)
			}
		}
		if y, g := f[0](1e300), f[1](math.Inf(1)); y != 1e300 || g != 1 {
			t.Errorf("%s: %v and derivative %v far right", name, y, g)
		}
	}
}

func TestRowGradients(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, eps, scale = 7, 1e-3, 0.7
	x, gain, bias, dy := random(rng, n), random(rng, n), random(rng, n), random(rng, n)
	norm := func() float64 { return Dot(LayerNorm(x, gain, bias, eps), dy) }
	dx, dgain, dbias := LayerNormGrad(dy, x, gain, eps)
	softmax := func() float64 {
		p, _ := Softmax(x, scale)
		return Dot(p, dy)
	}
	p, lse := Softmax(x, scale)
	ds := SoftmaxGrad(p, dy, scale)
	sum := 0.0
	for i := range n {
		near(t, "LayerNorm, x", dx[i], quotient(norm, &x[i]))
		near(t, "LayerNorm, gain", dgain[i], quotient(norm, &gain[i]))
		near(t, "LayerNorm, bias", dbias[i], quotient(norm, &bias[i]))
		near(t, "Softmax", ds[i], quotient(softmax, &x[i]))
		near(t, "log-sum-exp", p[i], math.Exp(scale*x[i]-lse))
		sum += p[i]
	}
	near(t, "sum of probabilities", sum, 1)
}

func TestAttentionGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const queries, keys, dim, scale = 3, 5, 4, 0.5
	q, k, v, do := NewMat(queries, dim), NewMat(keys, dim), NewMat(keys, dim), NewMat(queries, dim)
	for _, m := range []Mat{q, k, v, do} {
		copy(m.Data, random(rng, len(m.Data)))
	}
	loss := func() float64 {
		o, _, _ := Attention(q, k, v, scale)
		return Dot(o.Data, do.Data)
	}
	dq, dk, dv := AttentionGrad(do, q, k, v, scale)
	for i, x := range []Mat{q, k, v} {
		for j := range x.Data {
			near(t, "attention", []Mat{dq, dk, dv}[i].Data[j], quotient(loss, &x.Data[j]))
		}
	}
}

// TestAdamW: with constant gradients both moments are unbiased from the first step on, so each step goes
// lr*sign(g) beside the decay.
func TestAdamW(t *testing.T) {
	w, m, v := []float64{1, -2}, make([]float64, 2), make([]float64, 2)
	for i := 1; i <= 5; i++ {
		want := []float64{w[0] - 0.01*0.1*w[0] - 0.01, w[1] - 0.01*0.1*w[1] + 0.01}
		AdamW(w, []float64{3, -0.5}, m, v, 0.01, 0.9, 0.999, 0, 0.1, i)
		near(t, "AdamW", w[0], want[0])
		near(t, "AdamW", w[1], want[1])
	}
}
