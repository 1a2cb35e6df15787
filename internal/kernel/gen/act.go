package main

import "math"

// Activations x*S(x), where S is the normal distribution function or a sigmoid. S(x) = 1 - S(-x). So with a =
// |x| and q = a*S(-a), which is small, the value is max(x, 0) - q, which loses no digits on either side. If g
// is the derivative at -a, the derivative at a is 1 - g.

// sigmoidAct is x*sigmoid(linear*x + cubic*x^3).
type sigmoidAct struct {
	name          string
	linear, cubic float64
	bound         float32 // |x| from which the sigmoid is 0, see expMin
}

const sqrt2OverPi = 0.7978845608028654

var (
	// 0.5*(1+tanh(z)) is sigmoid(2z).
	geluTanh  = sigmoidAct{"geluTanh", 2 * sqrt2OverPi, 2 * sqrt2OverPi * 0.044715, 10}
	geluQuick = sigmoidAct{"geluQuick", 1.702, 0, 87.3 / 1.702}
	silu      = sigmoidAct{"silu", 1, 0, 87.3}
)

// parts returns a = min(|x|, bound) and e = e^-(linear*a + cubic*a^3) in new registers.
func (s sigmoidAct) parts(v *vec, x V) (a, e V) {
	a = v.V()
	v.bitsK(VAnd, a, x, 0x7fffffff)
	v.kOp(VMin, a, s.bound, a)
	z := v.V()
	if s.cubic == 0 {
		v.opK(VMul, z, a, float32(-s.linear))
	} else {
		v.Op2(VMul, z, a, a)
		m := v.copyK(float32(-s.linear))
		v.opK(VFMA, m, z, float32(-s.cubic))
		v.Op2(VMul, z, m, a)
		v.FreeV(m)
	}
	return a, v.exp(z, true)
}

// value returns x*S(x) in a new register.
func (s sigmoidAct) value(v *vec, x V) V {
	a, e := s.parts(v, x)
	v.Op2(VMul, a, a, e)
	v.opK(VAdd, e, e, 1)
	v.Op2(VDiv, a, a, e)
	v.FreeV(e)
	return v.positiveLess(x, a)
}

// both returns the value (if asked for) and the derivative at x in new registers.
func (s sigmoidAct) both(v *vec, x V, value bool) (y, g V) {
	a, e := s.parts(v, x)
	d := v.V()
	v.opK(VAdd, d, e, 1)
	v.kOp(VDiv, d, 1, d)
	v.Op2(VMul, e, e, d) // S(-a)
	if value {
		y = v.V()
		v.Op2(VMul, y, a, e)
		y = v.positiveLess(x, y)
	}
	// g = S - a*z'*S*(1-S), where 1-S is in d.
	v.Op2(VMul, d, d, a)
	if s.cubic == 0 {
		v.opK(VMul, d, d, float32(s.linear))
	} else {
		v.Op2(VMul, a, a, a)
		m := v.copyK(float32(s.linear))
		v.opK(VFMA, m, a, float32(3*s.cubic))
		v.Op2(VMul, d, d, m)
		v.FreeV(m)
	}
	v.FreeV(a)
	v.Op2(VMul, d, d, e)
	v.Op2(VSub, e, e, d)
	v.FreeV(d)
	return y, v.mirror(x, e)
}

// geluErf returns x*Phi(x) in a new register.
func geluErf(v *vec, x V) V {
	a, e := v.gauss(x)
	v.Op2(VMul, e, e, a)
	p := v.polynomial(a, tailP)
	v.Op2(VMul, e, e, p)
	v.FreeV(p)
	q := v.polynomial(a, tailQ)
	v.FreeV(a)
	v.Op2(VDiv, e, e, q)
	v.FreeV(q)
	return v.positiveLess(x, e)
}

// geluErfGrad returns Phi(x) + x*phi(x) in a new register.
func geluErfGrad(v *vec, x V) V {
	a, e := v.gauss(x)
	p, q := v.tail(a)
	v.Op2(VDiv, p, p, q)
	v.FreeV(q)
	v.opK(VFMS, p, a, float32(1/math.Sqrt(2*math.Pi)))
	v.FreeV(a)
	v.Op2(VMul, e, e, p)
	v.FreeV(p)
	return v.mirror(x, e)
}

// positiveLess returns max(x, 0) - q in q.
func (v *vec) positiveLess(x, q V) V {
	m := v.V()
	v.kOp(VMax, m, 0, x)
	v.Op2(VSub, q, m, q)
	v.FreeV(m)
	return q
}

// mirror returns g where x is negative and 1 - g elsewhere, in g.
func (v *vec) mirror(x, g V) V {
	m, s := v.V(), v.V()
	v.Shift(VShr, m, x, 31)
	v.bitsK(VSubI, m, m, 1) // all ones where x is positive
	v.bitsK(VAnd, s, m, 1<<31)
	v.Op2(VXor, g, g, s)
	v.opK(VAnd, m, m, 1)
	v.Op2(VAdd, g, g, m)
	v.FreeV(m, s)
	return g
}

// actFuncs are the activations and their gradients.
func actFuncs(t *Target) []*Func {
	value := func(name string, f func(v *vec, x V) V) *Func {
		v := newVec(t, name, "sets o.p[0] to the activation of o.p[1].", 2, 0, 7)
		v.loop(1, func(int) {
			x := v.load(1)
			y := f(v, x)
			v.FreeV(x)
			v.store(0, y)
		})
		return v.end()
	}
	grad := func(name string, f func(v *vec, x V) V) *Func {
		v := newVec(t, name+"Grad", "sets o.p[0] to o.p[1] times the derivative of the activation at o.p[2].", 3, 0, 7)
		v.loop(1, func(int) {
			x := v.load(2)
			g := f(v, x)
			v.FreeV(x)
			dy := v.load(1)
			v.Op2(VMul, g, g, dy)
			v.FreeV(dy)
			v.store(0, g)
		})
		return v.end()
	}
	fs := []*Func{value("geluErf", geluErf), grad("geluErf", geluErfGrad)}
	for _, s := range []sigmoidAct{geluTanh, geluQuick} {
		fs = append(fs, value(s.name, s.value), grad(s.name, func(v *vec, x V) V {
			_, g := s.both(v, x, false)
			return g
		}))
	}
	return append(fs, swiglu(t), swigluGrad(t))
}

func swiglu(t *Target) *Func {
	v := newVec(t, "swiglu", "sets o.p[0] = silu(o.p[1]) * o.p[2].", 3, 0, 7)
	v.loop(1, func(int) {
		x := v.load(1)
		y := silu.value(v, x)
		v.FreeV(x)
		up := v.load(2)
		v.Op2(VMul, y, y, up)
		v.FreeV(up)
		v.store(0, y)
	})
	return v.end()
}

func swigluGrad(t *Target) *Func {
	v := newVec(t, "swigluGrad", "sets the gradients o.p[0] of the gate o.p[3] and o.p[1] of up o.p[4] from dy o.p[2].", 5, 0, 8)
	v.loop(1, func(int) {
		x := v.load(3)
		y, g := silu.both(v, x, true)
		v.FreeV(x)
		dy := v.load(2)
		v.Op2(VMul, y, y, dy)
		v.Op2(VMul, g, g, dy)
		v.FreeV(dy)
		up := v.load(4)
		v.Op2(VMul, g, g, up)
		v.FreeV(up)
		v.store(0, g)
		v.store(1, y)
	})
	return v.end()
}
