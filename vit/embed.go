package vit

import (
	"melo.example/melo/internal/kernel"
)

// embedTokens turns images into the first block's input x [n*T, d]: patch projection, class and register
// tokens, position embedding, and CLIP's norm before the blocks.
func (e *engine) embedTokens(images []float32, x kernel.Mat) {
	m, n := e.m, e.rows.Images
	e.im = im2colTask{images: images, dst: e.patches, m: m}
	e.ex.Pool().Run(n*m.Grid(), &e.im)
	raw := x
	if e.embed.Data != nil {
		raw = e.tokens(e.embed)
	}
	for i := range n {
		e.embedOne(i, raw.RowRange(i*e.rows.Each, (i+1)*e.rows.Each))
	}
	if e.Tap != nil {
		e.tap("patch", e.patchTokens())
	}
	if m.Pre.Gain != nil {
		e.ex.LayerNorm(x, raw, m.Pre.Gain, m.Pre.Bias, m.Eps, e.preSt)
	}
}

// embedOne fills the tokens of image i.
func (e *engine) embedOne(i int, x kernel.Mat) {
	m := e.m
	p := m.Grid() * m.Grid()
	pos := kernel.View(m.Pos, len(m.Pos)/m.Width, m.Width)
	prefix := m.PositionPrefix()
	e.ex.Gemm(x.RowRange(m.Prefix(), x.Rows), e.patchRows(i), m.PatchEmbed.W,
		kernel.Epilogue{Bias: m.PatchEmbed.Bias, Residual: pos.RowRange(prefix, prefix+p)})
	row := 0
	for _, tok := range [][]float32{m.ClassToken, m.DistToken} {
		if tok == nil {
			continue
		}
		copy(x.Row(row), tok)
		if row < prefix {
			kernel.AddTo(x.Row(row), pos.Row(row))
		}
		row++
	}
	for r := range m.Registers {
		copy(x.Row(row+r), m.Register[r*m.Width:])
	}
}

// patchRows returns the unfolded patches of image i, [grid*grid, 3*patch*patch].
func (e *engine) patchRows(i int) kernel.Mat {
	p, in := e.m.Grid()*e.m.Grid(), e.m.PatchEmbed.In
	return kernel.View(e.patches[i*p*in:], p, in)
}

// patchTokens recomputes the bare patch projection for a tap.
func (e *engine) patchTokens() kernel.Mat {
	p := e.m.Grid() * e.m.Grid()
	y := kernel.NewMat(e.rows.Images*p, e.m.Width)
	for i := range e.rows.Images {
		e.ex.Gemm(y.RowRange(i*p, (i+1)*p), e.patchRows(i), e.m.PatchEmbed.W, kernel.Epilogue{Bias: e.m.PatchEmbed.Bias})
	}
	return y
}

// im2colTask unfolds one row of patches: pixel (c, y, x) of a patch goes to column (c*P+y)*P+x, the
// order of a convolution kernel [d, 3, P, P].
type im2colTask struct {
	images, dst []float32
	m           *model
}

func (t *im2colTask) Do(_, i int) {
	m := t.m
	g, p, side := m.Grid(), m.Patch, m.Image
	img, gy := i/g, i%g
	src := t.images[img*3*side*side:]
	for gx := range g {
		row := t.dst[((img*g+gy)*g+gx)*3*p*p:]
		for c := range 3 {
			for y := range p {
				from := (c*side+gy*p+y)*side + gx*p
				copy(row[(c*p+y)*p:(c*p+y)*p+p], src[from:from+p])
			}
		}
	}
}

// pool applies the final norm and pools the tokens of the images in flight.
func (e *engine) pool() {
	m, x := e.m, e.input(e.m.Depth)
	r := span{First: e.rows.First, Images: e.rows.Images, Each: x.Rows / e.rows.Images}
	e.normed = x
	if m.FinalNorm {
		e.normed = e.h.RowRange(0, x.Rows)
		e.ex.LayerNorm(e.normed, x, m.Final.Gain, m.Final.Bias, m.Eps, e.normSt)
		e.tap("norm", e.normed)
	}
	pooled := e.pooled.RowRange(r.First, r.First+r.Images)
	for i := range r.Images {
		m.poolOne(pooled.Row(i), e.normed.RowRange(i*r.Each, (i+1)*r.Each))
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

// Embed maps features [n, d] by CLIP's projection into the space shared with text, [n, Projected].
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
