// Package lora implements adapters: low-rank matrices A and B beside the frozen linear maps of a vit.Model
// (LoRA, arXiv 2106.09685; MeLo, arXiv 2311.08236), and a classification head.
package lora

import (
	"fmt"
	"math"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// Delta is the low-rank update at one site: y += Scale * (x Aᵀ) Bᵀ.
type Delta struct {
	Site  vit.Site
	Rank  int
	Alpha float32
	Scale float32   // factor of the forward pass: alpha/r, or alpha/sqrt(r) for rsLoRA
	A     []float32 // [Rank, in] row-major
	B     []float32 // [out, Rank] row-major
}

// Adapter holds what is trained for one task. It must not be modified once it is in use, because readers share
// it.
type Adapter struct {
	Deltas []Delta // ordered by block, then kind; at most one per site
	Head   *vit.Head
}

// ScaleFor returns the scale of a delta: alpha/r, or alpha/sqrt(r) with rsLoRA (arXiv 2312.03732).
func ScaleFor(alpha float32, rank int, rsLoRA bool) float32 {
	if rsLoRA {
		return alpha / float32(math.Sqrt(float64(rank)))
	}
	return alpha / float32(rank)
}

// Delta returns the delta at site, or nil if there is none.
func (a *Adapter) Delta(site vit.Site) *Delta {
	i, ok := slices.BinarySearchFunc(a.Deltas, site, func(d Delta, s vit.Site) int { return compute.CompareSites(d.Site, s) })
	if !ok {
		return nil
	}
	return &a.Deltas[i]
}

// Parameters returns the number of trainable parameters in A and B, and in the head.
func (a *Adapter) Parameters() (deltas, head int) {
	for _, d := range a.Deltas {
		deltas += len(d.A) + len(d.B)
	}
	if a.Head != nil {
		head = len(a.Head.W) + len(a.Head.Bias)
	}
	return deltas, head
}

// deltas returns the deltas in the form that engines read, sharing memory.
func (a *Adapter) deltas() []compute.Delta {
	ds := make([]compute.Delta, len(a.Deltas))
	for i, d := range a.Deltas {
		ds[i] = compute.Delta{Site: d.Site, Rank: d.Rank, Scale: d.Scale, A: compute.Numbers{F32: d.A}, B: compute.Numbers{F32: d.B}}
	}
	return ds
}

// Resident returns the adapter in the form that engines read, for a base in precision p. It returns nil for
// nil. See compute.NewAdapter for how A and B are stored.
func (a *Adapter) Resident(p vit.Precision) *Resident {
	if a == nil {
		return nil
	}
	return compute.NewAdapter(a.deltas(), a.Head, p)
}

// Merge returns the model whose maps at a's sites are W + Scale*B*A. Everything else is shared with base, which
// does not change. So going back to base undoes the merge, bit for bit.
func Merge(base *vit.Model, a *Adapter) (*vit.Model, error) {
	if err := a.Check(&base.Config); err != nil {
		return nil, err
	}
	m, err := base.Merged(a.deltas())
	if err == nil && a.Head != nil {
		m.Head, m.HeadDist, m.Labels = a.Head, nil, nil
	}
	return m, err
}

// The types that engines read.
type (
	// Resident is an adapter in the form that engines read.
	Resident = compute.Adapter
	// Segment is a run of images of a batch that use the same adapter.
	Segment = compute.Segment
)

// Sort orders the deltas by block and kind, as Delta and the forward pass expect.
func (a *Adapter) Sort() {
	slices.SortFunc(a.Deltas, func(x, y Delta) int { return compute.CompareSites(x.Site, y.Site) })
}

// Check returns an error that names the first site or tensor that does not fit a backbone of shape c.
func (a *Adapter) Check(c *vit.Config) error {
	for i, d := range a.Deltas {
		if i > 0 && compute.CompareSites(a.Deltas[i-1].Site, d.Site) >= 0 {
			return fmt.Errorf("lora: %v: sites are not in order or stand twice", d.Site)
		}
		switch {
		case c.HasSite(d.Site):
		case d.Site.Block == arch.PoolBlock:
			return fmt.Errorf("lora: %v: the base has no attention pooling", d.Site)
		default:
			return fmt.Errorf("lora: %v: the base has %d blocks", d.Site, c.Depth)
		}
		in, out := c.SiteDims(d.Site)
		if d.Rank <= 0 || len(d.A) != d.Rank*in || len(d.B) != out*d.Rank {
			return fmt.Errorf("lora: %v: rank %d with %d numbers in A and %d in B, expected A [r, %d] and B [%d, r]",
				d.Site, d.Rank, len(d.A), len(d.B), in, out)
		}
	}
	if h := a.Head; h != nil {
		if h.Features != c.Features() {
			return fmt.Errorf("lora: head takes %d features, the base gives %d", h.Features, c.Features())
		}
		if h.Classes <= 0 || len(h.W) != h.Classes*h.Features || len(h.Bias) != h.Classes {
			return fmt.Errorf("lora: head of %d classes has %d weights and %d biases", h.Classes, len(h.W), len(h.Bias))
		}
	}
	return nil
}
