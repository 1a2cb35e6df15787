package vit

import (
	"melo.example/melo/internal/kernel"
)

// embedTokens computes the first block's input x [n*T, d] from images: patch projection, class and register
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

// embedOne computes the tokens of image i.
func (e *engine) embedOne(i int, x kernel.Mat) {
	m := e.m
	p := m.Grid() * m.Grid()
	prefix := m.PositionPrefix()
	ep := kernel.Epilogue{Bias: m.PatchEmbed.Bias}
	var pos kernel.Mat
	if m.Pos != nil {
		pos = kernel.View(m.Pos, len(m.Pos)/m.Width, m.Width)
		ep.Residual = pos.RowRange(prefix, prefix+p)
	}
	e.ex.Gemm(x.RowRange(m.Prefix(), x.Rows), e.patchRows(i), m.PatchEmbed.W, ep)
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

// patchTokens recomputes the patch projection without positions, for a Tap.
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
