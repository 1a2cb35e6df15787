package experiment

import (
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// UsualPass is how many images pass a base together unless their activations are too large or somebody says otherwise.
const UsualPass = 8

// passBytes bounds what images of a pass keep for the backward pass, unless somebody says how many there are: a gigantic base
// trains in 4 GB then, and of ViT-L 8 images still fit.
const passBytes = 3 << 29

// PassFor returns how many images are in memory at once when deltas are trained on a model, or with none all of it or its
// head: Pass or, if that is 0, UsualPass and fewer where activations are large.
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
