package vit

import (
	"slices"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// linearGrads are the gradients of a linear map's W [out, in] and Bias [out].
type linearGrads struct{ W, B []float32 }

// blockGrads are the gradients of one block's weights.
type blockGrads = blockOf[linearGrads]

// grads are the gradients of all weights of a backbone, for full fine-tuning.
type grads = weightsOf[linearGrads]

// full is a backbone of which every weight is trained: a private copy of a model, its weights as plain
// matrices, and their gradients.
type full struct {
	Model  *model
	Grads  grads
	params []compute.Param
	packs  []packed
}

// packed is a weight that is repacked after each optimizer step. Its parts are ranges of rows of one fused map.
type packed struct {
	w   []float32
	dst *kernel.Packed
}

// newFull returns a trainable copy of m in float32. The original does not change.
func newFull(ex *kernel.Exec, m *model) *full { return newFullAs(ex, m, F32) }

// newFullAs is newFull with products in precision p, F32 or BF16. Weights and their gradients are float32;
// weights are rounded when they are packed.
func newFullAs(ex *kernel.Exec, m *model, p Precision) *full {
	c := *m
	c.Precision = p
	c.self()
	f := &full{Model: &c}
	c.Blocks = slices.Clone(m.Blocks)
	f.Grads.Blocks = make([]blockGrads, len(c.Blocks))
	grads := f.Grads.pieces()
	for i, p := range c.pieces() {
		switch g := grads[i]; {
		case p.after:
		case p.vector != nil:
			f.vector(p.name, p.vector, g.vector, false)
		case p.norm != nil:
			f.norm(p.name, p.norm, g.norm)
		case p.linear.W != nil:
			f.linear(ex, p.name, p.linear, g.linear)
		}
	}
	return f
}

// exact returns a copy of the backbone in its present state with all products in float32.
func (f *full) exact(ex *kernel.Exec) *model {
	exact := newFull(ex, f.Model)
	for i, p := range exact.params {
		copy(p.Data, f.params[i].Data)
	}
	exact.Updated(ex)
	return exact.Model
}

// Params returns every weight with its gradient, in a fixed order. Weight decay applies to matrices, not to
// vectors.
func (f *full) Params() []compute.Param { return f.params }

// Updated repacks the matrices after their values changed.
func (f *full) Updated(ex *kernel.Exec) {
	for _, p := range f.packs {
		p.dst.Repack(ex, p.w)
	}
	f.Model.placeBiases()
}

// vector makes *v a private copy with a gradient. A missing vector stays missing.
func (f *full) vector(name string, v, g *[]float32, decay bool) {
	if *v == nil {
		return
	}
	*v = slices.Clone(*v)
	*g = make([]float32, len(*v))
	f.params = append(f.params, compute.Param{Name: name, Shape: []int{len(*v)}, Data: *v, Grad: *g, Decay: decay, LRScale: 1})
}

func (f *full) norm(name string, n, g *norm) {
	f.vector(name+".weight", &n.Gain, &g.Gain, false)
	f.vector(name+".bias", &n.Bias, &g.Bias, false)
}

func (f *full) linear(ex *kernel.Exec, name string, l *linear, g *linearGrads) {
	w := make([]float32, l.In*l.Out)
	l.W.Unpack(w)
	l.W = kernel.PackAs(ex, elem(f.Model.Precision), w, l.Out, l.In)
	g.W = make([]float32, len(w))
	f.packs = append(f.packs, packed{w, l.W})
	f.params = append(f.params, compute.Param{Name: name + ".weight", Shape: []int{l.Out, l.In}, Data: w, Grad: g.W, Decay: true, LRScale: 1})
	f.vector(name+".bias", &l.Bias, &g.B, false)
	if m := f.Model; m.NoKeyBias && strings.HasSuffix(name, ".kv") && l.Bias != nil { // the bias of k stays zero
		p := &f.params[len(f.params)-1]
		p.Data, p.Grad, p.Shape = p.Data[m.Width:], p.Grad[m.Width:], []int{m.Width}
	}
}

// weightGrad accumulates the gradients of a map's weights, image by image.
func (e *engine) weightGrad(g linearGrads, x, dy kernel.Mat, rows span) {
	e.ex.GemmTN(kernel.View(g.W, dy.Cols, x.Cols), dy, x, rows.Each)
	if g.B != nil {
		e.col.sumColumns(e.ex, g.B, dy)
	}
}

// EnableFull allocates the additional activations that training the patch embedding needs.
func (e *engine) EnableFull() {
	if e.m.Pre.Gain != nil && e.embed.Data == nil {
		n := e.maxBatch * e.m.Tokens()
		e.embed, e.preSt = kernel.NewMat(n, e.m.Width), kernel.NewRowStats(n)
	}
}

// embedGrad accumulates the gradients of the patch projection, tokens and position embedding from dx, the
// gradient of the first block's input.
func (e *engine) embedGrad(dx kernel.Mat, g *grads) {
	m := e.m
	if m.Pre.Gain != nil {
		raw := e.tokens(e.embed)
		e.col.normParam(e.ex, g.Pre, dx, raw, e.preSt)
		e.ex.LayerNormGrad(dx, dx, raw, m.Pre.Gain, e.preSt, false)
	}
	prefix, d := m.PositionPrefix(), m.Width
	var pos kernel.Mat
	if g.Pos != nil {
		pos = kernel.View(g.Pos, len(g.Pos)/d, d)
	}
	for i := range e.rows.Images {
		x := dx.RowRange(i*e.rows.Each, (i+1)*e.rows.Each)
		row := 0
		for _, tok := range [][]float32{g.ClassToken, g.DistToken} {
			if tok == nil {
				continue
			}
			kernel.AddTo(tok, x.Row(row))
			if row < prefix {
				kernel.AddTo(pos.Row(row), x.Row(row))
			}
			row++
		}
		for r := range m.Registers {
			kernel.AddTo(g.Register[r*d:(r+1)*d], x.Row(row+r))
		}
		patches := x.RowRange(m.Prefix(), x.Rows)
		if pos.Data != nil {
			addRows(pos.RowRange(prefix, prefix+patches.Rows), patches)
		}
		e.weightGrad(g.PatchEmbed, e.patchRows(i), patches, span{Images: 1, Each: patches.Rows})
	}
}
