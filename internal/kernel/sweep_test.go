package kernel_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
)

// everyExponent returns numbers of both signs with each exponent that float32 has, denormals included, and
// more of them where functions bend.
func everyExponent() []float32 {
	rng := rand.New(rand.NewPCG(13, 14))
	var x []float32
	for e := -149; e <= 127; e++ {
		for range 8 {
			v := float32(math.Ldexp(1+rng.Float64(), e))
			x = append(x, v, -v)
		}
	}
	for v := -110.0; v < 110; v += 0.0103 {
		x = append(x, float32(v))
	}
	for v := -14.0; v < 14; v += 0.00117 {
		x = append(x, float32(v))
	}
	return x
}

// TestExponential: e^x within 2 u where it is at least 2^-125, flushed to zero below 2^-126.5, and between
// these either; infinite where it does not fit.
func TestExponential(t *testing.T) {
	forEach(t, func(t *testing.T) {
		in := everyExponent()
		x := append([]float32(nil), in...)
		kernel.SoftmaxFromLSE(x, 1, 0)
		worst := 0.0
		for i, v := range in {
			want, got := math.Exp(float64(v)), float64(x[i])
			switch {
			case want >= math.MaxFloat32*(1+u):
				if !math.IsInf(got, 1) {
					t.Fatalf("e^%v = %v", v, got)
				}
			case want > math.MaxFloat32*(1-2*u): // either
			case want >= math.Ldexp(1, -125):
				worst = max(worst, abs(got-want)/want/u)
			case got != 0 && abs(got-want) > 2*u*math.Ldexp(1, -125):
				t.Fatalf("e^%v = %v, want %v or 0", v, got, want)
			case got != 0 && want < math.Ldexp(1, -128) && kernel.Name() != "portable":
				t.Fatalf("e^%v = %v, want 0", v, got)
			}
		}
		t.Logf("largest error %.2f u", worst)
		if worst > 2 {
			t.Errorf("largest error %.2f u", worst)
		}
	})
}

// TestActivationSweep checks the bounds that Activate and ActivateGrad state.
func TestActivationSweep(t *testing.T) {
	forEach(t, func(t *testing.T) {
		x := everyExponent()
		y, dy := make([]float32, len(x)), make([]float32, len(x))
		for i := range dy {
			dy[i] = 1
		}
		for _, a := range activations {
			kernel.Activate(y, x, a.act)
			worst, worstGrad, at := 0.0, 0.0, float32(0)
			for i, v := range x {
				want := a.value(float64(v))
				// Beside what is flushed: numbers below 2^-126 have fewer digits.
				size := abs(want)*(1+a.slope(float64(v))) + tiny
				if e := abs(float64(y[i])-want) / size / u; e > worst {
					worst, at = e, v
				}
			}
			kernel.ActivateGrad(y, dy, x, a.act)
			for i, v := range x {
				worstGrad = max(worstGrad, abs(float64(y[i])-a.grad(float64(v)))/u)
			}
			t.Logf("%s: %.2f u at %v, derivative %.2f u", a.name, worst, at, worstGrad)
			if worst > a.tol || worstGrad > 4 {
				t.Errorf("%s: %.2f u, at most %v allowed; derivative %.2f u, at most 4", a.name, worst, a.tol, worstGrad)
			}
		}
	})
}

// special are numbers with which arithmetic behaves unlike with others.
var special = []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	1e-42, -1e-42, 1e-20, -1e-20, 1e4, -1e4, 1, -1}

// TestSpecialValues pairs special values in every two operands of every function over slices: what is not a number, and what
// is infinite, is so in the reference, too, and only then.
func TestSpecialValues(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, c := range sliceCases() {
			if c.positive > 0 {
				continue // AdamW refuses gradients that are not finite
			}
			for i := range c.outs + c.ins {
				for j := range i {
					pairSpecials(t, c, i, j)
				}
			}
		}
	})
}

func pairSpecials(t *testing.T, c sliceCase, i, j int) {
	n := len(special) * len(special)
	_, x := newCase(rand.New(rand.NewPCG(15, 16)), c, n)
	for e := range n {
		x[i][e], x[j][e] = special[e/len(special)], special[e%len(special)]
	}
	before := clone(x)
	c.run(x)
	in := make([]float64, len(x))
	for e := range n {
		for k := range in {
			in[k] = float64(before[k][e])
		}
		size := c.want(in)
		for k := range c.outs {
			got, want := float64(x[k][e]), in[k]
			if math.IsNaN(got) && math.IsNaN(want) || got == want {
				continue
			}
			if !(abs(got-want) <= c.tol*u*size[k]+math.Ldexp(1, -125)) {
				t.Fatalf("%s: output %d of operands %v is %v, want %v", c.name, k, column(before, e), got, want)
			}
		}
	}
}
