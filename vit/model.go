// Package vit is the frozen backbone: plain Vision Transformer encoders (Dosovitskiy et al.,
// arXiv 2010.11929) and their relatives DeiT, MAE, DINO, DINOv2 and CLIP's vision tower, with forward
// and backward written out by hand. What a network is made of is described in package arch, and read from files
// by package checkpoint.
package vit

import (
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// Norm is a LayerNorm's gain and bias, each [d]. A zero Norm means there is none.
type Norm struct{ Gain, Bias []float32 }

// Linear is y = x Wᵀ + Bias with W [Out, In] packed for the kernels.
type Linear struct {
	In, Out int
	W       *kernel.Packed
	Bias    []float32 // nil if none
}

// BlockOf is what one pre-norm encoder block has, either its weights (with maps of type Linear) or their gradients. KV
// has 2*Width outputs, k then v (apart from Q, because the last block may need queries for the pooled token only); with
// SwiGLU, FC1 has 2*MLP outputs, gate then up. Scale1 and Scale2 are LayerScale [d], nil if none.
type BlockOf[L any] struct {
	Norm1, Norm2          Norm
	Q, KV, Proj, FC1, FC2 L
	Scale1, Scale2        []float32
}

// WeightsOf is what a network has: its weights, or their gradients.
type WeightsOf[L any] struct {
	PatchEmbed L         // In = Channels*Patch*Patch in channel, row, column order
	ClassToken []float32 // [d]
	DistToken  []float32 // [d]
	Register   []float32 // [Registers, d]
	Pos        []float32 // [PositionPrefix + patches, d]
	Pre        Norm      // before the blocks (CLIP)
	Blocks     []BlockOf[L]
	Final      Norm // over all tokens
	Pool       Norm // after pooling
	Project    L    // CLIP's projection, bias-free
}

// Block is the weights of one block.
type Block = BlockOf[Linear]

// Head is a linear classifier on pooled features: W [classes, features] row-major, Bias [classes].
type Head struct {
	Classes, Features int
	W, Bias           []float32
}

// Model is a frozen backbone: read-only after Open and safe for concurrent use by many Engines.
type Model struct {
	Config
	WeightsOf[Linear]
	Precision Precision
	Path      string         // where it was opened, for messages
	Recipe    imaging.Recipe // how an image becomes its input
	// RecipeNote says how the recipe was chosen where no file gives it, in words for a person; empty if a file does.
	RecipeNote string
	Labels     []string // class names of the base's own head, nil if unknown
	Head       *Head    // the base's own head, nil if it has none
	HeadDist   *Head    // DeiT's second head
}

// CheckRecipe returns an error if nothing tells how an image becomes the model's input.
func (m *Model) CheckRecipe() error {
	if m.Recipe.Interpolation == "" {
		return fmt.Errorf("vit: %s: %w", m.Path, checkpoint.ErrNoRecipe)
	}
	return nil
}

// piece is one norm, map or vector of a network, and where it lies. Exactly one of the pointers is set.
type piece[L any] struct {
	name   string   // "blocks.0.kv", "norm", "cls_token"
	of     []string // the modules of the description that a map joins, one after another
	norm   *Norm
	linear *L
	vector *[]float32
	block  bool // part of a block
	after  bool // of no use for features: not trained
}

// pieces lists all of a network, whether its description has them or not. Loading, saving, training and drawing of
// weights all follow this list.
func (w *WeightsOf[L]) pieces() []piece[L] {
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

func (b *BlockOf[L]) pieces() []piece[L] {
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
func (m *Model) Parameter(name string) []float32 {
	block, module, last, inBlock := arch.SplitName(name)
	for kind, h := range map[string]*Head{"head": m.Head, "head_dist": m.HeadDist} {
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
