package kernel

// Matrix products as plain loops: one chain over k per output element.

type packScratch struct{}

type gemmTask struct{}

// Packed is a frozen weight [N, K], the right-hand side of Gemm.
type Packed struct {
	K, N int
	w    []float32
}

// Pack copies w [out, in] into the form that Gemm reads.
func Pack(_ *Exec, w []float32, out, in int) *Packed {
	return &Packed{K: in, N: out, w: append([]float32(nil), w[:out*in]...)}
}

// Repack replaces the values.
func (p *Packed) Repack(_ *Exec, w []float32) { copy(p.w, w) }

// Unpack writes the weight [N, K] to dst.
func (p *Packed) Unpack(dst []float32) { copy(dst, p.w) }

// Gemm sets c = a Bᵀ with the epilogue.
func (e *Exec) Gemm(c, a Mat, b *Packed, ep Epilogue) {
	var one [1]float32
	for i := range a.Rows {
		for n := range b.N {
			s := Dot(a.Row(i), b.w[n*b.K:(n+1)*b.K])
			if ep.Bias != nil {
				s += ep.Bias[n]
			}
			if ep.Pre.Data != nil {
				ep.Pre.Row(i)[n] = s
			}
			one[0] = s
			Activate(one[:], one[:], ep.Act)
			s = one[0]
			if ep.Scale != nil {
				s *= ep.Scale[n]
			}
			if ep.Residual.Data != nil {
				s += ep.Residual.Row(i)[n]
			}
			c.Row(i)[n] = s
		}
	}
}

// GemmPackedT sets (or adds to) c = a B.
func (e *Exec) GemmPackedT(c, a Mat, b *Packed, accumulate bool) {
	e.workers[0].Gemm(c, a, View(b.w, b.N, b.K), false, false, 1, accumulate)
}

// GemmTN adds aᵀ b to c, row by row of a and b.
func (e *Exec) GemmTN(c, a, b Mat, _ int) {
	for t := range a.Rows {
		for m, x := range a.Row(t) {
			Axpy(c.Row(m), b.Row(t), x)
		}
	}
}

// GemmMat sets (or adds to) c = alpha a b, or alpha a bᵀ.
func (e *Exec) GemmMat(c, a, b Mat, transB bool, alpha float32, accumulate bool) {
	e.workers[0].Gemm(c, a, b, false, transB, alpha, accumulate)
}

// Gemm sets (or adds to) c = alpha op(a) op(b) on one thread.
func (w *Worker) Gemm(c, a, b Mat, transA, transB bool, alpha float32, accumulate bool) {
	k := a.Cols
	if transA {
		k = a.Rows
	}
	for i := range c.Rows {
		for j := range c.Cols {
			var s float32
			for l := range k {
				s += element(a, i, l, transA) * element(b, l, j, transB)
			}
			s *= alpha
			if accumulate {
				s += c.Row(i)[j]
			}
			c.Row(i)[j] = s
		}
	}
}

func element(m Mat, i, j int, trans bool) float32 {
	if trans {
		i, j = j, i
	}
	return m.Data[i*m.Stride+j]
}
