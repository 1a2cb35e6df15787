package main

import "slices"

// epilogueFuncs finish a product y while it is in the cache. Operands are c, y, then those in the name. Bias
// and scale rows have a stride of 0.
func epilogueFuncs(t *Target) []*Func {
	sum := func(name, doc string, operands int, body func(g *grid, y V)) *Func {
		g := newGrid(t, name, doc, operands, 0, 0, 8)
		return g.eachRow(func() {
			g.columns(2, func(int) {
				y, bias := g.load(1), g.load(2)
				g.Op2(VAdd, y, y, bias)
				g.FreeV(bias)
				if body != nil {
					body(g, y)
				}
				g.store(0, y)
			})
		})
	}
	act := func(name string, half int, f func(v *vec, x V) V) *Func {
		doc := "sets c, y, pre, bias: pre = y + bias, c = the activation of that."
		if half != whole {
			doc = "sets c, y, pre, bias: pre = y + bias, c = the activation of that, as bfloat16."
		}
		g := newGrid(t, name, doc, 4, 0, 0, 7)
		g.half = half
		return g.eachRow(func() {
			g.columns(1, func(int) {
				x, bias := g.load(1), g.load(3)
				g.Op2(VAdd, x, x, bias)
				g.FreeV(bias)
				g.Store(At(g.p[2], g.disp), x)
				y := f(g.vec, x)
				g.FreeV(x)
				g.store(0, y)
			})
		})
	}
	fs := []*Func{
		sum("gridBias", "sets c = y + bias.", 3, nil),
		sum("gridBiasAdd", "sets c = y + bias + residual.", 4, func(g *grid, y V) {
			r := g.load(3)
			g.Op2(VAdd, y, y, r)
			g.FreeV(r)
		}),
		sum("gridBiasScaleAdd", "sets c = (y + bias)*scale + residual.", 5, func(g *grid, y V) {
			s, r := g.load(3), g.load(4)
			g.Op2(VFMA, r, y, s)
			g.Move(y, r)
			g.FreeV(s, r)
		}),
		act("gridGeluErf", whole, geluErf), act("gridGeluTanh", whole, geluTanh.value), act("gridGeluQuick", whole, geluQuick.value),
	}
	if slices.Contains(elements(t), bfloat16) {
		fs = append(fs, roundRows(t), act("gridGeluErfBF16", 0, geluErf), act("gridGeluTanhBF16", 0, geluTanh.value), act("gridGeluQuickBF16", 0, geluQuick.value))
	}
	return fs
}

// roundRows rounds rows as narrowBF16 does.
func roundRows(t *Target) *Func {
	g := newGrid(t, "gridBF16", "sets c = bfloat16 of y.", 2, 0, 0, 8)
	g.half = 0
	return g.eachRow(func() {
		g.columns(2, func(int) { g.store(0, g.load(1)) })
	})
}

// attentionFuncs are the softmax of attention and its gradient, over rows of whole vectors.
func attentionFuncs(t *Target) []*Func {
	return []*Func{softmaxRows(t), expRows(t), dotRows(t), softmaxGradRows(t)}
}

// softmaxRows has these operands: x; the last vector of each row, which mask and fill set to -Inf beyond the
// end; results maximum and sum, one float32 per row, stored as vectors that the next row's overwrites.
func softmaxRows(t *Target) *Func {
	g := newGrid(t, "gridSoftmax", "sets x = e^(o.s[0]*x - m) / sum. Operands x, its last vectors, m and sum (results), mask and fill (bits of the last vectors to keep and to set).", 1, 5, 1, 8)
	last, largest, sum, mask, fill := g.still[0], g.still[1], g.still[2], g.still[3], g.still[4]
	return g.eachRow(func() {
		x, b := g.V(), g.V()
		g.Load(x, At(last, 0))
		g.Load(b, At(mask, 0))
		g.Op2(VAnd, x, x, b)
		g.Load(b, At(fill, 0))
		g.Op2(VOr, x, x, b)
		g.Store(At(last, 0), x)
		g.FreeV(x, b)

		acc := g.Vs(4)
		for _, a := range acc {
			g.ConstBits(a, minusInf)
		}
		g.columns(4, func(j int) {
			x := g.load(0)
			g.Op2(VMul, x, x, g.s[0])
			g.Op2(VMax, acc[j], acc[j], x)
			g.FreeV(x)
		})
		for i := range 2 {
			g.Op2(VMax, acc[i], acc[i], acc[i+2])
		}
		g.Op2(VMax, acc[0], acc[0], acc[1])
		g.FreeV(acc[1:]...)
		m := acc[0]
		g.spread(VMax, m)
		g.Store(At(largest, 0), m)

		g.rewind()
		total := g.V()
		g.Zero(total)
		g.columns(1, func(int) {
			x := g.load(0)
			g.Op2(VMul, x, x, g.s[0])
			g.Op2(VSub, x, x, m)
			y := g.exp(x, true)
			g.Op2(VAdd, total, total, y)
			g.store(0, y)
		})
		g.spread(VAdd, total)
		g.Store(At(sum, 0), total)

		g.rewind()
		g.kOp(VDiv, total, 1, total)
		g.columns(4, func(int) {
			x := g.load(0)
			g.Op2(VMul, x, x, total)
			g.store(0, x)
		})
		g.FreeV(m, total)
	})
}

const minusInf = 0xff800000

// expRows has the operands x and one float32 per row.
func expRows(t *Target) *Func {
	g := newGrid(t, "gridExp", "sets x = e^(o.s[0]*x - lse). Operands x, lse.", 1, 1, 1, 8)
	return g.eachRow(func() {
		lse := g.V()
		g.Dup(lse, At(g.still[0], 0))
		g.columns(1, func(int) {
			x := g.load(0)
			g.Op2(VMul, x, x, g.s[0])
			g.Op2(VSub, x, x, lse)
			g.store(0, g.exp(x, false))
		})
		g.FreeV(lse)
	})
}

// dotRows has the operands a, b and the result, one float32 per row, stored as a vector that the next row's
// overwrites.
func dotRows(t *Target) *Func {
	g := newGrid(t, "gridDot", "sums a*b. Operands a, b, the sums.", 2, 1, 0, 10)
	return g.eachRow(func() {
		acc := g.zeros(2)
		g.columns(2, func(j int) {
			a, b := g.load(0), g.load(1)
			g.Op2(VFMA, acc[j], a, b)
			g.FreeV(a, b)
		})
		g.Op2(VAdd, acc[0], acc[0], acc[1])
		g.spread(VAdd, acc[0])
		g.Store(At(g.still[0], 0), acc[0])
		g.FreeV(acc...)
	})
}

// softmaxGradRows has the operands ds, p, dp and one float32 per row.
func softmaxGradRows(t *Target) *Func {
	g := newGrid(t, "gridSoftmaxGrad", "sets ds = o.s[0] * p * (dp - delta). Operands ds, p, dp, delta.", 3, 1, 1, 8)
	return g.eachRow(func() {
		delta := g.V()
		g.Dup(delta, At(g.still[0], 0))
		g.columns(2, func(int) {
			p, dp := g.load(1), g.load(2)
			g.Op2(VMul, p, p, g.s[0])
			g.Op2(VSub, dp, dp, delta)
			g.Op2(VMul, p, p, dp)
			g.FreeV(dp)
			g.store(0, p)
		})
		g.FreeV(delta)
	})
}

// gridFuncs are the kernels over the rows of matrices.
func gridFuncs(t *Target) []*Func { return append(epilogueFuncs(t), attentionFuncs(t)...) }
