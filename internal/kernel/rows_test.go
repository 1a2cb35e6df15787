package kernel_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/kernel/ref"
)

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// randomRow returns a guarded row of n numbers about mean, with deviation 2.
func randomRow(rng *rand.Rand, n int, mean float32) *guarded {
	g := guard(n, n%7)
	fill(rng, g.x, false)
	for i := range g.x {
		g.x[i] += mean
	}
	return g
}

// within compares a row with its reference; errors are relative to the largest element of want, or to size.
func within(t *testing.T, what string, got []float32, want []float64, tol, size float64) {
	t.Helper()
	for _, v := range want {
		size = max(size, abs(v))
	}
	for i, v := range want {
		if !(abs(float64(got[i])-v) <= tol*u*size) {
			t.Fatalf("%s: element %d of %d is %v, want %v, %.3g u of the largest", what, i, len(want), got[i], v, abs(float64(got[i])-v)/u/size)
		}
	}
}

// TestLayerNorm: the mean carries an error of a few u of the elements, which grows with its size in units of
// the deviation, then come four roundings.
func TestLayerNorm(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, n := range sizes()[1:] {
			for _, mean := range []float32{0, 10} {
				x, gain, bias, dst := randomRow(rng, n, mean), randomRow(rng, n, 1), randomRow(rng, n, 0), guard(n, 3)
				const eps = 1e-5
				m, r := kernel.LayerNorm(dst.x, x.x, gain.x, bias.x, eps)
				wantM, wantR := ref.Moments(float64s(x.x), float64(float32(eps)))
				tol := 8 + 2*abs(wantM)*wantR
				within(t, "mean", []float32{m}, []float64{wantM}, 3, 10)
				within(t, "rstd", []float32{r}, []float64{wantR}, tol, 0)
				want := ref.LayerNorm(float64s(x.x), float64s(gain.x), float64s(bias.x), float64(float32(eps)))
				within(t, "LayerNorm", dst.x, want, 2*tol, 0)
				dst.check(t, "LayerNorm")
				again := guard(n, 2)
				kernel.LayerNormApply(again.x, x.x, gain.x, bias.x, m, r)
				sameBits(t, "LayerNormApply", again.x, dst.x)
				kernel.LayerNorm(x.x, x.x, gain.x, bias.x, eps)
				sameBits(t, "LayerNorm in place", x.x, dst.x)
				x.check(t, "LayerNorm in place")
			}
		}
	})
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, v := range want {
		if math.Float32bits(got[i]) != math.Float32bits(v) {
			t.Fatalf("%s: element %d of %d is %v, want %v to the bit", what, i, len(want), got[i], v)
		}
	}
}

// TestLayerNormGrad: rounding as in LayerNorm, relative to rstd times the largest dy*gain.
func TestLayerNormGrad(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, n := range sizes()[1:] {
			x, gain, dy := randomRow(rng, n, 0.5), randomRow(rng, n, 1), randomRow(rng, n, 0)
			m, r := ref.Moments(float64s(x.x), 1e-3)
			want, _, _ := ref.LayerNormGrad(float64s(dy.x), float64s(x.x), float64s(gain.x), 1e-3)
			size := 0.0
			for i := range n {
				size = max(size, abs(r*float64(dy.x[i]*gain.x[i])))
			}
			dx := guard(n, 1)
			kernel.LayerNormGrad(dx.x, dy.x, x.x, gain.x, float32(m), float32(r), false)
			within(t, "LayerNormGrad", dx.x, want, 24, size)
			dx.check(t, "LayerNormGrad")
			sum := randomRow(rng, n, 0)
			for i := range want {
				want[i] += float64(sum.x[i])
			}
			kernel.LayerNormGrad(sum.x, dy.x, x.x, gain.x, float32(m), float32(r), true)
			within(t, "LayerNormGrad, added", sum.x, want, 24, size)
			sum.check(t, "LayerNormGrad, added")
			kernel.LayerNormGrad(dy.x, dy.x, x.x, gain.x, float32(m), float32(r), false)
			sameBits(t, "LayerNormGrad in place of dy", dy.x, dx.x)
		}
	})
}

// TestSoftmax: exponentials have 2 u, their argument is rounded twice, relative to its size.
func TestSoftmax(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		for _, n := range sizes()[1:] {
			for _, scale := range []float32{0.125, 1, 8} {
				x := randomRow(rng, n, 3)
				in, z := append([]float32(nil), x.x...), 0.0
				for _, v := range in {
					z = max(z, abs(float64(v*scale)))
				}
				want, wantLSE := ref.Softmax(float64s(in), float64(scale))
				lse := kernel.Softmax(x.x, scale)
				x.check(t, "Softmax")
				within(t, "Softmax", x.x, want, 8+2*z, 0)
				within(t, "log-sum-exp", []float32{lse}, []float64{wantLSE}, 4, 1)
				sum := 0.0
				for i, v := range x.x {
					sum += float64(v)
					// A probability is good by itself, however small, unless it is flushed to zero.
					if abs(float64(v)-want[i]) > (12+3*z)*u*want[i]+1e-37 {
						t.Fatalf("Softmax: element %d of %d is %v, want %v", i, n, v, want[i])
					}
				}
				within(t, "sum of probabilities", []float32{float32(sum)}, []float64{1}, 8, 0)
				y := guard(n, 4)
				copy(y.x, in)
				kernel.SoftmaxFromLSE(y.x, scale, lse)
				y.check(t, "SoftmaxFromLSE")
				within(t, "SoftmaxFromLSE", y.x, want, 8+4*z, 0)
			}
		}
	})
}

// TestSoftmaxExtremes: masks, overflow and what is not a number.
func TestSoftmaxExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	forEach(t, func(t *testing.T) {
		for _, n := range []int{5, 8, 16, 37} {
			x := make([]float32, n)
			for i := range x {
				x[i] = -inf
			}
			x[n/2], x[n-1] = 3, 3
			kernel.Softmax(x, 1)
			for i, v := range x {
				want := float32(0)
				if i == n/2 || i == n-1 {
					want = 0.5
				}
				if v != want {
					t.Errorf("masked: element %d of %d is %v, want %v", i, n, v, want)
				}
			}
			for i := range x {
				x[i] = float32(i) * 3e36
			}
			kernel.Softmax(x, 1)
			if x[n-1] != 1 || x[0] != 0 {
				t.Errorf("large: %v", x)
			}
			for at := range x {
				for i := range x {
					x[i] = float32(i)
				}
				x[at] = nan
				kernel.Softmax(x, 1)
				for i, v := range x {
					if v == v {
						t.Fatalf("a row of %d with NaN at %d gives %v at %d", n, at, v, i)
					}
				}
			}
		}
	})
}

// TestDot: relative to the sum of absolute products, see docs/numerics.md.
func TestDot(t *testing.T) {
	forEach(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 12))
		for _, n := range sizes() {
			a, b := randomRow(rng, n, 0), randomRow(rng, n, 0)
			var want, size float64
			for i, v := range a.x {
				want += float64(v) * float64(b.x[i])
				size += abs(float64(v) * float64(b.x[i]))
			}
			if got := float64(kernel.Dot(a.x, b.x)); abs(got-want) > (1+2*math.Sqrt(float64(n)))*u*size {
				t.Errorf("Dot of %d: %v, want %v", n, got, want)
			}
		}
	})
}
