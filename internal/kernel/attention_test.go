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

// matrix returns a guarded matrix of random numbers with extra columns between its rows, which are guarded, too.
func matrix(rng *rand.Rand, rows, cols, extra int) (kernel.Mat, *guarded) {
	g := guard(max(0, rows*(cols+extra)-extra), 1)
	m := kernel.Mat{Data: g.x, Rows: rows, Cols: cols, Stride: cols + extra}
	for i := range g.x {
		g.x[i] = math.Float32frombits(pattern)
	}
	if rows > 0 {
		for r := range rows {
			for c := range m.Row(r) {
				m.Row(r)[c] = float32(rng.NormFloat64())
			}
		}
	}
	return m, g
}

// checkMatrix looks after the margins of m.
func checkMatrix(t *testing.T, what string, m kernel.Mat, g *guarded) {
	t.Helper()
	g.check(t, what)
	for i, v := range g.x {
		if i%m.Stride >= m.Cols && math.Float32bits(v) != pattern {
			t.Fatalf("%s: written between rows, at row %d, column %d of %d", what, i/m.Stride, i%m.Stride, m.Cols)
		}
	}
}

func toRef(m kernel.Mat) ref.Mat {
	r := ref.NewMat(m.Rows, m.Cols)
	for i := range m.Rows {
		copy(r.Row(i), float64s(m.Row(i)))
	}
	return r
}

func part(m kernel.Mat, r0, r1, c0, c1 int) kernel.Mat { return m.RowRange(r0, r1).ColRange(c0, c1) }

type attnCase struct {
	images, queries, keys, heads, dim int
	scale                             float32
}

var attnCases = []attnCase{
	{1, 1, 1, 1, 1, 1}, {1, 2, 3, 1, 4, 0.5}, {2, 5, 5, 3, 8, 0.35}, {1, 17, 17, 2, 16, 0.25}, {1, 1, 50, 3, 64, 0.125},
	{2, 33, 16, 1, 32, 2}, {1, 64, 64, 1, 5, -0.5}, {1, 70, 70, 2, 24, 0.3}, {1, 210, 48, 1, 16, 0.25}, {1, 230, 230, 1, 8, 0.35},
}

// TestAttention compares with the reference, forward and backward. Errors are those of two products and a
// softmax, relative to the largest element.
func TestAttention(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, c := range attnCases {
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { checkAttention(t, c) })
		}
	})
}

func checkAttention(t *testing.T, c attnCase) {
	rng := rand.New(rand.NewPCG(uint64(c.queries), uint64(c.keys)))
	pool := par.New(2)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	width := c.heads * c.dim
	q, _ := matrix(rng, c.images*c.queries, width, 3)
	k, _ := matrix(rng, c.images*c.keys, width, 5)
	v, _ := matrix(rng, c.images*c.keys, width, 0)
	do, _ := matrix(rng, c.images*c.queries, width, 1)
	o, gradO := matrix(rng, c.images*c.queries, width, 2)
	dq, gq := matrix(rng, c.images*c.queries, width, 2)
	dk, gk := matrix(rng, c.images*c.keys, width, 2)
	dv, gv := matrix(rng, c.images*c.keys, width, 2)
	shape := kernel.AttnShape{Images: c.images, Queries: c.queries, Keys: c.keys, Heads: c.heads, Scale: c.scale}
	lse := guard(c.images*c.heads*c.queries, 0)
	ex.Attention(shape, o, q, k, v, lse.x)
	again, _ := matrix(rng, c.images*c.queries, width, 0)
	ex.Attention(shape, again, q, k, v, nil)
	for r := range o.Rows {
		sameBits(t, "attention without log-sum-exp", again.Row(r), o.Row(r))
	}
	ex.AttentionGrad(shape, dq, dk, dv, do, o, q, k, v, lse.x)
	lse.check(t, "log-sum-exp")
	for i, g := range []*guarded{gradO, gq, gk, gv} {
		checkMatrix(t, "result", []kernel.Mat{o, dq, dk, dv}[i], g)
	}
	for image := range c.images {
		for head := range c.heads {
			cut := func(m kernel.Mat, each int) kernel.Mat {
				return part(m, image*each, (image+1)*each, head*c.dim, (head+1)*c.dim)
			}
			rq, rk, rv, rdo := toRef(cut(q, c.queries)), toRef(cut(k, c.keys)), toRef(cut(v, c.keys)), toRef(cut(do, c.queries))
			wantO, _, wantLSE := ref.Attention(rq, rk, rv, float64(c.scale))
			wantQ, wantK, wantV := ref.AttentionGrad(rdo, rq, rk, rv, float64(c.scale))
			within(t, "log-sum-exp", lse.x[(image*c.heads+head)*c.queries:][:c.queries], wantLSE, 20, 1)
			withinMat(t, "o", cut(o, c.queries), wantO, 40)
			withinMat(t, "dq", cut(dq, c.queries), wantQ, 100)
			withinMat(t, "dk", cut(dk, c.keys), wantK, 100)
			withinMat(t, "dv", cut(dv, c.keys), wantV, 100)
		}
	}
}

// TestAttentionBias: scores with a bias are, with the reference, those of one more number in each query and key.
func TestAttentionBias(t *testing.T) {
	forEach(t, func(t *testing.T) {
		for _, c := range []attnCase{{2, 5, 5, 2, 8, 0.35}, {1, 1, 7, 3, 4, 0.5}, {3, 70, 70, 2, 16, 0.25}} {
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { checkAttentionBias(t, c) })
		}
	})
}

func checkAttentionBias(t *testing.T, c attnCase) {
	rng := rand.New(rand.NewPCG(uint64(c.queries), 3))
	pool := par.New(2)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	width := c.heads * c.dim
	q, _ := matrix(rng, c.images*c.queries, width, 3)
	k, _ := matrix(rng, c.images*c.keys, width, 5)
	v, _ := matrix(rng, c.images*c.keys, width, 0)
	do, _ := matrix(rng, c.images*c.queries, width, 1)
	bias, _ := matrix(rng, c.heads*c.keys, c.keys, 0)
	o, dq, dk, dv := kernel.NewMat(q.Rows, width), kernel.NewMat(q.Rows, width), kernel.NewMat(k.Rows, width), kernel.NewMat(k.Rows, width)
	dbias := make([]float32, len(bias.Data))
	lse := make([]float32, c.images*c.heads*c.queries)
	shape := kernel.AttnShape{Images: c.images, Queries: c.queries, Keys: c.keys, Heads: c.heads, Scale: c.scale, Bias: bias.Data}
	ex.Attention(shape, o, q, k, v, lse)
	shape.DBias = dbias
	ex.AttentionGrad(shape, dq, dk, dv, do, o, q, k, v, lse)
	wantBias := make([]float64, len(dbias))
	for image := range c.images {
		for head := range c.heads {
			cut := func(m kernel.Mat, each int) kernel.Mat {
				return part(m, image*each, (image+1)*each, head*c.dim, (head+1)*c.dim)
			}
			// q' = [q, bias/scale] and k' = [k, 1 for the key]: scale q' k'ᵀ is the score with its bias.
			rq, rk := ref.NewMat(c.queries, c.dim+c.keys), ref.NewMat(c.keys, c.dim+c.keys)
			for r := range c.queries {
				copy(rq.Row(r), float64s(cut(q, c.queries).Row(r)))
				for j, b := range bias.Row(head*c.keys + r) {
					rq.Row(r)[c.dim+j] = float64(b) / float64(c.scale)
				}
			}
			for r := range c.keys {
				copy(rk.Row(r), float64s(cut(k, c.keys).Row(r)))
				rk.Row(r)[c.dim+r] = 1
			}
			rv, rdo := toRef(cut(v, c.keys)), toRef(cut(do, c.queries))
			wantO, _, _ := ref.Attention(rq, rk, rv, float64(c.scale))
			wantQ, wantK, wantV := ref.AttentionGrad(rdo, rq, rk, rv, float64(c.scale))
			for r := range c.queries {
				for j, g := range wantQ.Row(r)[c.dim:] {
					wantBias[(head*c.keys+r)*c.keys+j] += g / float64(c.scale)
				}
			}
			for _, x := range []struct {
				what string
				got  kernel.Mat
				want ref.Mat
			}{{"o", cut(o, c.queries), wantO}, {"dq", cut(dq, c.queries), wantQ}, {"dk", cut(dk, c.keys), wantK}, {"dv", cut(dv, c.keys), wantV}} {
				narrow := ref.NewMat(x.got.Rows, c.dim)
				for r := range narrow.Rows {
					copy(narrow.Row(r), x.want.Row(r))
				}
				withinMat(t, x.what, x.got, narrow, 100)
			}
		}
	}
	within(t, "bias", dbias, wantBias, 100, 1)
}

func withinMat(t *testing.T, what string, got kernel.Mat, want ref.Mat, tol float64) {
	t.Helper()
	size := 0.1
	for _, v := range want.Data {
		size = max(size, abs(v))
	}
	for r := range got.Rows {
		within(t, fmt.Sprintf("%s, row %d", what, r), got.Row(r), want.Row(r), tol, size)
	}
}
