package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// gridRun is one run of a kernel over rows of n columns; operands are rows apart by stride elements, 0 for one
// row that is the same for all.
type gridRun struct {
	m       Machine
	f       *Func
	rows, n int
	x       [6][]float32 // before
	addr    [6]uint64
	stride  [6]int
	args    uint64
}

func newGridRun(f *Func, rows, n int, strides ...int) *gridRun {
	k := &gridRun{f: f, rows: rows, n: n}
	rng := rand.New(rand.NewPCG(uint64(n), 9))
	k.args = k.m.Alloc(gridLanes + 64)
	for i, s := range strides {
		k.stride[i] = s
		k.x[i] = random(rng, max((rows-1)*s+n, rows+f.T.Lanes))
		k.addr[i] = k.m.AllocFloats(k.x[i])
		k.m.Put64(k.args+gridP+uint64(8*i), k.addr[i])
		k.m.Put64(k.args+gridLD+uint64(8*i), uint64(4*s))
	}
	k.m.Put64(k.args+gridN, uint64(n))
	k.m.Put64(k.args+gridRows, uint64(rows))
	k.m.Put32(k.args+gridS, 0.7)
	return k
}

func (k *gridRun) run(t *testing.T) {
	t.Helper()
	if err := k.m.Run(k.f, k.args); err != nil {
		t.Fatal(err)
	}
}

func (k *gridRun) before(i, r, c int) float64 { return float64(k.x[i][r*k.stride[i]+c]) }
func (k *gridRun) after(i, r, c int) float64 {
	return float64(k.m.Floats(k.addr[i]+uint64(4*(r*k.stride[i]+c)), 1)[0])
}

// unchanged checks that nothing was written between the rows of operand i.
func (k *gridRun) unchanged(t *testing.T, i int) { t.Helper(); k.unchangedFrom(t, i, k.n) }

// unchangedFrom is unchanged for rows of so many words.
func (k *gridRun) unchangedFrom(t *testing.T, i, words int) {
	t.Helper()
	for at, v := range k.m.Floats(k.addr[i], len(k.x[i])) {
		if (at%k.stride[i] >= words || at/k.stride[i] >= k.rows) && v != k.x[i][at] {
			t.Fatalf("operand %d is written at %d", i, at)
		}
	}
}

func forGrids(t *testing.T, f func(t *testing.T, target *Target, f *Func, name string, rows, n int)) {
	for _, target := range targets {
		for _, fn := range gridFuncs(target) {
			for _, vectors := range []int{1, 2, 5} {
				t.Run(fmt.Sprintf("%s/%d", fn.Name, vectors), func(t *testing.T) {
					f(t, target, fn, strings.TrimSuffix(fn.Name, target.Suffix), 3, vectors*target.Lanes)
				})
			}
		}
	}
}

func closeTo(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 2e-6*(1+math.Abs(want))) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// TestGridKernels interprets every kernel over rows of every target and compares with its meaning.
func TestGridKernels(t *testing.T) {
	acts := map[string]func(float64) float64{"gridGeluErf": gelu, "gridGeluTanh": geluTan, "gridGeluQuick": quick}
	narrow := func(k *gridRun, r, c int) float64 {
		at := r*k.stride[0] + c/2
		return bfloat16.number(k.m.Floats(k.addr[0]+uint64(4*at), 1)[0], c%2, true)
	}
	forGrids(t, func(t *testing.T, target *Target, f *Func, name string, rows, n int) {
		switch {
		case acts[name] != nil:
			k := newGridRun(f, rows, n, n+1, n+2, n+3, 0)
			k.run(t)
			k.each(func(r, c int) {
				x := k.before(1, r, c) + k.before(3, 0, c)
				closeTo(t, "pre", k.after(2, r, c), x)
				closeTo(t, name, k.after(0, r, c), acts[name](x))
			})
			k.unchanged(t, 0)
			k.unchanged(t, 2)
		case name == "gridBF16" || acts[strings.TrimSuffix(name, "BF16")] != nil:
			f32 := acts[strings.TrimSuffix(name, "BF16")]
			k := newGridRun(f, rows, n, n/2+1, n+2, n+3, 0)
			k.run(t)
			k.each(func(r, c int) {
				x := k.before(1, r, c)
				if f32 != nil {
					x += k.before(3, 0, c)
					closeTo(t, "pre", k.after(2, r, c), x)
					x = f32(x)
				}
				if got := narrow(k, r, c); math.Abs(got-x) > math.Abs(x)/256+2e-6 {
					t.Fatalf("%s: got %v, want %v", name, got, x)
				}
			})
			k.unchangedFrom(t, 0, n/2)
		case strings.HasPrefix(name, "gridBias"):
			k := newGridRun(f, rows, n, n+1, n+2, 0, n+3, n+4)
			if name == "gridBiasScaleAdd" {
				k = newGridRun(f, rows, n, n+1, n+2, 0, 0, n+4)
			}
			k.run(t)
			k.each(func(r, c int) {
				want := k.before(1, r, c) + k.before(2, 0, c)
				switch name {
				case "gridBiasAdd":
					want += k.before(3, r, c)
				case "gridBiasScaleAdd":
					want = want*k.before(3, 0, c) + k.before(4, r, c)
				}
				closeTo(t, name, k.after(0, r, c), want)
			})
			k.unchanged(t, 0)
		default:
			checkAttentionKernel(t, f, name, rows, n)
		}
	})
}

func (k *gridRun) each(f func(r, c int)) {
	for r := range k.rows {
		for c := range k.n {
			f(r, c)
		}
	}
}

func checkAttentionKernel(t *testing.T, f *Func, name string, rows, n int) {
	const s = float64(float32(0.7))
	switch name {
	case "gridExp":
		k := newGridRun(f, rows, n, n+1, 1)
		k.run(t)
		k.each(func(r, c int) {
			closeTo(t, name, k.after(0, r, c), math.Exp(s*k.before(0, r, c)-k.before(1, r, 0)))
		})
		k.unchanged(t, 0)
	case "gridDot":
		k := newGridRun(f, rows, n, n+1, n+2, 1)
		k.run(t)
		for r := range rows {
			want := 0.0
			for c := range n {
				want += k.before(0, r, c) * k.before(1, r, c)
			}
			closeTo(t, name, k.after(2, r, 0)/10, want/10)
		}
	case "gridSoftmaxGrad":
		k := newGridRun(f, rows, n, n+1, n+2, n+3, 1)
		k.run(t)
		k.each(func(r, c int) {
			closeTo(t, name, k.after(0, r, c), s*k.before(1, r, c)*(k.before(2, r, c)-k.before(3, r, 0)))
		})
		k.unchanged(t, 0)
	case "gridSoftmax":
		checkSoftmaxKernel(t, f, rows, n)
	default:
		t.Fatal("no meaning for this kernel")
	}
}

// checkSoftmaxKernel leaves the last column out by the mask.
func checkSoftmaxKernel(t *testing.T, f *Func, rows, n int) {
	k := newGridRun(f, rows, n, n+1, n+1, 1, 1, 0, 0)
	k.m.Put64(k.args+gridP+8, k.addr[0]+uint64(4*(n-f.T.Lanes)))
	for l := range f.T.Lanes {
		keep, fill := uint32(math.MaxUint32), uint32(0)
		if l == f.T.Lanes-1 {
			keep, fill = fill, minusInf
		}
		k.m.Put32(k.addr[4]+uint64(4*l), math.Float32frombits(keep))
		k.m.Put32(k.addr[5]+uint64(4*l), math.Float32frombits(fill))
	}
	k.run(t)
	const s = float64(float32(0.7))
	for r := range rows {
		largest, sum := math.Inf(-1), 0.0
		for c := range n - 1 {
			largest = max(largest, s*k.before(0, r, c))
		}
		for c := range n - 1 {
			sum += math.Exp(s*k.before(0, r, c) - largest)
		}
		closeTo(t, "maximum", k.after(2, r, 0), largest)
		closeTo(t, "sum", k.after(3, r, 0)/10, sum/10)
		for c := range n - 1 {
			closeTo(t, "probability", k.after(0, r, c), math.Exp(s*k.before(0, r, c)-largest)/sum)
		}
		closeTo(t, "masked", k.after(0, r, n-1), 0)
	}
	k.unchanged(t, 0)
}
