// Package vit is the frozen backbone: plain Vision Transformer encoders (Dosovitskiy et al.,
// arXiv 2010.11929) and their relatives DeiT, MAE, DINO, DINOv2 and CLIP's vision tower, with forward
// and backward written out by hand. What a network is made of is described in package arch, and read from files
// by package checkpoint.
package vit

import (
	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
)

// norm is a LayerNorm's gain and bias, each [d]. A zero norm means there is none.
type norm struct{ Gain, Bias []float32 }

// linear is y = x Wᵀ + Bias with W [Out, In] packed for the kernels.
type linear struct {
	In, Out int
	W       *kernel.Packed
	Bias    []float32 // nil if none
}

// blockOf is what one pre-norm encoder block has, either its weights (with maps of type linear) or their gradients. KV
// has 2*Width outputs, k then v (apart from Q, because the last block may need queries for the pooled token only); with
// SwiGLU, FC1 has 2*MLP outputs, gate then up. Scale1 and Scale2 are LayerScale [d], nil if none.
type blockOf[L any] struct {
	Norm1, Norm2          norm
	Q, KV, Proj, FC1, FC2 L
	Scale1, Scale2        []float32
}

// weightsOf is what a network has: its weights, or their gradients.
type weightsOf[L any] struct {
	PatchEmbed L         // In = Channels*Patch*Patch in channel, row, column order
	ClassToken []float32 // [d]
	DistToken  []float32 // [d]
	Register   []float32 // [Registers, d]
	Pos        []float32 // [PositionPrefix + patches, d]
	Pre        norm      // before the blocks (CLIP)
	Blocks     []blockOf[L]
	Final      norm // over all tokens
	Pool       norm // after pooling
	Project    L    // CLIP's projection, bias-free
}

// block is the weights of one block.
type block = blockOf[linear]

// Model is a frozen backbone on this CPU. See package compute.
type Model = compute.Model

// Head is a linear classifier on pooled features.
type Head = compute.Head

// model is a Model with its packed weights: it is the Backend. It is read-only after Open.
type model struct {
	compute.Model
	weightsOf[linear]
	workers compute.Workers
}

// self completes a model, new or a changed copy of another, and returns it as its users see it.
func (m *model) self() *Model {
	m.Backend = m
	return &m.Model
}

// piece is one norm, map or vector of a network, and where it lies. Exactly one of the pointers is set.
type piece[L any] struct {
	name   string   // "blocks.0.kv", "norm", "cls_token"
	of     []string // the modules of the description that a map joins, one after another
	norm   *norm
	linear *L
	vector *[]float32
	block  bool // part of a block
	after  bool // of no use for features: not trained
}

// pieces lists all of a network, whether its description has them or not. Loading, saving, training and drawing of
// weights all follow this list.
func (w *weightsOf[L]) pieces() []piece[L] {
	list := []piece[L]{
		{name: "patch_embed", linear: &w.PatchEmbed},
		{name: "cls_token", vector: &w.ClassToken},
		{name: "dist_token", vector: &w.DistToken},
		{name: "reg_token", vector: &w.Register},
		{name: "pos_embed", vector: &w.Pos},
		{name: "norm_pre", norm: &w.Pre},
	}
	for i := range w.Blocks {
		for _, p := range w.Blocks[i].pieces() {
			p.name, p.block = arch.BlockName(i, p.name), true
			for j := range p.of {
				p.of[j] = arch.BlockName(i, p.of[j])
			}
			list = append(list, p)
		}
	}
	list = append(list, piece[L]{name: "norm", norm: &w.Final}, piece[L]{name: "fc_norm", norm: &w.Pool},
		piece[L]{name: "project", linear: &w.Project, after: true})
	for i := range list {
		if p := &list[i]; p.of == nil {
			p.of = []string{p.name}
		}
	}
	return list
}

func (b *blockOf[L]) pieces() []piece[L] {
	return []piece[L]{
		{name: "norm1", norm: &b.Norm1},
		{name: "q", linear: &b.Q},
		{name: "kv", of: []string{"k", "v"}, linear: &b.KV},
		{name: "proj", linear: &b.Proj},
		{name: "ls1", vector: &b.Scale1},
		{name: "norm2", norm: &b.Norm2},
		{name: "fc1", linear: &b.FC1},
		{name: "fc2", linear: &b.FC2},
		{name: "ls2", vector: &b.Scale2},
	}
}

// Parameter returns the numbers of a parameter of the description (arch.Config.Params), row by row, in memory of their
// own; nil if the model has no such parameter. Those of a narrow base are the rounded ones.
func (m *model) Parameter(name string) []float32 {
	block, module, last, inBlock := arch.SplitName(name)
	for kind, h := range map[string]*compute.Head{"head": m.Head, "head_dist": m.HeadDist} {
		if h == nil || inBlock || module != kind {
			continue
		}
		if last == ".bias" {
			return clone(h.Bias)
		}
		return clone(h.W)
	}
	if inBlock {
		module = arch.BlockName(block, module)
	}
	for _, p := range m.pieces() {
		for i, of := range p.of {
			if of != module {
				continue
			}
			switch {
			case p.vector != nil:
				return clone(*p.vector)
			case p.norm != nil && last == ".bias":
				return clone(p.norm.Bias)
			case p.norm != nil:
				return clone(p.norm.Gain)
			case last == ".bias":
				n := len(p.linear.Bias) / len(p.of)
				return clone(p.linear.Bias[i*n : (i+1)*n])
			case p.linear.W == nil:
				return nil
			}
			n := p.linear.In * p.linear.Out
			w := make([]float32, n)
			p.linear.W.Unpack(w)
			n /= len(p.of)
			return w[i*n : (i+1)*n : (i+1)*n]
		}
	}
	return nil
}

func clone(v []float32) []float32 { return append([]float32(nil), v...) }
