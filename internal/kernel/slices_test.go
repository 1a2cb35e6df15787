package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/kernel/ref"
)

// u is the rounding unit of float32.
const u = 1.0 / (1 << 24)

// forEach runs a test for each kernel set of this machine.
func forEach(t *testing.T, f func(t *testing.T)) {
	before := kernel.Name()
	for _, name := range kernel.Names() {
		t.Run(name, func(t *testing.T) {
			if err := kernel.Use(name); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
	if err := kernel.Use(before); err != nil {
		t.Fatal(err)
	}
}

// sliceCase is a function that computes element i of its outputs from element i of its operands. x holds
// the outputs first (some are read, too), then the inputs.
type sliceCase struct {
	name      string
	outs, ins int
	positive  int // index of an operand that is never negative, or 0
	run       func(x [][]float32)
	// want replaces the outputs, and returns for each the size that its error is relative to.
	want func(x []float64) (size []float64)
	tol  float64 // in u
	same bool    // the operands of x may be one slice
}

func abs(x float64) float64 { return math.Abs(x) }

// one is a case with one output.
func one(name string, ins int, tol float64, run func(x [][]float32), want func(x []float64) (y, size float64)) sliceCase {
	return sliceCase{name: name, outs: 1, ins: ins, tol: tol, run: run, same: true, want: func(x []float64) []float64 {
		y, size := want(x)
		x[0] = y
		return []float64{size}
	}}
}

// Tolerances are rounding errors of float32 counted along the formula, each relative to the largest number
// in it; activations have the bounds of their doc comments.
func sliceCases() []sliceCase {
	const s = 0.7
	s32 := float64(float32(s))
	cases := []sliceCase{
		one("AddTo", 1, 1, func(x [][]float32) { kernel.AddTo(x[0], x[1]) },
			func(x []float64) (float64, float64) { return x[0] + x[1], abs(x[0] + x[1]) }),
		one("Axpy", 1, 2, func(x [][]float32) { kernel.Axpy(x[0], x[1], s) },
			func(x []float64) (float64, float64) { return x[0] + s32*x[1], abs(x[0]) + abs(x[1]) }),
		one("Scale", 1, 1, func(x [][]float32) { kernel.Scale(x[0], x[1], s) },
			func(x []float64) (float64, float64) { return s32 * x[1], abs(s32 * x[1]) }),
		one("Mul", 2, 1, func(x [][]float32) { kernel.Mul(x[0], x[1], x[2]) },
			func(x []float64) (float64, float64) { return x[1] * x[2], abs(x[1] * x[2]) }),
		one("MulAddTo", 2, 2, func(x [][]float32) { kernel.MulAddTo(x[0], x[1], x[2]) },
			func(x []float64) (float64, float64) { return x[0] + x[1]*x[2], abs(x[0]) + abs(x[1]*x[2]) }),
		one("SoftmaxGrad", 2, 4, func(x [][]float32) { kernel.SoftmaxGrad(x[0], x[1], x[2], 0.25, s) },
			func(x []float64) (float64, float64) {
				return s32 * x[1] * (x[2] - 0.25), abs(s32*x[1]) * (abs(x[2]) + 0.25)
			}),
		one("LayerNormApply", 3, 5, func(x [][]float32) { kernel.LayerNormApply(x[0], x[1], x[2], x[3], 0.25, s) },
			func(x []float64) (float64, float64) {
				return (x[1]-0.25)*s32*x[2] + x[3], abs((x[1]-0.25)*s32*x[2]) + abs(x[3])
			}),
		one("SwiGLU", 2, 7, func(x [][]float32) { kernel.SwiGLU(x[0], x[1], x[2]) },
			func(x []float64) (float64, float64) { y := ref.SiLU(x[1]) * x[2]; return y, abs(y) + tiny }),
		{name: "SwiGLUGrad", outs: 2, ins: 3, tol: 8, same: true, run: func(x [][]float32) { kernel.SwiGLUGrad(x[0], x[1], x[2], x[3], x[4]) },
			want: func(x []float64) []float64 {
				x[0], x[1] = x[2]*x[4]*ref.SiLUGrad(x[3]), x[2]*ref.SiLU(x[3])
				return []float64{abs(x[2] * x[4]), abs(x[1]) + tiny}
			}},
		{name: "LayerNormParamGrad", outs: 2, ins: 2, tol: 5, run: func(x [][]float32) { kernel.LayerNormParamGrad(x[0], x[1], x[2], x[3], 0.25, s) },
			want: func(x []float64) []float64 {
				d, size := x[2]*(x[3]-0.25)*s32, abs(x[2]*(x[3]-0.25)*s32)
				size += abs(x[0])
				x[0], x[1] = x[0]+d, x[1]+x[2]
				return []float64{size, abs(x[1])}
			}},
		adamCase(),
	}
	for _, a := range activations {
		cases = append(cases,
			one("Activate "+a.name, 1, a.tol, func(x [][]float32) { kernel.Activate(x[0], x[1], a.act) },
				func(x []float64) (float64, float64) { y := a.value(x[1]); return y, abs(y)*(1+a.slope(x[1])) + tiny }),
			one("ActivateGrad "+a.name, 2, 6, func(x [][]float32) { kernel.ActivateGrad(x[0], x[1], x[2], a.act) },
				func(x []float64) (float64, float64) { return x[1] * a.grad(x[2]), abs(x[1]) }))
	}
	return cases
}

// tiny is what the size of an error is at least, so that results are allowed to be flushed to zero: an
// exponential is below 2^-125.5, times the argument of an activation, which is below 90 then.
var tiny = math.Ldexp(1/u, -120)

// activations have their error relative to the result as tol*(1+slope) u.
var activations = []struct {
	name        string
	act         kernel.Activation
	value, grad func(float64) float64
	tol         float64
	slope       func(float64) float64
}{
	{"Identity", kernel.Identity, func(x float64) float64 { return x }, func(float64) float64 { return 1 }, 0, zero},
	{"GELUErf", kernel.GELUErf, ref.GELU, ref.GELUGrad, 6, zero},
	{"GELUTanh", kernel.GELUTanh, ref.GELUTanh, ref.GELUTanhGrad, 4, func(x float64) float64 { return abs(1.6*x+0.072*x*x*x) * b2f(x < 0) }},
	{"GELUQuick", kernel.GELUQuick, ref.GELUQuick, ref.GELUQuickGrad, 4, func(x float64) float64 { return abs(1.702*x) * b2f(x < 0) }},
}

func zero(float64) float64 { return 0 }

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func adamCase() sliceCase {
	const lr, beta1, beta2, eps, decay, scale, step = 0.01, 0.9, 0.99, 1e-6, 0.1, 0.5, 3
	f := kernel.AdamWFactors{Shrink: 1 - lr*decay, Rate: float32(lr / (1 - math.Pow(beta1, step))), Beta1: beta1, Keep1: 1 - beta1,
		Beta2: beta2, Keep2: 1 - beta2, Root: float32(1 / math.Sqrt(1-math.Pow(beta2, step))), Eps: eps, Scale: scale}
	// The constants are rounded, too: four of them and six operations.
	return sliceCase{name: "AdamW", outs: 4, tol: 10, positive: 3,
		run: func(x [][]float32) { kernel.AdamW(x[0], x[1], x[2], x[3], &f) },
		want: func(x []float64) []float64 {
			w, m, v := x[0], x[2], x[3]
			g := scale * x[1]
			ref.AdamW(x[:1], []float64{g}, x[2:3], x[3:4], lr, beta1, beta2, eps, decay, step)
			size := (beta1*abs(m) + 0.1*abs(g)) * lr / 0.27 / (math.Sqrt(x[3]/0.03) + eps)
			x[1] = 0
			return []float64{abs(w) + size, 0, abs(m) + abs(g), v + g*g}
		}}
}

// sizes are lengths around multiples of the lanes of every set, and those of ViTs.
func sizes() []int {
	var n []int
	for i := range 70 {
		n = append(n, i)
	}
	if testing.Short() {
		return append(n, 129, 768)
	}
	return append(n, 127, 128, 129, 192, 768, 1001, 3072)
}

// guarded is memory with a margin on both sides, whose contents are known.
type guarded struct {
	all  []float32
	x    []float32
	from int
}

const (
	margin  = 40
	pattern = 0x7fc0beef // not a number: what is read by mistake shows, too
)

func guard(n, shift int) *guarded {
	g := &guarded{all: make([]float32, n+shift+2*margin), from: margin + shift}
	for i := range g.all {
		g.all[i] = math.Float32frombits(pattern)
	}
	g.x = g.all[g.from : g.from+n : g.from+n]
	return g
}

func (g *guarded) check(t *testing.T, what string) {
	t.Helper()
	for i, v := range g.all {
		if inside := i >= g.from && i < g.from+len(g.x); !inside && math.Float32bits(v) != pattern {
			t.Fatalf("%s: element %d of %d was written", what, i-g.from, len(g.x))
		}
	}
}

func fill(rng *rand.Rand, x []float32, positive bool) {
	for i := range x {
		x[i] = float32(rng.NormFloat64() * 2)
		if positive {
			x[i] = float32(math.Abs(float64(x[i])))
		}
	}
}

func newCase(rng *rand.Rand, c sliceCase, n int) (gs []*guarded, x [][]float32) {
	for i := range c.outs + c.ins {
		g := guard(n, (n+i)%5)
		fill(rng, g.x, i > 0 && i == c.positive)
		gs, x = append(gs, g), append(x, g.x)
	}
	return gs, x
}

func clone(x [][]float32) [][]float32 {
	y := make([][]float32, len(x))
	for i := range x {
		y[i] = append([]float32(nil), x[i]...)
	}
	return y
}

// TestSlices compares every function over slices with its reference, and looks after the margins.
func TestSlices(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, c := range sliceCases() {
			t.Run(c.name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				for _, n := range sizes() {
					gs, x := newCase(rng, c, n)
					before := clone(x)
					c.run(x)
					for i, g := range gs {
						g.check(t, fmt.Sprintf("operand %d", i))
					}
					compare(t, c, before, x)
				}
			})
		}
	})
}

// compare checks the outputs x that were computed from before.
func compare(t *testing.T, c sliceCase, before, x [][]float32) {
	t.Helper()
	in := make([]float64, len(before))
	for e := range before[0] {
		for i := range in {
			in[i] = float64(before[i][e])
		}
		size := c.want(in)
		for i := range c.outs {
			if got := float64(x[i][e]); !(abs(got-in[i]) <= c.tol*u*size[i]) && got != in[i] {
				t.Fatalf("n = %d: output %d, element %d is %v, want %v, %.3g u (of operands %v)", len(x[0]), i, e, got, in[i],
					abs(got-in[i])/u/size[i], column(before, e))
			}
		}
		for i := c.outs; i < len(x); i++ {
			if math.Float32bits(x[i][e]) != math.Float32bits(before[i][e]) {
				t.Fatalf("n = %d: element %d of input %d was changed", len(x[0]), e, i)
			}
		}
	}
}

func column(x [][]float32, e int) (c []float32) {
	for _, v := range x {
		c = append(c, v[e])
	}
	return c
}

// TestPositionDoesNotMatter: an element has the same bits alone as among others, and in place as elsewhere.
func TestPositionDoesNotMatter(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, c := range sliceCases() {
			rng := rand.New(rand.NewPCG(3, 4))
			const n = 77
			_, x := newCase(rng, c, n)
			before := clone(x)
			c.run(x)
			for e := range n {
				alone := make([][]float32, len(x))
				for i := range x {
					alone[i] = before[i][e : e+1]
				}
				alone = clone(alone)
				c.run(alone)
				for i := range c.outs {
					if math.Float32bits(alone[i][0]) != math.Float32bits(x[i][e]) {
						t.Fatalf("%s: element %d of %d is %v, alone %v", c.name, e, n, x[i][e], alone[i][0])
					}
				}
			}
			if c.same {
				inPlace(t, c, before)
			}
		}
	})
}

// inPlace runs a case once more with output 0 in the place of each input.
func inPlace(t *testing.T, c sliceCase, before [][]float32) {
	for i := c.outs; i < c.outs+c.ins; i++ {
		apart := clone(before)
		copy(apart[0], apart[i])
		together := clone(apart)
		together[0] = together[i]
		c.run(apart)
		c.run(together)
		for e := range apart[0] {
			if math.Float32bits(apart[0][e]) != math.Float32bits(together[0][e]) {
				t.Fatalf("%s: in the place of input %d, element %d is %v, not %v", c.name, i-c.outs, e, together[0][e], apart[0][e])
			}
		}
	}
}
