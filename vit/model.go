// Package vit is the frozen backbone: plain Vision Transformer encoders (Dosovitskiy et al.,
// arXiv 2010.11929) and their relatives DeiT, MAE, DINO, DINOv2 and CLIP's vision tower, with forward
// and backward written out by hand.
package vit

import (
	"melo.example/melo/imaging"
	"melo.example/melo/internal/kernel"
)

// Norm is a LayerNorm's gain and bias, each [d]. A zero Norm means there is none.
type Norm struct{ Gain, Bias []float32 }

// Linear is y = x Wᵀ + Bias with W [Out, In] packed for the kernels.
type Linear struct {
	In, Out int
	W       *kernel.Packed
	Bias    []float32 // nil if none
}

// Block is one pre-norm encoder block. KV has 2*Width outputs, k then v (apart from Q, because the last
// block may need queries for the pooled token only); with SwiGLU, FC1 has 2*MLP outputs, gate then up.
// Scale1 and Scale2 are LayerScale [d], nil if none.
type Block struct {
	Norm1, Norm2          Norm
	Q, KV, Proj, FC1, FC2 Linear
	Scale1, Scale2        []float32
}

// Head is a linear classifier on pooled features: W [classes, features] row-major, Bias [classes].
type Head struct {
	Classes, Features int
	W, Bias           []float32
}

// Model is a frozen backbone: read-only after Open and safe for concurrent use by many Engines.
type Model struct {
	Config
	Precision Precision
	Path      string         // where it was opened, for messages
	Recipe    imaging.Recipe // how an image becomes its input
	Labels    []string       // class names of the base's own head, nil if unknown

	PatchEmbed Linear    // In = Channels*Patch*Patch in channel, row, column order
	ClassToken []float32 // [d]
	DistToken  []float32 // [d]
	Register   []float32 // [Registers, d]
	Pos        []float32 // [Tokens-Registers or patches only (PosPrefix false), d]
	Pre        Norm      // before the blocks (CLIP)
	Blocks     []Block
	Final      Norm   // over all tokens
	Pool       Norm   // after pooling
	Project    Linear // CLIP's projection, bias-free
	Head       *Head  // the base's own head, nil if it has none
	HeadDist   *Head  // DeiT's second head
}
