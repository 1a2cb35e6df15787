package main

// simpleFuncs are element-wise sums and products.
func simpleFuncs(t *Target) []*Func {
	binary := func(name, doc string, op Op) *Func {
		v := newVec(t, name, doc, 3, 0, 8)
		v.loop(4, func(int) {
			a, b := v.load(1), v.load(2)
			v.Op2(op, a, a, b)
			v.FreeV(b)
			v.store(0, a)
		})
		return v.end()
	}
	axpy := newVec(t, "axpy", "adds o.s[0] * o.p[1] to o.p[0].", 2, 1, 8)
	axpy.loop(4, func(int) {
		d, x := axpy.load(0), axpy.load(1)
		axpy.Op2(VFMA, d, x, axpy.s[0])
		axpy.FreeV(x)
		axpy.store(0, d)
	})
	scale := newVec(t, "scale", "sets o.p[0] = o.s[0] * o.p[1].", 2, 1, 8)
	scale.loop(4, func(int) {
		x := scale.load(1)
		scale.Op2(VMul, x, x, scale.s[0])
		scale.store(0, x)
	})
	mulAdd := newVec(t, "mulAdd", "sets o.p[0] = o.p[1] * o.p[2] + o.p[3].", 4, 0, 8)
	mulAdd.loop(4, func(int) {
		a, b, c := mulAdd.load(1), mulAdd.load(2), mulAdd.load(3)
		mulAdd.Op2(VFMA, c, a, b)
		mulAdd.FreeV(a, b)
		mulAdd.store(0, c)
	})
	return []*Func{
		binary("add", "sets o.p[0] = o.p[1] + o.p[2].", VAdd),
		binary("mul", "sets o.p[0] = o.p[1] * o.p[2].", VMul),
		axpy.end(), scale.end(), mulAdd.end(),
	}
}

// reductionFuncs return sums (or a maximum) lane by lane at o.p[4]: vector i goes into accumulator i mod 4,
// those that are left over into the first.
func reductionFuncs(t *Target) []*Func {
	dot, out := newReduction(t, "dot", "sums o.p[0] * o.p[1].", 2, 0, 8)
	acc := dot.zeros(4)
	dot.loop(4, func(j int) {
		a, b := dot.load(0), dot.load(1)
		dot.Op2(VFMA, acc[j], a, b)
		dot.FreeV(a, b)
	})
	dot.finish(out, 0, acc, VAdd)

	sum, out := newReduction(t, "sum", "sums o.p[0].", 1, 0, 8)
	acc = sum.zeros(4)
	sum.loop(4, func(j int) {
		a := sum.load(0)
		sum.Op2(VAdd, acc[j], acc[j], a)
		sum.FreeV(a)
	})
	sum.finish(out, 0, acc, VAdd)

	squares, out := newReduction(t, "squares", "sums (o.p[0] - o.s[0])^2.", 1, 1, 8)
	acc = squares.zeros(4)
	squares.loop(4, func(j int) {
		a := squares.load(0)
		squares.Op2(VSub, a, a, squares.s[0])
		squares.Op2(VFMA, acc[j], a, a)
		squares.FreeV(a)
	})
	squares.finish(out, 0, acc, VAdd)

	largest, out := newReduction(t, "largest", "finds the maximum of o.s[0] * o.p[0].", 1, 1, 8)
	acc = largest.Vs(4)
	for _, a := range acc {
		largest.ConstBits(a, 0xff800000)
	}
	largest.loop(4, func(j int) {
		a := largest.load(0)
		largest.Op2(VMul, a, a, largest.s[0])
		largest.Op2(VMax, acc[j], acc[j], a)
		largest.FreeV(a)
	})
	largest.finish(out, 0, acc, VMax)
	return []*Func{dot.end(), sum.end(), squares.end(), largest.end()}
}

// softmaxFuncs are the steps of softmax but its maximum, and its gradient.
func softmaxFuncs(t *Target) []*Func {
	e, out := newReduction(t, "expSum", "sets o.p[0] = e^(o.s[0]*o.p[0] - o.s[1]) and sums it.", 1, 2, 7)
	acc := e.zeros(1)
	e.loop(1, func(int) {
		x := e.load(0)
		e.Op2(VMul, x, x, e.s[0])
		e.Op2(VSub, x, x, e.s[1])
		y := e.exp(x, false)
		e.Op2(VAdd, acc[0], acc[0], y)
		e.store(0, y)
	})
	e.finish(out, 0, acc, VAdd)

	g := newVec(t, "softmaxGrad", "sets o.p[0] = o.s[0] * o.p[1] * (o.p[2] - o.s[1]).", 3, 2, 8)
	g.loop(2, func(int) {
		p, dp := g.load(1), g.load(2)
		g.Op2(VMul, p, p, g.s[0])
		g.Op2(VSub, dp, dp, g.s[1])
		g.Op2(VMul, p, p, dp)
		g.FreeV(dp)
		g.store(0, p)
	})
	return []*Func{e.end(), g.end()}
}

// normFuncs are LayerNorm from known statistics, and its gradients.
func normFuncs(t *Target) []*Func {
	norm := newVec(t, "norm", "sets o.p[0] = (o.p[1] - mean) * rstd * o.p[2] + o.p[3]; mean and rstd in o.s.", 4, 2, 8)
	norm.loop(2, func(int) {
		x, gain, y := norm.load(1), norm.load(2), norm.load(3)
		norm.Op2(VSub, x, x, norm.s[0])
		norm.Op2(VMul, x, x, norm.s[1])
		norm.Op2(VFMA, y, x, gain)
		norm.FreeV(x, gain)
		norm.store(0, y)
	})

	sums, out := newReduction(t, "normSums", "sums dy*gain and dy*gain*(x - mean)*rstd; dy, x, gain in o.p, mean and rstd in o.s.", 3, 2, 9)
	acc := sums.zeros(4)
	sums.loop(2, func(j int) {
		dy, x, gain := sums.load(0), sums.load(1), sums.load(2)
		sums.Op2(VMul, dy, dy, gain)
		sums.Op2(VSub, x, x, sums.s[0])
		sums.Op2(VMul, x, x, sums.s[1])
		sums.Op2(VAdd, acc[j], acc[j], dy)
		sums.Op2(VFMA, acc[2+j], x, dy)
		sums.FreeV(dy, x, gain)
	})
	sums.finish(out, 0, acc[:2], VAdd)
	sums.finish(out, 64, acc[2:], VAdd)

	grad := func(name, doc string, add bool) *Func {
		v := newVec(t, name, doc, 4, 4, 9)
		v.loop(2, func(int) {
			dy, x, gain := v.load(1), v.load(2), v.load(3)
			v.Op2(VMul, dy, dy, gain)
			v.Op2(VSub, x, x, v.s[0])
			v.Op2(VMul, x, x, v.s[1])
			v.Op2(VSub, dy, dy, v.s[2])
			v.Op2(VFMS, dy, x, v.s[3])
			v.FreeV(x, gain)
			if add {
				d := v.load(0)
				v.Op2(VFMA, d, dy, v.s[1])
				v.FreeV(dy)
				dy = d
			} else {
				v.Op2(VMul, dy, dy, v.s[1])
			}
			v.store(0, dy)
		})
		return v.end()
	}
	const form = "rstd * (dy*gain - o.s[2] - (x-mean)*rstd*o.s[3]); dy, x, gain in o.p[1:], mean and rstd in o.s."

	param := newVec(t, "normParamGrad", "adds dy * (x-mean)*rstd to o.p[0] and dy to o.p[1]; dy and x in o.p[2:], mean and rstd in o.s.", 4, 2, 8)
	param.loop(2, func(int) {
		dy, x, dg, db := param.load(2), param.load(3), param.load(0), param.load(1)
		param.Op2(VSub, x, x, param.s[0])
		param.Op2(VMul, x, x, param.s[1])
		param.Op2(VFMA, dg, x, dy)
		param.Op2(VAdd, db, db, dy)
		param.FreeV(dy, x)
		param.store(0, dg)
		param.store(1, db)
	})
	return []*Func{norm.end(), sums.end(), grad("normGrad", "sets o.p[0] = "+form, false),
		grad("normGradAdd", "adds to o.p[0] "+form, true), param.end()}
}

// adamW is one update; the order of o.s is that of AdamWFactors.
func adamW(t *Target) *Func {
	v := newVec(t, "adamW", "updates weights o.p[0] and moments o.p[1], o.p[2] from gradients o.p[3], which it sets to 0.", 4, 9, 7)
	shrink, rate, beta1, keep1, beta2, keep2, root, eps, scale := v.s[0], v.s[1], v.s[2], v.s[3], v.s[4], v.s[5], v.s[6], v.s[7], v.s[8]
	v.loop(1, func(int) {
		g, m, s := v.load(3), v.load(1), v.load(2)
		v.Op2(VMul, g, g, scale)
		v.Op2(VMul, m, m, beta1)
		v.Op2(VFMA, m, g, keep1)
		v.Op2(VMul, s, s, beta2)
		v.Op2(VMul, g, g, g)
		v.Op2(VFMA, s, g, keep2)
		v.Store(At(v.p[1], v.disp), m)
		v.Store(At(v.p[2], v.disp), s)
		v.Op1(VSqrt, s, s)
		v.Op2(VMul, s, s, root)
		v.Op2(VAdd, s, s, eps)
		v.Op2(VMul, m, m, rate)
		v.Op2(VDiv, m, m, s)
		w := v.load(0)
		v.Op2(VMul, w, w, shrink)
		v.Op2(VSub, w, w, m)
		v.store(0, w)
		v.Zero(g)
		v.store(3, g)
		v.FreeV(m, s)
	})
	return v.end()
}

// vecFuncs are the kernels over slices.
func vecFuncs(t *Target) []*Func {
	var fs []*Func
	for _, group := range [][]*Func{simpleFuncs(t), reductionFuncs(t), actFuncs(t), softmaxFuncs(t), normFuncs(t), {adamW(t)}} {
		fs = append(fs, group...)
	}
	return fs
}
