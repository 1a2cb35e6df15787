package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/kernel/ref"
	"melo.example/melo/internal/par"
)

// attnElems calls f for each type that a kernel set has for attention.
func attnElems(t *testing.T, f func(t *testing.T, e kernel.Elem)) {
	forEach(t, func(t *testing.T) {
		for _, e := range []kernel.Elem{kernel.F32, kernel.BF16} {
			if kernel.Has(e) {
				t.Run(e.String(), func(t *testing.T) { f(t, e) })
			}
		}
	})
}

// randomAttention returns any shape: few keys or many, widths that fill no vector, scales of either sign.
func randomAttention(rng *rand.Rand) attnCase {
	keys := 1 + rng.IntN([]int{8, 40, 70, 230}[rng.IntN(4)])
	return attnCase{images: 1 + rng.IntN(3), queries: 1 + rng.IntN(keys+20), keys: keys, heads: 1 + rng.IntN(3),
		dim: []int{1 + rng.IntN(100), 16 * (1 + rng.IntN(6)), 64, 72}[rng.IntN(4)], scale: []float32{0.125, 0.3, -0.2, 0, 1}[rng.IntN(5)]}
}

// rounds returns n, or fewer where tests are to be short: under emulation, too.
func rounds(n int) int {
	if testing.Short() {
		return max(2, n/4)
	}
	return n
}

// attnOperands are those of one case.
type attnOperands struct{ q, k, v, o kernel.Mat }

func newAttnOperands(rng *rand.Rand, c attnCase, e kernel.Elem) attnOperands {
	width := c.heads * c.dim
	a := attnOperands{kernel.NewBuffer(c.images*c.queries, width), kernel.NewBuffer(c.images*c.keys, width),
		kernel.NewBuffer(c.images*c.keys, width), kernel.NewBuffer(c.images*c.queries, width)}
	for _, m := range []kernel.Mat{a.q, a.k, a.v} {
		for r := range m.Rows {
			for i := range m.Row(r) {
				m.Row(r)[i] = float32(rng.NormFloat64())
				if e == kernel.BF16 { // numbers that lose nothing when they are rounded
					m.Row(r)[i] = math.Float32frombits(math.Float32bits(m.Row(r)[i]) &^ 0xffff)
				}
			}
		}
	}
	return a
}

// TestAttentionOfAnyShape compares with the reference. In bfloat16 the operands are exact, and a probability is off by half a
// unit of its last place, 2^-9: an output by no more than that times the mean size of what it is a mean of.
func TestAttentionOfAnyShape(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	attnElems(t, func(t *testing.T, e kernel.Elem) {
		rng := rand.New(rand.NewPCG(4, uint64(e)))
		for range rounds(14) {
			c := randomAttention(rng)
			a := newAttnOperands(rng, c, e)
			lse := guard(c.images*c.heads*c.queries, 0)
			ex.Attention(kernel.AttnShape{Images: c.images, Queries: c.queries, Keys: c.keys, Heads: c.heads, Scale: c.scale, Elem: e}, a.o, a.q, a.k, a.v, lse.x)
			lse.check(t, "log-sum-exp")
			for image := range c.images {
				for head := range c.heads {
					cut := func(m kernel.Mat, each int) kernel.Mat {
						return part(m, image*each, (image+1)*each, head*c.dim, (head+1)*c.dim)
					}
					v, want := toRef(cut(a.v, c.keys)), lse.x[(image*c.heads+head)*c.queries:][:c.queries]
					o, _, wantLSE := ref.Attention(toRef(cut(a.q, c.queries)), toRef(cut(a.k, c.keys)), v, float64(c.scale))
					what, tol := fmt.Sprintf("%+v, image %d, head %d", c, image, head), 40*u
					if e == kernel.BF16 {
						tol = 1.0/512 + 1e-5
					}
					within(t, what+", log-sum-exp", want, wantLSE, 60, 1)
					size := 0.0
					for _, x := range v.Data {
						size = max(size, abs(x))
					}
					withinMat(t, what, cut(a.o, c.queries), o, tol*size/u)
				}
			}
		}
	})
}

// TestAttentionGradOfAnyShape compares with the reference. In bfloat16 probabilities, gradients of scores and the output that
// they are made from are off by 2^-9 each, and their errors are as good as independent: a fraction of a percent of all.
func TestAttentionGradOfAnyShape(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	attnElems(t, func(t *testing.T, e kernel.Elem) {
		rng := rand.New(rand.NewPCG(7, uint64(e)))
		for i := range rounds(12) {
			c := randomAttention(rng)
			if i == 0 {
				c = attnCase{1, 250, 40, 1, 16, 0.25} // more queries than one product sums over
			}
			a := newAttnOperands(rng, c, e)
			do := newAttnOperands(rng, c, e).q
			width := c.heads * c.dim
			dq, dk, dv := kernel.NewBuffer(a.q.Rows, width), kernel.NewBuffer(a.k.Rows, width), kernel.NewBuffer(a.k.Rows, width)
			lse := make([]float32, c.images*c.heads*c.queries)
			shape := kernel.AttnShape{Images: c.images, Queries: c.queries, Keys: c.keys, Heads: c.heads, Scale: c.scale, Elem: e}
			ex.Attention(shape, a.o, a.q, a.k, a.v, lse)
			ex.AttentionGrad(shape, dq, dk, dv, do, a.o, a.q, a.k, a.v, lse)
			for image := range c.images {
				for head := range c.heads {
					cut := func(m kernel.Mat, each int) kernel.Mat {
						return part(m, image*each, (image+1)*each, head*c.dim, (head+1)*c.dim)
					}
					wantQ, wantK, wantV := ref.AttentionGrad(toRef(cut(do, c.queries)), toRef(cut(a.q, c.queries)), toRef(cut(a.k, c.keys)),
						toRef(cut(a.v, c.keys)), float64(c.scale))
					tol := 1e-5
					if e == kernel.BF16 {
						tol = 0.006
					}
					what := fmt.Sprintf("%+v, image %d, head %d: ", c, image, head)
					closeInNorm(t, what+"dq", cut(dq, c.queries), wantQ, tol)
					closeInNorm(t, what+"dk", cut(dk, c.keys), wantK, tol)
					closeInNorm(t, what+"dv", cut(dv, c.keys), wantV, tol)
				}
			}
		}
	})
}

// closeInNorm compares the norm of the difference with that of want, or with that of a hundredth in each element.
func closeInNorm(t *testing.T, what string, got kernel.Mat, want ref.Mat, tol float64) {
	t.Helper()
	var diff, size float64
	for r := range got.Rows {
		for i, v := range want.Row(r) {
			d := float64(got.Row(r)[i]) - v
			diff += d * d
			size += v * v
		}
	}
	if size = max(size, 1e-4*float64(got.Rows*got.Cols)); !(diff <= tol*tol*size) {
		t.Fatalf("%s is off by %.3g of its norm, allowed are %.3g", what, math.Sqrt(diff/size), tol)
	}
}

// TestAttentionAlone: an output has the same bits whatever is computed beside it: other images, other queries, on one worker
// or on several, with and without log-sum-exps.
func TestAttentionAlone(t *testing.T) {
	attnElems(t, func(t *testing.T, e kernel.Elem) {
		rng := rand.New(rand.NewPCG(5, uint64(e)))
		for range rounds(12) {
			c := randomAttention(rng)
			a := newAttnOperands(rng, c, e)
			shape := kernel.AttnShape{Images: c.images, Queries: c.queries, Keys: c.keys, Heads: c.heads, Scale: c.scale, Elem: e}
			attend := func(workers int, s kernel.AttnShape, q, k, v kernel.Mat) kernel.Mat {
				pool := par.New(workers)
				defer pool.Close()
				o := kernel.NewBuffer(q.Rows, q.Cols)
				kernel.NewExec(pool).Attention(s, o, q, k, v, nil)
				return o
			}
			o := attend(1, shape, a.q, a.k, a.v)
			for r, row := range rowsOf(attend(3, shape, a.q, a.k, a.v)) {
				sameBits(t, fmt.Sprintf("%+v: on three workers, row %d", c, r), row, o.Row(r))
			}
			image, first := rng.IntN(c.images), rng.IntN(c.queries)
			few := shape
			few.Images, few.Queries = 1, c.queries-first
			k0, k1 := image*c.keys, (image+1)*c.keys
			alone := attend(1, few, a.q.RowRange(image*c.queries+first, (image+1)*c.queries), a.k.RowRange(k0, k1), a.v.RowRange(k0, k1))
			for r, row := range rowsOf(alone) {
				sameBits(t, fmt.Sprintf("%+v: some queries of one image, row %d", c, r), row, o.Row(image*c.queries+first+r))
			}
		}
	})
}

func rowsOf(m kernel.Mat) (rows [][]float32) {
	for r := range m.Rows {
		rows = append(rows, m.Row(r))
	}
	return rows
}

// TestAttentionOfWhatIsNotFinite: an operand that is no number makes every output that it enters none.
func TestAttentionOfWhatIsNotFinite(t *testing.T) {
	pool := par.New(1)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	attnElems(t, func(t *testing.T, e kernel.Elem) {
		for _, odd := range []float32{float32(math.NaN()), -float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for _, keys := range []int{3, 16, 45} {
				c := attnCase{1, 20, keys, 1, 16, 0.25}
				a := newAttnOperands(rand.New(rand.NewPCG(6, 6)), c, e)
				a.q.Row(7)[3] = odd
				shape := kernel.AttnShape{Images: 1, Queries: c.queries, Keys: c.keys, Heads: 1, Scale: c.scale, Elem: e}
				ex.Attention(shape, a.o, a.q, a.k, a.v, nil)
				for r, row := range rowsOf(a.o) {
					if finite := kernel.AllFinite(row); finite != (r != 7) {
						t.Fatalf("query 7 of %d keys with %v: row %d is %v", keys, odd, r, row)
					}
				}
			}
		}
	})
}
