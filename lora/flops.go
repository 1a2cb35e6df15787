package lora

import "melo.example/melo/vit"

// StepFLOPs returns the operations of one training step for one image, when the lowest adapted block is
// from: the forward pass, and down to that block the gradients of inputs; for full the gradients of
// weights, too.
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
