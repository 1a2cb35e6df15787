package experiment

import (
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// UsualPass is the default number of images per pass, unless their activations are too large.
const UsualPass = 8

// passBytes limits the memory that the images of a pass keep for the backward pass, unless a number of images
// is given. With it the largest bases train in 4 GB, and 8 images of ViT-L still fit.
const passBytes = 3 << 29

// PassFor returns the number of images in memory at once when deltas are trained on a model, or, without
// deltas, all of it or its head: Pass or, if that is 0, UsualPass, reduced if activations are large.
func (o *Options) PassFor(m *vit.Model, deltas []lora.Delta) int {
	if o.Pass > 0 {
		return o.Pass
	}
	from := m.Depth
	switch {
	case o.Method == lora.FullTuning:
		from = 0
	case len(deltas) > 0:
		from = min(deltas[0].Site.Block, m.Depth)
	}
	each := vit.KeptBytes(&m.Config, m.Precision, from)
	return int(min(UsualPass, max(1, passBytes/max(each, 1))))
}
