package main

import (
	"math"
	"testing"
)

// TestFits derives the polynomials of the exponential and of the normal distribution's tail anew, and checks that
// those in use are as good as the best fit, but for the rounding of their coefficients to float32.
func TestFits(t *testing.T) {
	const half = math.Ln2 / 2 * 1.0001 // n is rounded in float32, so r may lie a little outside
	_, _, best := fit(math.Exp, -half, half, len(expCoefficients)-1, 0)
	e := worst(math.Exp, -half, half, expCoefficients, []float32{2})
	t.Logf("exp: %.3g, best %.3g", e, best)
	if best > 2e-9 || e > best+2e-8 {
		t.Errorf("exp: relative error %.3g, that of the best fit %.3g", e, best)
	}
	_, _, best = fit(math.Exp2, -0.5, 0.5, len(exp2Coefficients)-1, 0)
	e = worst(math.Exp2, -0.5, 0.5, exp2Coefficients, []float32{2})
	t.Logf("exp2: %.3g, best %.3g", e, best)
	if best > 3e-6 || e > best+6e-8 {
		t.Errorf("exp2: relative error %.3g, that of the best fit %.3g", e, best)
	}
	tail := func(a float64) float64 { return 0.5 * math.Erfc(a/math.Sqrt2) * math.Exp(a*a/2) }
	_, _, best = fit(tail, 0, 13.3, len(tailP)-1, len(tailQ)-1)
	e = worst(tail, 0, 13.3, tailP, tailQ)
	t.Logf("tail: %.3g, best %.3g", e, best)
	if best > 6e-9 || e > best+6e-8 {
		t.Errorf("tail: relative error %.3g, that of the best fit %.3g", e, best)
	}
}

// worst returns the largest relative error of p/q.
func worst(f func(float64) float64, lo, hi float64, p, q []float32) (e float64) {
	wide := func(c []float32) (w []float64) {
		for _, v := range c {
			w = append(w, float64(v))
		}
		return w
	}
	for i := range 10001 {
		x := lo + (hi-lo)*float64(i)/10000
		e = max(e, math.Abs(horner(wide(p), x)/horner(wide(q), x)/f(x)-1))
	}
	return e
}

func horner(c []float64, x float64) (s float64) {
	for i := len(c) - 1; i >= 0; i-- {
		s = s*x + c[i]
	}
	return s
}

// fit returns the polynomials p of degree m and q of degree n, with q[0] = 1, for which p/q has about the least
// possible largest relative error against f between lo and hi. It is least squares on p - f*q, divided by
// the last q so as to be linear, with weights that grow where the error is large (Lawson's method).
func fit(f func(float64) float64, lo, hi float64, m, n int) (p, q []float64, best float64) {
	const points, rounds = 300, 150
	var xs, weight, last, errs [points]float64
	for i := range xs {
		xs[i] = (lo+hi)/2 - (hi-lo)/2*math.Cos(math.Pi*float64(i)/(points-1))
		weight[i], last[i] = 1, 1
	}
	unit, best := max(math.Abs(lo), math.Abs(hi)), math.Inf(1)
	for range rounds {
		a, b := make([][]float64, points), make([]float64, points)
		for i, x := range xs {
			w := math.Sqrt(weight[i]) / (f(x) * last[i])
			a[i], b[i] = make([]float64, m+1+n), f(x)*w
			for k := range max(m, n) + 1 {
				power := math.Pow(x/unit, float64(k)) * w
				if k <= m {
					a[i][k] = power
				}
				if k > 0 && k <= n {
					a[i][m+k] = -f(x) * power
				}
			}
		}
		c := leastSquares(a, b)
		pp, qq := c[:m+1], append([]float64{1}, c[m+1:]...)
		largest, total := 0.0, 0.0
		for i, x := range xs {
			last[i] = horner(qq, x/unit)
			errs[i] = math.Abs(horner(pp, x/unit)/last[i]/f(x) - 1)
			largest = max(largest, errs[i])
			weight[i] *= errs[i]
			total += weight[i]
		}
		for i := range weight {
			weight[i] /= total
		}
		if largest < best {
			best, p, q = largest, pp, qq
		}
	}
	for k := range p {
		p[k] /= math.Pow(unit, float64(k))
	}
	for k := range q {
		q[k] /= math.Pow(unit, float64(k))
	}
	return p, q, best
}

// leastSquares returns the x with the least |a x - b|, by Householder reflections. a and b are overwritten.
func leastSquares(a [][]float64, b []float64) []float64 {
	rows, cols := len(a), len(a[0])
	for k := range cols {
		norm := 0.0
		for i := k; i < rows; i++ {
			norm = math.Hypot(norm, a[i][k])
		}
		v := make([]float64, rows)
		for i := k; i < rows; i++ {
			v[i] = a[i][k]
		}
		v[k] += math.Copysign(norm, v[k])
		vv := 0.0
		for _, x := range v {
			vv += x * x
		}
		reflect := func(get func(i int) *float64) {
			d := 0.0
			for i := k; i < rows; i++ {
				d += v[i] * *get(i)
			}
			for i := k; i < rows; i++ {
				*get(i) -= 2 * d / vv * v[i]
			}
		}
		for j := k; j < cols; j++ {
			reflect(func(i int) *float64 { return &a[i][j] })
		}
		reflect(func(i int) *float64 { return &b[i] })
	}
	x := make([]float64, cols)
	for k := cols - 1; k >= 0; k-- {
		x[k] = b[k]
		for j := k + 1; j < cols; j++ {
			x[k] -= a[k][j] * x[j]
		}
		x[k] /= a[k][k]
	}
	return x
}
