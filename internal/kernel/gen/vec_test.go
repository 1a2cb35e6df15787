package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func gelu(x float64) float64                           { return x * 0.5 * math.Erfc(-x/math.Sqrt2) }
func sigmoid(x float64) float64                        { return 1 / (1 + math.Exp(-x)) }
func quick(x float64) float64                          { return x * sigmoid(1.702*x) }
func geluTan(x float64) float64                        { return 0.5 * x * (1 + math.Tanh(sqrt2OverPi*(x+0.044715*x*x*x))) }
func siluOf(x float64) float64                         { return x * sigmoid(x) }
func slope(f func(float64) float64, x float64) float64 { return (f(x+1e-5) - f(x-1e-5)) / 2e-5 }

// meanings of the kernels over slices: the outputs (or what is added to the sums) for one element, from its operands
// and the scalars.
var meanings = map[string]func(p, s []float64) []float64{
	"add":           func(p, s []float64) []float64 { return []float64{p[1] + p[2]} },
	"mul":           func(p, s []float64) []float64 { return []float64{p[1] * p[2]} },
	"axpy":          func(p, s []float64) []float64 { return []float64{p[0] + s[0]*p[1]} },
	"scale":         func(p, s []float64) []float64 { return []float64{s[0] * p[1]} },
	"mulAdd":        func(p, s []float64) []float64 { return []float64{p[1]*p[2] + p[3]} },
	"geluErf":       func(p, s []float64) []float64 { return []float64{gelu(p[1])} },
	"geluErfGrad":   func(p, s []float64) []float64 { return []float64{p[1] * slope(gelu, p[2])} },
	"geluTanh":      func(p, s []float64) []float64 { return []float64{geluTan(p[1])} },
	"geluTanhGrad":  func(p, s []float64) []float64 { return []float64{p[1] * slope(geluTan, p[2])} },
	"geluQuick":     func(p, s []float64) []float64 { return []float64{quick(p[1])} },
	"geluQuickGrad": func(p, s []float64) []float64 { return []float64{p[1] * slope(quick, p[2])} },
	"swiglu":        func(p, s []float64) []float64 { return []float64{siluOf(p[1]) * p[2]} },
	"swigluGrad": func(p, s []float64) []float64 {
		return []float64{p[2] * p[4] * slope(siluOf, p[3]), p[2] * siluOf(p[3])}
	},
	"softmaxGrad":   func(p, s []float64) []float64 { return []float64{s[0] * p[1] * (p[2] - s[1])} },
	"norm":          func(p, s []float64) []float64 { return []float64{(p[1]-s[0])*s[1]*p[2] + p[3]} },
	"normGrad":      func(p, s []float64) []float64 { return []float64{normGradOf(p, s)} },
	"normGradAdd":   func(p, s []float64) []float64 { return []float64{p[0] + normGradOf(p, s)} },
	"normParamGrad": func(p, s []float64) []float64 { return []float64{p[0] + p[2]*(p[3]-s[0])*s[1], p[1] + p[2]} },
	"adamW": func(p, s []float64) []float64 {
		g := p[3] * s[8]
		m, v := s[2]*p[1]+s[3]*g, s[4]*p[2]+s[5]*g*g
		return []float64{p[0]*s[0] - s[1]*m/(math.Sqrt(v)*s[6]+s[7]), m, v, 0}
	},
}

func normGradOf(p, s []float64) float64 {
	return s[1] * (p[1]*p[3] - s[2] - (p[2]-s[0])*s[1]*s[3])
}

// reductions return for one element what is added to the sums (or its maximum, and its new value).
var reductions = map[string]func(p, s []float64) []float64{
	"dot":      func(p, s []float64) []float64 { return []float64{p[0] * p[1]} },
	"sum":      func(p, s []float64) []float64 { return []float64{p[0]} },
	"squares":  func(p, s []float64) []float64 { return []float64{(p[0] - s[0]) * (p[0] - s[0])} },
	"largest":  func(p, s []float64) []float64 { return []float64{s[0] * p[0]} },
	"expSum":   func(p, s []float64) []float64 { return []float64{math.Exp(s[0]*p[0] - s[1])} },
	"normSums": func(p, s []float64) []float64 { return []float64{p[0] * p[2], p[0] * p[2] * (p[1] - s[0]) * s[1]} },
}

// TestVecKernels interprets every kernel over slices of every target and compares with its meaning. Blocks
// of memory end where the operands end.
func TestVecKernels(t *testing.T) {
	for _, target := range targets {
		for _, f := range vecFuncs(target) {
			name := strings.TrimSuffix(f.Name, target.Suffix)
			for _, vectors := range []int{1, 3, 4, 5, 9} {
				t.Run(fmt.Sprintf("%s/%d", f.Name, vectors), func(t *testing.T) {
					k := newVecRun(t, f, vectors*target.Lanes)
					if want := reductions[name]; want != nil {
						k.reduction(t, name, want)
					} else if want := meanings[name]; want != nil {
						k.elements(t, want)
					} else {
						t.Fatal("no meaning for this kernel")
					}
				})
			}
		}
	}
}

// vecRun is one run of a kernel over slices of n elements.
type vecRun struct {
	m    Machine
	f    *Func
	n    int
	addr [5]uint64
	x    [5][]float32 // before
	s    [10]float32
	out  uint64
}

func newVecRun(t *testing.T, f *Func, n int) *vecRun {
	k := &vecRun{f: f, n: n}
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	args := k.m.Alloc(vecS + 40)
	for i := range k.addr {
		k.x[i] = random(rng, n)
		for j := range k.x[i] {
			if i == 2 { // AdamW's second moment
				k.x[i][j] = float32(math.Abs(float64(k.x[i][j]))) + 0.1
			}
		}
		k.addr[i] = k.m.AllocFloats(k.x[i])
		k.m.Put64(args+uint64(8*i), k.addr[i])
	}
	k.m.Put64(args+vecN, uint64(n))
	for i := range k.s {
		k.s[i] = 0.3 + 0.1*float32(i)
		k.m.Put32(args+vecS+uint64(4*i), k.s[i])
	}
	name := strings.TrimSuffix(f.Name, f.T.Suffix)
	if reductions[name] != nil {
		k.out = k.m.Alloc(128)
		k.m.Put64(args+vecN-8, k.out)
	}
	if err := k.m.Run(f, args); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *vecRun) operands(e int) (p, s []float64) {
	for i := range k.x {
		p = append(p, float64(k.x[i][e]))
	}
	for _, v := range k.s {
		s = append(s, float64(v))
	}
	return p, s
}

func (k *vecRun) elements(t *testing.T, meaning func(p, s []float64) []float64) {
	for e := range k.n {
		want := meaning(k.operands(e))
		for i := range k.x {
			got := float64(k.m.Floats(k.addr[i], k.n)[e])
			w := float64(k.x[i][e])
			if i < len(want) {
				w = want[i]
			}
			// Rounding, and the error of the difference quotients.
			if math.Abs(got-w) > 2e-6*(1+math.Abs(w)) {
				t.Fatalf("operand %d, element %d: got %v, want %v", i, e, got, w)
			}
		}
	}
}

func (k *vecRun) reduction(t *testing.T, name string, meaning func(p, s []float64) []float64) {
	var want [2]float64
	if name == "largest" {
		want[0] = math.Inf(-1)
	}
	for e := range k.n {
		for i, v := range meaning(k.operands(e)) {
			if name == "largest" {
				want[i] = max(want[i], v)
			} else {
				want[i] += v
			}
			if got := float64(k.m.Floats(k.addr[0], k.n)[e]); name == "expSum" && math.Abs(got-v) > 1e-6*v {
				t.Fatalf("element %d: got %v, want %v", e, got, v)
			}
		}
	}
	for i, w := range want {
		var got float64
		for l, v := range k.m.Floats(k.out+uint64(64*i), k.f.T.Lanes) {
			if name == "largest" && l > 0 {
				got = max(got, float64(v))
			} else {
				got += float64(v)
			}
		}
		if name == "largest" && i > 0 {
			continue
		}
		if math.Abs(got-w) > 1e-6*float64(k.n) {
			t.Fatalf("sum %d: got %v, want %v", i, got, w)
		}
	}
}
