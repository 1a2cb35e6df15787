package main

import "math"

// The exponential: x = n*ln2 + r with |r| <= ln2/2, and e^x = 2^n * P(r). P, of degree 6, is the best
// approximation of e^r by relative error (2e-9; see TestFits). Its coefficients are doubled, and 2^(n-1) is
// constructed from the bits of n, so that n = 128 is possible and overflow to infinity happens in the last
// product.
var expCoefficients = []float32{2 * 1, 2 * 1.0000000363462656, 2 * 0.4999999207482455, 2 * 0.16666420065112075,
	2 * 0.041668226212682076, 2 * 0.00837482464017113, 2 * 0.0013836836427132816}

const (
	log2e = 1.4426950408889634
	// roundBias is 1.5 * 2^23. Adding it leaves the nearest integer in the lowest bits.
	roundBias = 12582912
	ln2High   = 0.693145751953125 // its 15 bits times n are exact
	ln2Low    = math.Ln2 - ln2High
	// expMin gives n = -126, for which 2^(n-1) becomes 0. expMax gives infinity.
	expMin, expMax = -87.3, 89
)

// exp returns e^x in x. Above -86.9 its relative error is below 1.5 u (u = 2^-24). Results below 2^-125 may be
// 0, and results below 2^-126.5 are exactly 0. NaN stays NaN.
func (v *vec) exp(x V, bounded bool) V {
	v.kOp(VMax, x, expMin, x)
	if !bounded {
		v.kOp(VMin, x, expMax, x)
	}
	t := v.copyK(roundBias)
	v.opK(VFMA, t, x, log2e)
	n := v.V()
	v.opK(VSub, n, t, roundBias)
	v.opK(VFMA, x, n, -ln2High)
	v.opK(VFMA, x, n, -ln2Low)
	v.FreeV(n)
	return v.expRest(x, t, expCoefficients)
}

// expRest returns 2^n * P(r) in a new register, with n in the low bits of t and twice the coefficients of P. It frees both.
func (v *vec) expRest(r, t V, coefficients []float32) V {
	p := v.polynomial(r, coefficients)
	v.FreeV(r)
	v.Shift(VShl, t, t, 23)
	v.bitsK(VAddI, t, t, 126<<23)
	v.Op2(VMul, p, p, t)
	v.FreeV(t)
	return p
}

// exp2Coefficients are those of 2^r for |r| <= 1/2, doubled: the best fit of degree 4 by relative error (3e-6; see TestFits).
var exp2Coefficients = []float32{2 * 0.999999261342388, 2 * 0.69312181194443, 2 * 0.24024744960553635,
	2 * 0.05591788326131179, 2 * 0.009570104778825193}

// exp2Min gives n = -126, where 2^(n-1) is made to be 0.
const exp2Min = -126

// exp2 returns 2^x for x <= 0, for results that are rounded to bfloat16: its relative error is below 5e-6, and where 2^x is
// below 2^-125.5 it is exactly 0. NaN stays NaN.
func (v *vec) exp2(x V) V {
	v.kOp(VMax, x, exp2Min, x)
	t, n := v.V(), v.V()
	v.opK(VAdd, t, x, roundBias)
	v.opK(VSub, n, t, roundBias)
	v.Op2(VSub, x, x, n)
	v.FreeV(n)
	return v.expRest(x, t, exp2Coefficients)
}

// gauss returns a = min(|x|, 13.2) and e^(-a*a/2), which is 0 at the bound, in new registers. The square enters
// r without rounding, so that the relative error stays below 2 u for any size of x.
func (v *vec) gauss(x V) (a, e V) {
	const bound = 13.2
	a, t, n, r := v.V(), v.copyK(roundBias), v.V(), v.V()
	v.bitsK(VAnd, a, x, 0x7fffffff)
	v.kOp(VMin, a, bound, a)
	v.Op2(VMul, n, a, a)
	v.opK(VFMA, t, n, -log2e/2)
	v.opK(VSub, n, t, roundBias)
	v.opK(VMul, r, n, -ln2High)
	half := v.V()
	v.opK(VMul, half, a, -0.5)
	v.Op2(VFMA, r, half, a)
	v.FreeV(half)
	v.opK(VFMA, r, n, -ln2Low)
	v.FreeV(n)
	return a, v.expRest(r, t, expCoefficients)
}

// Phi(-a) = e^(-a*a/2) * tailP(a)/tailQ(a) for 0 <= a <= 13.3: the best rational approximation of these degrees
// by relative error (5e-9; see TestFits). All coefficients are positive, so nothing cancels.
var (
	tailP = []float32{0.5000000024834945, 0.43568731877733213, 0.18130750626039574, 0.0399844255871977,
		0.004020228107684928}
	tailQ = []float32{1, 1.6692595565261543, 1.1944873045888427, 0.4643823059909504, 0.10023347263471599,
		0.010077074235805502}
)

// tail returns tailP(a) and tailQ(a) in new registers.
func (v *vec) tail(a V) (p, q V) { return v.polynomial(a, tailP), v.polynomial(a, tailQ) }
