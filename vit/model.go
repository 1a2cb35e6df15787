// Package vit is the CPU engine: plain Vision Transformer encoders (Dosovitskiy et al., arXiv 2010.11929) and
// their relatives DeiT, MAE, DINO, DINOv2 and CLIP's vision tower, with hand-written forward and backward
// passes. Package arch describes networks, and package checkpoint reads them from files.
package vit

import (
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// norm holds a LayerNorm's gain and bias, each [d]. The zero value means that there is no such norm.
type norm struct{ Gain, Bias []float32 }

// linear is y = x Wᵀ + Bias with W [Out, In] packed for the kernels.
type linear struct {
	In, Out int
	W       *kernel.Packed
	Bias    []float32 // nil if none
}

// blockOf holds the parts of one pre-norm encoder block: either its weights (L is linear) or their gradients.
// KV has 2*Width outputs, k then v. Q is separate because the last block may need queries for the pooled token
// only. With SwiGLU, FC1 has 2*MLP outputs, gate then up. Parts that the network does not have are zero.
type blockOf[L any] struct {
	Norm1, AttnNorm, Norm2, MLPNorm norm
	Q, KV, Proj, FC1, FC2           L
	Scale1, Scale2                  []float32 // LayerScale [d]
	RelPos                          []float32 // relative position table [Distances, Heads]
}

// weightsOf holds the parts of a network: its weights, or their gradients.
type weightsOf[L any] struct {
	PatchEmbed L         // In = Channels*Patch*Patch in channel, row, column order
	ClassToken []float32 // [d]
	DistToken  []float32 // [d]
	Register   []float32 // [Registers, d]
	Pos        []float32 // [PositionPrefix + patches, d]
	RelPos     []float32 // relative position table shared by all blocks
	Pre        norm      // before the blocks (CLIP)
	Blocks     []blockOf[L]
	Final      norm       // over all tokens
	Pool       norm       // after pooling
	Latent     []float32  // query of attention pooling [d]
	AttnPool   blockOf[L] // the maps of attention pooling, and Norm2
	Project    L          // CLIP's projection, bias-free
}

// block holds the weights of one block.
type block = blockOf[linear]

// Model is a frozen backbone on this CPU; see compute.Model.
type Model = compute.Model

// Head is a linear classifier on pooled features.
type Head = compute.Head

// model is a Model with its packed weights, and its Backend. It is read-only after Open.
type model struct {
	compute.Model
	weightsOf[linear]
	workers compute.Workers
	mapped  *safetensors.File // the mapped file of the packed weights; nil if they are in ordinary memory

	rotation rotation    // of queries and keys
	biases   [][]float32 // relative position biases per block [Heads, T, T]; nil if there are none
}

// self completes a model, new or a changed copy of another, and returns its public form.
func (m *model) self() *Model {
	m.Backend = m
	m.place()
	return &m.Model
}

// piece points to one norm, linear map or vector of a network. Exactly one of the pointers is set.
type piece[L any] struct {
	name   string   // "blocks.0.kv", "norm", "cls_token"
	of     []string // modules of the description that the map joins, in order
	norm   *norm
	linear *L
	vector *[]float32
	block  bool // part of a block
	after  bool // not used by features, so not trained
}

// pieces lists every part that a network can have, whether or not this one has it. Loading, saving, training
// and random initialisation all follow this list.
func (w *weightsOf[L]) pieces() []piece[L] {
	list := []piece[L]{
		{name: "patch_embed", linear: &w.PatchEmbed},
		{name: "cls_token", vector: &w.ClassToken},
		{name: "dist_token", vector: &w.DistToken},
		{name: "reg_token", vector: &w.Register},
		{name: "pos_embed", vector: &w.Pos},
		{name: "rel_pos", vector: &w.RelPos},
		{name: "norm_pre", norm: &w.Pre},
	}
	for i := range w.Blocks {
		list = append(list, w.Blocks[i].pieces(arch.BlockName(i, ""), true)...)
	}
	list = append(list, piece[L]{name: "norm", norm: &w.Final}, piece[L]{name: "fc_norm", norm: &w.Pool},
		piece[L]{name: "pool.latent", vector: &w.Latent})
	for _, p := range w.AttnPool.pieces("pool.", false) {
		if p.name == "pool.norm2" {
			p.name = "pool.norm"
		}
		list = append(list, p)
	}
	list = append(list, piece[L]{name: "project", linear: &w.Project, after: true})
	for i := range list {
		if p := &list[i]; p.of == nil {
			p.of = []string{p.name}
		}
	}
	return list
}

// pieces lists the parts of a block. Their names begin with prefix.
func (b *blockOf[L]) pieces(prefix string, inBlock bool) []piece[L] {
	list := []piece[L]{
		{name: "norm1", norm: &b.Norm1},
		{name: "q", linear: &b.Q},
		{name: "kv", of: []string{"k", "v"}, linear: &b.KV},
		{name: "rel_pos", vector: &b.RelPos},
		{name: "norm_attn", norm: &b.AttnNorm},
		{name: "proj", linear: &b.Proj},
		{name: "ls1", vector: &b.Scale1},
		{name: "norm2", norm: &b.Norm2},
		{name: "fc1", linear: &b.FC1},
		{name: "norm_mlp", norm: &b.MLPNorm},
		{name: "fc2", linear: &b.FC2},
		{name: "ls2", vector: &b.Scale2},
	}
	for i := range list {
		p := &list[i]
		p.name, p.block = prefix+p.name, inBlock
		for j := range p.of {
			p.of[j] = prefix + p.of[j]
		}
	}
	return list
}

// biasOf returns the biases of part i of n.
func (l *linear) biasOf(i, n int) []float32 {
	k := len(l.Bias) / n
	return l.Bias[i*k : (i+1)*k]
}

// Parameter returns a copy of the values of a parameter of the description (arch.Config.Params), row by row, or
// nil if the model has no such parameter. Parameters of a narrow precision are returned as rounded.
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
	switch {
	case inBlock && last == "" || strings.HasPrefix(module, "pool") && last == ".latent":
		module, last = name, ""
	case inBlock:
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
				return clone(p.linear.biasOf(i, len(p.of)))
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
