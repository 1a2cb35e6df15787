package melo

import (
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// merged is a network with the head of an adapter.
type merged struct {
	compute.Backend
	head *compute.Head
}

// Parameter returns the values of a parameter; the head's are the adapter's.
func (m merged) Parameter(name string) []float32 {
	switch name {
	case "head.weight":
		return slices.Clone(m.head.W)
	case "head.bias":
		return slices.Clone(m.head.Bias)
	}
	return m.Backend.Parameter(name)
}

// Merged returns a new network that answers as this base does with the adapter: the low-rank matrices are
// merged into its weights (or it has the fully fine-tuned weights), and its head is the adapter's.
func (b *Base) Merged(a *Adapter) (*vit.Model, error) {
	if len(a.members) > 0 {
		return nil, fmt.Errorf("melo: %s: an ensemble is no single network: merge its members one by one", a.Name())
	}
	if a.source == nil {
		return nil, fmt.Errorf("melo: the base's own head is no adapter")
	}
	m := b.model
	if a.own != nil {
		m = a.own
	}
	if len(a.source.Deltas) > 0 {
		deltas := make([]compute.Delta, len(a.source.Deltas))
		for i, d := range a.source.Deltas {
			deltas[i] = compute.Delta{Site: d.Site, Rank: d.Rank, Scale: d.Scale, A: compute.Numbers{F32: d.A}, B: compute.Numbers{F32: d.B}}
		}
		var err error
		if m, err = m.Merged(deltas); err != nil {
			return nil, err
		}
	}
	c := *m
	c.Head, c.HeadDist, c.Labels, c.Recipe, c.RecipeNote = a.source.Head, nil, a.labels, a.recipe, ""
	c.Problem = ""
	if a.meta.Task == adapterfile.Multilabel {
		c.Problem = "multi_label_classification"
	}
	c.Classes, c.Backend = a.source.Head.Classes, merged{m.Backend, a.source.Head}
	return &c, nil
}
