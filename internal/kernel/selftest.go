package kernel

import (
	"fmt"
	"math"

	"melo.example/melo/internal/par"
)

// selfTest is a function over slices and its plain counterpart. Of the four operands, the first outs are
// results.
type selfTest struct {
	name        string
	outs        int
	fast, plain func(x [][]float32)
}

// selfTests has a case for every kernel over slices.
func selfTests() []selfTest {
	const s, t = 0.75, 0.25
	tests := []selfTest{
		{"AddTo", 1, func(x [][]float32) { AddTo(x[0], x[1]) }, func(x [][]float32) { plainAdd(x[0], x[0], x[1]) }},
		{"Axpy", 1, func(x [][]float32) { Axpy(x[0], x[1], s) }, func(x [][]float32) { plainAxpy(x[0], x[1], s) }},
		{"Scale", 1, func(x [][]float32) { Scale(x[0], x[1], s) }, func(x [][]float32) { plainScale(x[0], x[1], s) }},
		{"Mul", 1, func(x [][]float32) { Mul(x[0], x[1], x[2]) }, func(x [][]float32) { plainMul(x[0], x[1], x[2]) }},
		{"MulAdd", 1, func(x [][]float32) { MulAdd(x[0], x[1], x[2], x[3]) }, func(x [][]float32) { plainMulAdd(x[0], x[1], x[2], x[3]) }},
		{"Dot", 1, func(x [][]float32) { x[0][0] = Dot(x[1], x[2]) }, func(x [][]float32) { x[0][0] = plainDot(x[1], x[2]) }},
		{"SwiGLU", 1, func(x [][]float32) { SwiGLU(x[0], x[1], x[2]) }, func(x [][]float32) { plainSwiGLU(x[0], x[1], x[2]) }},
		{"SwiGLUGrad", 2, func(x [][]float32) { SwiGLUGrad(x[0], x[1], x[2], x[3], x[2]) },
			func(x [][]float32) { plainSwiGLUGrad(x[0], x[1], x[2], x[3], x[2]) }},
		{"LayerNorm", 1, func(x [][]float32) { LayerNorm(x[0], x[1], x[2], x[3], 0.1) },
			func(x [][]float32) {
				mean, rstd := plainMoments(x[1], 0.1)
				plainNorm(x[0], x[1], x[2], x[3], mean, rstd)
			}},
		{"LayerNormGrad", 1, func(x [][]float32) { LayerNormGrad(x[0], x[1], x[2], x[3], t, s, false) },
			func(x [][]float32) { plainNormGrad(x[0], x[1], x[2], x[3], t, s, false) }},
		{"LayerNormGrad, added", 1, func(x [][]float32) { LayerNormGrad(x[0], x[1], x[2], x[3], t, s, true) },
			func(x [][]float32) { plainNormGrad(x[0], x[1], x[2], x[3], t, s, true) }},
		{"LayerNormParamGrad", 2, func(x [][]float32) { LayerNormParamGrad(x[0], x[1], x[2], x[3], t, s) },
			func(x [][]float32) { plainNormParamGrad(x[0], x[1], x[2], x[3], t, s) }},
		{"Softmax", 1, func(x [][]float32) { Softmax(x[0], s) }, func(x [][]float32) { plainSoftmax(x[0], s) }},
		{"SoftmaxFromLSE", 1, func(x [][]float32) { SoftmaxFromLSE(x[0], s, t) }, func(x [][]float32) { plainSoftmaxFromLSE(x[0], s, t) }},
		{"SoftmaxGrad", 1, func(x [][]float32) { SoftmaxGrad(x[0], x[1], x[2], t, s) }, func(x [][]float32) { plainSoftmaxGrad(x[0], x[1], x[2], t, s) }},
		{"AdamW", 3, func(x [][]float32) { AdamW(x[0], x[3], x[1], squared(x[2]), &selfFactors) },
			func(x [][]float32) { plainAdamW(x[0], x[3], x[1], squared(x[2]), &selfFactors) }},
	}
	for act, name := range []string{GELUErf: "GELUErf", GELUTanh: "GELUTanh", GELUQuick: "GELUQuick"} {
		if act := Activation(act); act != Identity {
			tests = append(tests,
				selfTest{name, 1, func(x [][]float32) { Activate(x[0], x[1], act) }, func(x [][]float32) { plainActivate(x[0], x[1], act) }},
				selfTest{name + ", gradient", 1, func(x [][]float32) { ActivateGrad(x[0], x[1], x[2], act) },
					func(x [][]float32) { plainActivateGrad(x[0], x[1], x[2], act) }})
		}
	}
	return tests
}

var selfFactors = AdamWFactors{Shrink: 0.999, Rate: 0.01, Beta1: 0.9, Keep1: 0.1, Beta2: 0.99, Keep2: 0.01, Root: 2, Eps: 1e-6, Scale: 0.5}

// squared squares x in place, because second moments are not negative.
func squared(x []float32) []float32 {
	for i, v := range x {
		x[i] = v * v
	}
	return x
}

// SelfTest runs the kernels of the set in use on small inputs and compares them with plain loops. It takes some
// milliseconds. An error means that results on this machine cannot be trusted.
func SelfTest() error {
	for _, t := range selfTests() {
		for _, n := range []int{1, 2*current.lanes + 3, 200} {
			x := [][]float32{noise(n, 1), noise(n, 2), noise(n, 3), noise(n, 4)}
			want := [][]float32{noise(n, 1), noise(n, 2), noise(n, 3), noise(n, 4)}
			t.fast(x)
			t.plain(want)
			for i := range t.outs {
				if err := agree(fmt.Sprintf("%s of %d numbers", t.name, n), x[i], want[i]); err != nil {
					return err
				}
			}
		}
	}
	pool := par.New(1)
	defer pool.Close()
	ex := NewExec(pool)
	if err := testProducts(ex); err != nil {
		return err
	}
	return testAttention(ex)
}

// noise returns n pseudo-random values between -2 and 2.
func noise(n int, seed uint32) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*1664525 + 1013904223
		x[i] = float32(int32(seed)>>8) / (1 << 22)
	}
	return x
}

// agree compares got and want with a tolerance of 1e-5 of the largest value: hundreds of roundings, more than
// any kernel here needs.
func agree(what string, got, want []float32) error {
	size := float32(1)
	for _, v := range want {
		size = max(size, v, -v)
	}
	for i, v := range want {
		if d := float64(got[i] - v); !(math.Abs(d) <= 1e-5*float64(size)) {
			return fmt.Errorf("kernel: self-test of the %s kernels: %s: element %d is %v, expected %v", Name(), what, i, got[i], v)
		}
	}
	return nil
}

func noiseMat(rows, cols int, seed uint32) Mat { return View(noise(rows*cols, seed), rows, cols) }

// plainProduct returns a bᵀ.
func plainProduct(a, b Mat) Mat {
	c := NewMat(a.Rows, b.Rows)
	for i := range a.Rows {
		for j := range b.Rows {
			c.Row(i)[j] = plainDot(a.Row(i), b.Row(j))
		}
	}
	return c
}

func transposed(m Mat) Mat {
	t := NewMat(m.Cols, m.Rows)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			t.Row(j)[i] = v
		}
	}
	return t
}

// testProducts tests products with every tile height.
func testProducts(ex *Exec) error {
	const n, k = 70, 37
	w := noiseMat(n, k, 5)
	p := Pack(ex, w.Data, n, k)
	bias := noise(n, 6)
	for m := 1; m <= maxRows+1; m++ {
		a, c, d := noiseMat(m, k, 7), NewMat(m, n), NewMat(m, k)
		want := plainProduct(a, w)
		ex.Gemm(c, a, p, Epilogue{})
		if err := agree(fmt.Sprintf("product of %d rows", m), c.Data, want.Data); err != nil {
			return err
		}
		ex.GemmPackedT(d, c, p, false)
		if err := agree(fmt.Sprintf("transposed product of %d rows", m), d.Data, plainProduct(want, transposed(w)).Data); err != nil {
			return err
		}
		ex.Gemm(c, a, p, Epilogue{Bias: bias, Act: GELUErf})
		for r := range m {
			plainAdd(want.Row(r), want.Row(r), bias)
		}
		plainActivate(want.Data, want.Data, GELUErf)
		if err := agree(fmt.Sprintf("product of %d rows, with GELU", m), c.Data, want.Data); err != nil {
			return err
		}
	}
	return nil
}

// testAttention tests one head, forward and backward.
func testAttention(ex *Exec) error {
	const tokens, dim, scale = 21, 16, 0.25
	q, k, v, do := noiseMat(tokens, dim, 1), noiseMat(tokens, dim, 2), noiseMat(tokens, dim, 3), noiseMat(tokens, dim, 4)
	o, dq, dk, dv := NewMat(tokens, dim), NewMat(tokens, dim), NewMat(tokens, dim), NewMat(tokens, dim)
	lse := make([]float32, tokens)
	s := AttnShape{Images: 1, Queries: tokens, Keys: tokens, Heads: 1, Scale: scale}
	ex.Attention(s, o, q, k, v, lse)
	ex.AttentionGrad(s, dq, dk, dv, do, o, q, k, v, lse)

	p := plainProduct(q, k)
	for r := range tokens {
		plainSoftmax(p.Row(r), scale)
	}
	wantO := plainProduct(p, transposed(v))
	ds := plainProduct(do, v)
	for r := range tokens {
		plainSoftmaxGrad(ds.Row(r), p.Row(r), ds.Row(r), plainDot(do.Row(r), wantO.Row(r)), scale)
	}
	for _, c := range []struct {
		what      string
		got, want Mat
	}{
		{"attention", o, wantO},
		{"gradient of queries", dq, plainProduct(ds, transposed(k))},
		{"gradient of keys", dk, plainProduct(transposed(ds), transposed(q))},
		{"gradient of values", dv, plainProduct(transposed(p), transposed(do))},
	} {
		if err := agree(c.what, c.got.Data, c.want.Data); err != nil {
			return err
		}
	}
	return nil
}
