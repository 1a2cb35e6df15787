package melo

import (
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// tunedModel returns a copy of the base with the weights of a fully fine-tuned adapter, in float32.
func (b *Base) tunedModel(model *vit.Model, f *adapterfile.File) (*vit.Model, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	return f.Tuned(model, vit.Options{Workers: b.pool})
}
