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
	k.args = k.m.Alloc(gridSize)
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
	case "gridExp2":
		k := newGridRun(f, rows, n, n+1, 1)
		for r := range rows {
			k.x[1][r] += 3 // about the largest
			k.m.Put32(k.addr[1]+uint64(4*r), k.x[1][r])
		}
		k.run(t)
		k.each(func(r, c int) {
			want := math.Exp2(s*k.before(0, r, c) - k.before(1, r, 0))
			if got := k.after(0, r, c); math.Abs(got-want) > 6e-6*want {
				t.Fatalf("got %v, want %v", got, want)
			}
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
	case "gridLargest":
		checkLargest(t, f, rows, n)
	case "gridSoftmax", "gridSoftmaxBF16":
		checkExponentials(t, f, rows, n)
	case "gridCopy":
		k := newGridRun(f, rows, n, n+1, n+2)
		k.run(t)
		k.each(func(r, c int) { same(t, "copy", c, k.after(0, r, c), k.before(1, r, c)) })
		k.unchanged(t, 0)
	case "gridOver", "gridOverBF16":
		checkOver(t, f, rows, n)
	case "gridPairBF16":
		k := newGridRun(f, rows, n, n+1, n+2, n+3)
		k.run(t)
		k.each(func(r, c int) {
			word := k.m.Floats(k.addr[0]+uint64(4*(r*k.stride[0]+c)), 1)[0]
			for i := range 2 {
				same(t, "number of a pair", c, bfloat16.number(word, i, true), bf16Of(k.before(1+i, r, c)))
			}
		})
		k.unchanged(t, 0)
	default:
		t.Fatal("no meaning for this kernel")
	}
}

// bf16Of rounds to bfloat16.
func bf16Of(x float64) float64 {
	return float64(widen(uint32(roundBF16(math.Float32bits(float32(x))))))
}

// half returns number c of row r of operand 0, which has bfloat16.
func (k *gridRun) half(r, c int) float64 {
	return bfloat16.number(k.m.Floats(k.addr[0]+uint64(4*(r*k.stride[0]+c/2)), 1)[0], c%2, true)
}

func checkOver(t *testing.T, f *Func, rows, n int) {
	words, strides := 0, []int{n + 1, n + 2, 1}
	if strings.Contains(f.Name, "BF16") {
		words, strides = 1, []int{n/2 + 1, n + 1, n + 2, 1}
	}
	k := newGridRun(f, rows, n, strides...)
	k.run(t)
	k.each(func(r, c int) {
		want := k.before(words+1, r, c) / k.before(words+2, r, 0)
		closeTo(t, "quotient", k.after(words, r, c), want)
		if words > 0 {
			same(t, "word", c, k.half(r, c), bf16Of(k.after(words, r, c)))
		}
	})
	k.unchanged(t, words)
	if words > 0 {
		k.unchangedFrom(t, 0, n/2)
	}
}

// checkLargest leaves the last column out by what is added to it.
func checkLargest(t *testing.T, f *Func, rows, n int) {
	k := newGridRun(f, rows, n, n+1, 1, 0, 1)
	k.m.Put64(k.args+gridP+8, k.addr[0]+uint64(4*(n-f.T.Lanes)))
	k.m.Put64(k.args+gridLD+8, uint64(4*k.stride[0]))
	for l := range f.T.Lanes {
		fill := float32(0)
		if l == f.T.Lanes-1 {
			fill = float32(math.Inf(-1))
		}
		k.m.Put32(k.addr[2]+uint64(4*l), fill)
	}
	k.run(t)
	for r := range rows {
		largest := math.Inf(-1)
		for c := range n - 1 {
			largest = max(largest, k.before(0, r, c))
			same(t, "number", c, k.after(0, r, c), k.before(0, r, c))
		}
		closeTo(t, "largest", k.after(3, r, 0), float64(float32(0.7))*largest)
		same(t, "beyond the end", r, k.after(0, r, n-1), math.Inf(-1))
	}
	k.unchanged(t, 0)
}

// checkExponentials: the kernel that makes words does so in the place of its numbers.
func checkExponentials(t *testing.T, f *Func, rows, n int) {
	words, exp, strides := 0, math.Exp, []int{n + 1, 1, 1}
	if strings.Contains(f.Name, "BF16") {
		words, exp, strides = 1, math.Exp2, []int{n + 1, n + 1, 1, 1}
	}
	k := newGridRun(f, rows, n, strides...)
	k.m.Put64(k.args+gridP, k.addr[words])
	k.addr[0] = k.addr[words]
	for r := range rows {
		k.x[words+1][r] += 5
		k.m.Put32(k.addr[words+1]+uint64(4*r), k.x[words+1][r])
		k.x[words][r*k.stride[words]+n-1] = float32(math.Inf(-1))
		k.m.Put32(k.addr[words]+uint64(4*(r*k.stride[words]+n-1)), float32(math.Inf(-1)))
	}
	k.run(t)
	for r := range rows {
		sum := 0.0
		for c := range n {
			want := exp(float64(float32(0.7))*k.before(words, r, c) - k.before(words+1, r, 0))
			sum += want
			switch {
			case words == 0:
				closeTo(t, "exponential", k.after(0, r, c)*math.Exp(5), want*math.Exp(5))
			case math.Abs(k.half(r, c)-want) > want/250:
				t.Errorf("exponential: got %v, want %v", k.half(r, c), want)
			}
		}
		if got := k.after(words+2, r, 0); math.Abs(got-sum) > 1e-5*sum {
			t.Errorf("sum: got %v, want %v", got, sum)
		}
	}
	for at, v := range k.m.Floats(k.addr[words], len(k.x[words])) {
		if (at%k.stride[words] >= n || at/k.stride[words] >= rows) && v != k.x[words][at] {
			t.Fatalf("written at %d, beside the rows", at)
		}
	}
}
