// Package lora is the adapter: low-rank matrices A and B beside the frozen maps of a vit.Model
// (LoRA, arXiv 2106.09685; MeLo, arXiv 2311.08236) and a classification head.
package lora

import (
	"fmt"
	"math"
	"slices"

	"melo.example/melo/vit"
)

// Delta is the low-rank update at one site: y += Scale * (x Aᵀ) Bᵀ.
type Delta struct {
	Site  vit.Site
	Rank  int
	Alpha float32
	Scale float32   // alpha/r, or alpha/sqrt(r) for rsLoRA; what the forward pass multiplies by
	A     []float32 // [Rank, in] row-major
	B     []float32 // [out, Rank] row-major
}

// Adapter is the plug-in of one task. It is immutable once published: readers share it.
type Adapter struct {
	Deltas []Delta // ordered by block, then kind; at most one a site
	Head   *vit.Head
}

// ScaleFor returns the factor of a delta: alpha/r, or alpha/sqrt(r) with rsLoRA (arXiv 2312.03732).
func ScaleFor(alpha float32, rank int, rsLoRA bool) float32 {
	if rsLoRA {
		return alpha / float32(math.Sqrt(float64(rank)))
	}
	return alpha / float32(rank)
}

// Delta returns the delta at site, or nil.
func (a *Adapter) Delta(site vit.Site) *Delta {
	i, ok := slices.BinarySearchFunc(a.Deltas, site, func(d Delta, s vit.Site) int { return compareSites(d.Site, s) })
	if !ok {
		return nil
	}
	return &a.Deltas[i]
}

// Parameters returns the number of trained numbers in A and B, and in the head.
func (a *Adapter) Parameters() (deltas, head int) {
	for _, d := range a.Deltas {
		deltas += len(d.A) + len(d.B)
	}
	if a.Head != nil {
		head = len(a.Head.W) + len(a.Head.Bias)
	}
	return deltas, head
}

// Sort orders the deltas by block and kind, as Delta and the forward pass expect.
func (a *Adapter) Sort() {
	slices.SortFunc(a.Deltas, func(x, y Delta) int { return compareSites(x.Site, y.Site) })
}

// Check returns an error that names the first site or tensor that does not fit a backbone of shape c.
func (a *Adapter) Check(c *vit.Config) error {
	for i, d := range a.Deltas {
		if i > 0 && compareSites(a.Deltas[i-1].Site, d.Site) >= 0 {
			return fmt.Errorf("lora: %v: sites are not in order or stand twice", d.Site)
		}
		if d.Site.Block < 0 || d.Site.Block >= c.Depth {
			return fmt.Errorf("lora: %v: the base has %d blocks", d.Site, c.Depth)
		}
		in, out := c.Dims(d.Site.Kind)
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

func compareSites(a, b vit.Site) int {
	if a.Block != b.Block {
		return a.Block - b.Block
	}
	return int(a.Kind) - int(b.Kind)
}
