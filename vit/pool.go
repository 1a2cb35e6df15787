package vit

import (
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// pool applies the final norm and pools the tokens of the images in flight.
func (e *engine) pool(a adapter) {
	m, x := e.m, e.input(e.m.Depth)
	r := span{First: e.rows.First, Images: e.rows.Images, Each: x.Rows / e.rows.Images}
	e.normed = x
	if m.FinalNorm {
		e.normed = e.h.RowRange(0, x.Rows)
		e.ex.LayerNorm(e.normed, x, m.Final.Gain, m.Final.Bias, m.Eps, e.normSt)
		e.tap("norm", e.normed)
	}
	pooled := e.pooled.RowRange(r.First, r.First+r.Images)
	if m.Pooling == arch.PoolAttention {
		e.attnPool(pooled, e.normed, a)
	} else {
		for i := range r.Images {
			m.poolOne(pooled.Row(i), e.normed.RowRange(i*r.Each, (i+1)*r.Each))
		}
	}
	feat := pooled
	if m.PoolNorm {
		feat = e.feat.RowRange(r.First, r.First+r.Images)
		e.ex.LayerNorm(feat, pooled, m.Pool.Gain, m.Pool.Bias, m.Eps, e.poolSt)
	}
	e.tap("pooled", feat)
	if e.Tap != nil && m.Projected > 0 {
		e.tap("projected", e.Embed(feat))
	}
}

// Embed maps features [n, d] with CLIP's projection to the space shared with text, [n, Projected].
func (e *engine) Embed(features kernel.Mat) kernel.Mat {
	y := kernel.NewMat(features.Rows, e.m.Projected)
	e.ex.Gemm(y, features, e.m.Project.W, kernel.Epilogue{})
	return y
}

// poolOne pools the tokens x [T, d] of one image (or its class token alone) into dst.
func (m *model) poolOne(dst []float32, x kernel.Mat) {
	d := m.Width
	switch m.Pooling {
	case PoolClass:
		copy(dst, x.Row(0))
	case PoolClassDist:
		copy(dst, x.Row(0))
		copy(dst[d:], x.Row(1))
	case PoolMean:
		m.meanPatches(dst, x)
	case PoolClassMean:
		copy(dst, x.Row(0))
		m.meanPatches(dst[d:], x)
	case PoolTokens:
		copyRows(kernel.View(dst, x.Rows, d), x)
	}
}

func (m *model) meanPatches(dst []float32, x kernel.Mat) {
	clear(dst)
	for r := m.Prefix(); r < x.Rows; r++ {
		kernel.AddTo(dst, x.Row(r))
	}
	kernel.Scale(dst, dst, 1/float32(x.Rows-m.Prefix()))
}

// poolGrad returns the gradient of the last block's output, or nothing if it is not needed.
func (e *engine) poolGrad(dfeat kernel.Mat, a adapter, g *grads) kernel.Mat {
	m, out := e.m, e.input(e.m.Depth)
	n := e.rows.Images
	d := dfeat
	pooled := e.pooled.RowRange(0, n)
	if m.PoolNorm {
		if g != nil {
			e.col.normParam(e.ex, g.Pool, d, pooled, e.poolSt)
		}
		dst := e.grad.row.RowRange(0, n)
		e.ex.LayerNormGrad(dst, d, pooled, m.Pool.Gain, e.poolSt, false)
		d = dst
	}
	dx := e.grad.x.RowRange(0, out.Rows)
	if m.Pooling == arch.PoolAttention {
		if !e.attnPoolGrad(dx, d, a, g) {
			return kernel.Mat{}
		}
	} else {
		each := out.Rows / n
		for i := range n {
			m.poolOneGrad(dx.RowRange(i*each, (i+1)*each), d.Row(i))
		}
	}
	if m.FinalNorm {
		if g != nil {
			e.col.normParam(e.ex, g.Final, dx, out, e.normSt)
		}
		e.ex.LayerNormGrad(dx, dx, out, m.Final.Gain, e.normSt, false)
	}
	return dx
}

// poolOneGrad computes the gradient of one image's tokens dx [T, d] from that of its pooled row.
func (m *model) poolOneGrad(dx kernel.Mat, d []float32) {
	w := m.Width
	for r := range dx.Rows {
		clear(dx.Row(r))
	}
	switch m.Pooling {
	case PoolClass:
		copy(dx.Row(0), d)
	case PoolClassDist:
		copy(dx.Row(0), d[:w])
		copy(dx.Row(1), d[w:])
	case PoolMean:
		m.meanPatchesGrad(dx, d)
	case PoolClassMean:
		copy(dx.Row(0), d[:w])
		m.meanPatchesGrad(dx, d[w:])
	case PoolTokens:
		copyRows(dx, kernel.View(d, dx.Rows, w))
	}
}

func (m *model) meanPatchesGrad(dx kernel.Mat, d []float32) {
	s := 1 / float32(dx.Rows-m.Prefix())
	for r := m.Prefix(); r < dx.Rows; r++ {
		kernel.Scale(dx.Row(r), d, s)
	}
}
