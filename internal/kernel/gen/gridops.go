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

// attentionFuncs are what attention does beside its products, over rows of whole vectors.
func attentionFuncs(t *Target) []*Func {
	fs := []*Func{largestRows(t), exponentialRows(t, whole), overRows(t, whole), copyRows(t), expRows(t), dotRows(t), softmaxGradRows(t)}
	if slices.Contains(elements(t), bfloat16) {
		fs = append(fs, exponentialRows(t, 0), exp2Rows(t), overRows(t, 0), pairRows(t))
	}
	return fs
}

// largestRows: x; the last vector of each row, to which fill adds 0 or, beyond the end, -Inf; and the result, a float32 a row,
// stored as vectors that the next row's overwrite.
func largestRows(t *Target) *Func {
	g := newGrid(t, "gridLargest", "finds the largest of o.s[0] * x, for o.s[0] above 0. Operands x, its last vectors, what is added to them, the largest.", 1, 3, 1, 8)
	last, fill, largest := g.still[0], g.still[1], g.still[2]
	return g.eachRow(func() {
		x, b := g.V(), g.V()
		g.Load(x, At(last, 0))
		g.Load(b, At(fill, 0))
		g.Op2(VAdd, x, x, b)
		g.Store(At(last, 0), x)
		g.FreeV(b)
		acc := append(g.Vs(3), x)
		for _, a := range acc[:3] {
			g.Move(a, x)
		}
		g.columns(4, func(j int) {
			x := g.load(0)
			g.Op2(VMax, acc[j], acc[j], x)
			g.FreeV(x)
		})
		for i := range 2 {
			g.Op2(VMax, acc[i], acc[i], acc[i+2])
		}
		g.Op2(VMax, acc[0], acc[0], acc[1])
		g.spread(VMax, acc[0])
		g.Op2(VMul, acc[0], acc[0], g.s[0])
		g.Store(At(largest, 0), acc[0])
		g.FreeV(acc...)
	})
}

// exponentialRows: x, a float32 for each row to be subtracted, and the result, as that of largestRows; with half, the bfloat16 of
// the exponentials, to the base of two, before them.
func exponentialRows(t *Target, half int) *Func {
	name, doc, moving := "gridSoftmax", "sets x = e^(o.s[0]*x - m) and sums it. Operands x, m, the sums.", 1
	if half != whole {
		name, doc, moving = "gridSoftmaxBF16", "sets c = bfloat16 of 2^(o.s[0]*x - m) and sums the numbers. Operands c, x, m, the sums.", 2
	}
	g := newGrid(t, name, doc, moving, 2, 1, 9)
	g.half = half
	return g.eachRow(func() {
		m, total := g.V(), g.V()
		g.Dup(m, At(g.still[0], 0))
		g.Zero(total)
		g.Op2(VSub, m, total, m)
		g.columns(1, func(int) {
			x, y := g.load(moving-1), g.V()
			g.Move(y, m)
			g.Op2(VFMA, y, x, g.s[0])
			g.FreeV(x)
			if half == whole {
				y = g.exp(y, true)
			} else {
				y = g.exp2(y)
			}
			g.Op2(VAdd, total, total, y)
			g.store(0, y)
		})
		g.spread(VAdd, total)
		g.Store(At(g.still[1], 0), total)
		g.FreeV(m, total)
	})
}

// overRows: c, y and a float32 for each row; with half, the bfloat16 of c before them.
func overRows(t *Target, half int) *Func {
	name, doc, moving := "gridOver", "sets c = y * (1/total). Operands c, y, total.", 2
	if half != whole {
		name, doc, moving = "gridOverBF16", "sets c = y * (1/total), and words to the bfloat16 of that. Operands words, c, y, total.", 3
	}
	g := newGrid(t, name, doc, moving, 1, 0, 6)
	g.half = half
	return g.eachRow(func() {
		total := g.V()
		g.Dup(total, At(g.still[0], 0))
		g.kOp(VDiv, total, 1, total)
		g.columns(2, func(int) {
			y := g.load(moving - 1)
			g.Op2(VMul, y, y, total)
			g.Store(At(g.p[moving-2], g.disp), y)
			if half != whole {
				g.StoreBF16(At(g.p[half], g.disp/2), y)
			}
			g.FreeV(y)
		})
		g.FreeV(total)
	})
}

// copyRows copies rows.
func copyRows(t *Target) *Func {
	g := newGrid(t, "gridCopy", "sets c = y. Operands c, y.", 2, 0, 0, 8)
	return g.eachRow(func() {
		g.columns(2, func(int) { g.store(0, g.load(1)) })
	})
}

// pairRows is what pairBF16 does, for rows.
func pairRows(t *Target) *Func {
	g := newGrid(t, "gridPairBF16", "sets the words of c to the bfloat16 (a, b).", 3, 0, 0, 6)
	return g.eachRow(func() {
		g.columns(2, func(int) {
			x, y := g.load(1), g.load(2)
			g.Op1(VRoundBF16, x, x)
			g.Op1(VRoundBF16, y, y)
			g.Shift(VShl, y, y, 16)
			g.Op2(VOr, x, x, y)
			g.FreeV(y)
			g.store(0, x)
		})
	})
}

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

// exp2Rows is expRows to the base of two, with the accuracy that is enough where results are rounded to bfloat16.
func exp2Rows(t *Target) *Func {
	g := newGrid(t, "gridExp2", "sets x = 2^(o.s[0]*x - m), which is at most about 1. Operands x, m.", 1, 1, 1, 9)
	return g.eachRow(func() {
		zero, m := g.V(), g.V()
		g.Dup(m, At(g.still[0], 0))
		g.Zero(zero)
		g.Op2(VSub, m, zero, m)
		g.FreeV(zero)
		g.columns(2, func(int) {
			x, y := g.load(0), g.V()
			g.Move(y, m)
			g.Op2(VFMA, y, x, g.s[0])
			g.FreeV(x)
			g.store(0, g.exp2(y))
		})
		g.FreeV(m)
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
