package melo

import (
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// tunedModel returns a copy of the base with the weights that a fully tuned adapter brings along. They
// must be all the weights that training changes, and nothing else.
func (b *Base) tunedModel(model *vit.Model, f *adapterfile.File) (*vit.Model, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	full, err := model.NewTrainer(1, compute.Training{All: true})
	if err != nil {
		return nil, err
	}
	tensors := make(map[string]safetensors.TensorData, len(f.Extra))
	for _, t := range f.Extra {
		tensors[t.Name] = t
	}
	for _, p := range full.Params() {
		name := adapterfile.BasePrefix + p.Name
		t, ok := tensors[name]
		if !ok {
			return nil, fmt.Errorf("melo: %s: fully tuned, but has no tensor %q", f.Path, name)
		}
		delete(tensors, name)
		if !slices.Equal(t.Shape, p.Shape) {
			return nil, fmt.Errorf("melo: %s: tensor %q: shape %v, expected %v", f.Path, name, t.Shape, p.Shape)
		}
		view := safetensors.Tensor{Name: name, DType: t.DType, Shape: t.Shape, Data: t.Data, File: f.Path}
		if _, err := view.Float32s(p.Data); err != nil {
			return nil, err
		}
	}
	for name := range tensors {
		return nil, fmt.Errorf("melo: %s: tensor %q belongs to nothing in the base", f.Path, name)
	}
	full.Updated()
	return full.Model(), nil
}
