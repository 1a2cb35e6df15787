package main

import (
	"math"
	"slices"
)

// Offsets in the struct operands of package kernel.
const (
	vecN = 40 // after five pointers
	vecS = 48
)

// vec is a kernel over slices: a loop that takes one vector of each operand at a time. The number of elements
// is a positive multiple of the lanes.
type vec struct {
	*Func
	p    []G // operands, moving
	half int // which of them has numbers of two bytes and moves half as far, or whole
	n    G   // elements that are left
	s    []V // scalars, in every lane
	disp int // of the vector in work, from the pointers

	pool   []int          // registers for constants that are set before the loop
	consts map[uint32]V   // those in use
	before []Instr        // what sets them
	mark   int            // where
	loose  map[V]struct{} // constants that are set where they are needed, for want of registers
}

// newVec starts a kernel with so many moving operands and scalars. temps is the number of registers for
// everything but scalars and constants.
func newVec(t *Target, name, doc string, operands, scalars, temps int) *vec {
	v := &vec{half: whole, Func: NewFunc(t, name, doc, Arg{"o", "*operands"}), consts: map[uint32]V{}, loose: map[V]struct{}{}}
	o := v.Arg("o")
	for i := range operands {
		v.p = append(v.p, v.field(o, 8*i))
	}
	v.n = v.field(o, vecN)
	v.s = v.Vs(scalars)
	for i, r := range v.s {
		v.Dup(r, At(o, vecS+4*i))
	}
	v.FreeG(o)
	if temps < len(v.freeV) {
		v.freeV, v.pool = slices.Clone(v.freeV[:temps]), v.freeV[temps:]
	}
	return v
}

// newReduction is newVec with the address of the result, which is the last pointer, in addition.
func newReduction(t *Target, name, doc string, operands, scalars, temps int) (v *vec, out G) {
	v = newVec(t, name, doc, operands, scalars, temps)
	out = v.Arg("o")
	v.LoadG(out, At(out, vecN-8))
	return v, out
}

func (v *vec) field(base G, offset int) G {
	g := v.G()
	v.LoadG(g, At(base, offset))
	return g
}

// loop emits body for unroll vectors at a time, and once more for one at a time. j counts the vectors
// of a round, so that each can have its own accumulator.
func (v *vec) loop(unroll int, body func(j int)) {
	v.mark = len(v.Code)
	v.inner(unroll, body)
}

// inner is loop where constants are set elsewhere.
func (v *vec) inner(unroll int, body func(j int)) {
	lanes := v.T.Lanes
	loop, rest, one, done := v.NewLabel("loop"), v.NewLabel("rest"), v.NewLabel("one"), v.NewLabel("done")
	if unroll > 1 {
		v.JumpLT(v.n, unroll*lanes, rest)
		v.Label(loop)
		for j := range unroll {
			v.disp = j * v.T.Bytes()
			body(j)
		}
		v.advance(unroll)
		v.AddI(v.n, -unroll*lanes)
		v.JumpGE(v.n, unroll*lanes, loop)
		v.Label(rest)
		v.JumpZ(v.n, done)
	}
	v.Label(one)
	v.disp = 0
	body(0)
	v.advance(1)
	v.SubJumpNZ(v.n, lanes, one)
	v.Label(done)
}

func (v *vec) advance(vectors int) {
	for i, p := range v.p {
		v.AddI(p, v.bytes(i, vectors*v.T.Bytes()))
	}
}

// whole says that no operand has such numbers.
const whole = -1

// bytes is how far operand i moves where others move n bytes.
func (v *vec) bytes(i, n int) int {
	if i == v.half {
		return n / 2
	}
	return n
}

// load returns the vector in work of operand i in a new register; store sets it and frees the register.
func (v *vec) load(i int) V {
	r := v.V()
	v.Load(r, At(v.p[i], v.disp))
	return r
}

func (v *vec) store(i int, r V) {
	if i == v.half {
		v.StoreBF16(At(v.p[i], v.disp/2), r)
	} else {
		v.Store(At(v.p[i], v.disp), r)
	}
	v.FreeV(r)
}

// k returns a register with bits in every lane: one that is set before the loop while there are such, else
// a temporary one. done gives it back.
func (v *vec) k(bits uint32) V {
	if r, ok := v.consts[bits]; ok {
		return r
	}
	if len(v.pool) == 0 {
		r := v.NewConstBits(bits)
		v.loose[r] = struct{}{}
		return r
	}
	r := V(v.pool[0])
	v.pool = v.pool[1:]
	v.consts[bits] = r
	v.before = append(v.before, Instr{Op: VConst, V: r, Bits: bits})
	return r
}

func (v *vec) done(k V) {
	if _, ok := v.loose[k]; ok {
		delete(v.loose, k)
		v.FreeV(k)
	}
}

// copyK sets a new register to a constant, to be written to.
func (v *vec) copyK(x float32) V {
	bits := math.Float32bits(x)
	if _, ok := v.consts[bits]; !ok && len(v.pool) == 0 {
		return v.NewConstBits(bits)
	}
	r := v.V()
	v.Move(r, v.k(bits))
	return r
}

// opK is d = a op x, kOp is d = x op a, and bitsK is opK with a bit pattern.
func (v *vec) opK(op Op, d, a V, x float32) { v.bitsK(op, d, a, math.Float32bits(x)) }

func (v *vec) bitsK(op Op, d, a V, bits uint32) {
	k := v.k(bits)
	v.Op2(op, d, a, k)
	v.done(k)
}

func (v *vec) kOp(op Op, d V, x float32, a V) {
	k := v.k(math.Float32bits(x))
	v.Op2(op, d, k, a)
	v.done(k)
}

// polynomial returns c[0] + c[1]*x + ... in a new register, by Horner's rule.
func (v *vec) polynomial(x V, c []float32) V {
	n := len(c) - 1
	p := v.copyK(c[n-1])
	v.opK(VFMA, p, x, c[n])
	for i := n - 2; i >= 0; i-- {
		next := v.copyK(c[i])
		v.Op2(VFMA, next, p, x)
		v.FreeV(p)
		p = next
	}
	return p
}

// finish adds up accumulators pairwise and stores the lanes of the sum.
func (v *vec) finish(out G, disp int, acc []V, op Op) {
	for h := len(acc) / 2; h > 0; h /= 2 {
		for i := range h {
			v.Op2(op, acc[i], acc[i], acc[i+h])
		}
	}
	v.Store(At(out, disp), acc[0])
}

// zeros returns n accumulators.
func (v *vec) zeros(n int) []V {
	acc := v.Vs(n)
	for _, a := range acc {
		v.Zero(a)
	}
	return acc
}

// end puts the constants in front of the loop.
func (v *vec) end() *Func {
	v.Ret()
	v.Code = slices.Insert(v.Code, v.mark, v.before...)
	return v.Func
}
