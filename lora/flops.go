package lora

import "melo.example/melo/vit"

// StepFLOPs returns the floating-point operations of one training step for one image, if the lowest adapted
// block is from: the forward pass, and the gradients of inputs down to that block. FullTuning adds the
// gradients of weights.
func StepFLOPs(c *vit.Config, method Method, from int) float64 {
	backward := c.LinearFLOPs() + 2*c.AttentionFLOPs()
	switch method {
	case LinearOnly:
		return c.ForwardFLOPs()
	case FullTuning:
		return c.ForwardFLOPs() + float64(c.Depth)*(backward+c.LinearFLOPs()) + c.PatchFLOPs()
	}
	return c.ForwardFLOPs() + float64(c.Depth-from)*backward
}
