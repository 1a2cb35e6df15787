package main

import (
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Floating-point operations that the mathematics asks for, a multiply-add counted as two. Work that the
// program avoids or repeats (class-token-only last block, recomputed attention) is in favour of and against
// it: the count is a property of the model, so that shares of the peak can be compared between programs.

// linearFLOPs returns the operations of the linear maps of one block for one image.
func linearFLOPs(c *vit.Config) float64 {
	d, hidden := float64(c.Width), float64(c.MLP)
	maps := 4*d*d + 2*d*hidden
	if c.SwiGLU {
		maps += d * hidden
	}
	return 2 * maps * float64(c.Tokens())
}

// attentionFLOPs returns the operations of the two products of attention of one block for one image.
func attentionFLOPs(c *vit.Config) float64 {
	t := float64(c.Tokens())
	return 4 * t * t * float64(c.Width)
}

// patchFLOPs returns the operations of the patch embedding for one image.
func patchFLOPs(c *vit.Config) float64 {
	g, p := float64(c.Grid()), float64(c.Patch)
	return 2 * g * g * float64(c.Channels) * p * p * float64(c.Width)
}

// forwardFLOPs returns the operations of one forward pass of one image.
func forwardFLOPs(c *vit.Config) float64 {
	return patchFLOPs(c) + float64(c.Depth)*(linearFLOPs(c)+attentionFLOPs(c))
}

// stepFLOPs returns the operations of one training step for one image, when the lowest adapted block is
// from: the forward pass, and down to that block the gradients of inputs; for full the gradients of
// weights, too.
func stepFLOPs(c *vit.Config, method lora.Method, from int) float64 {
	backward := linearFLOPs(c) + 2*attentionFLOPs(c)
	switch method {
	case lora.LinearOnly:
		return forwardFLOPs(c)
	case lora.FullTuning:
		return forwardFLOPs(c) + float64(c.Depth)*(backward+linearFLOPs(c)) + patchFLOPs(c)
	}
	return forwardFLOPs(c) + float64(c.Depth-from)*backward
}

// partFLOPs returns the operations of the parts of one block of a profile, for one image. The gradient of an input takes
// as many as the product.
func partFLOPs(c *vit.Config) map[profileKey]float64 {
	out := map[profileKey]float64{}
	rows := float64(c.Tokens())
	product := func(part vit.Part, kinds ...vit.Kind) {
		n := 0.0
		for _, k := range kinds {
			in, outs := c.Dims(k)
			n += 2 * float64(in) * float64(outs) * rows
		}
		for _, phase := range []string{"forward", "backward"} {
			out[profileKey{phase: phase, part: part.String()}] = n
		}
	}
	product(vit.PartQKV, vit.Q, vit.K, vit.V)
	product(vit.PartProj, vit.Proj)
	product(vit.PartFC1, vit.FC1)
	product(vit.PartFC2, vit.FC2)
	attention := vit.PartAttention.String()
	out[profileKey{phase: "forward", part: attention}] = attentionFLOPs(c)
	out[profileKey{phase: "backward", part: attention}] = 2 * attentionFLOPs(c)
	return out
}
