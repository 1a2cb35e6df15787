package compute

import (
	"cmp"
	"math"
	"slices"

	"melo.example/melo/internal/bf16"
	"melo.example/melo/vit/arch"
)

// Delta is the low-rank update at one site: y += Scale * (x Aᵀ) Bᵀ.
type Delta struct {
	Site  arch.Site
	Rank  int
	Scale float32
	A, B  Numbers // [Rank, in] and [out, Rank], row-major
}

// Numbers holds values either as float32, or as bfloat16, the upper halves of float32. Exactly one of the two
// is set.
type Numbers struct {
	F32  []float32
	BF16 []uint16
}

// Len returns the number of values.
func (x *Numbers) Len() int { return len(x.F32) + len(x.BF16) }

// Float32 returns the values as float32. Values in bfloat16 are converted into dst, which must be long enough.
func (x *Numbers) Float32(dst []float32) []float32 {
	if x.BF16 == nil {
		return x.F32
	}
	dst = dst[:len(x.BF16)]
	for i, v := range x.BF16 {
		dst[i] = math.Float32frombits(uint32(v) << 16)
	}
	return dst
}

// halve rounds the values to bfloat16 and appends them to store.
func (x *Numbers) halve(store []uint16) []uint16 {
	from := len(store)
	for _, v := range x.F32 {
		store = append(store, bf16.Round(v))
	}
	*x = Numbers{BF16: store[from:len(store):len(store)]}
	return store
}

// Adapter is an adapter in the form that engines read. It is read-only and compact, so that thousands fit in
// memory: A and B take 16 bits per value where that loses nothing, or where the base is narrow.
type Adapter struct {
	deltas []Delta // ordered by site
	head   *Head
}

// NewAdapter returns an adapter with deltas, which must be in float32 and ordered by site (CompareSites), for a
// base in precision p. Beside a float32 base no value changes: A and B are stored in bfloat16 only if all their
// values are exact in it. Beside a narrow base, whose own products have at most eight significant bits, A and B
// are rounded to bfloat16. The adapter shares memory with the head, and with values that stay in float32.
func NewAdapter(deltas []Delta, head *Head, p Precision) *Adapter {
	a := &Adapter{deltas: slices.Clone(deltas), head: head}
	if p == F32 && !fitBF16(deltas) {
		return a
	}
	halves := 0
	for i := range deltas {
		halves += deltas[i].A.Len() + deltas[i].B.Len()
	}
	store := make([]uint16, 0, halves) // one allocation for all
	for i := range a.deltas {
		d := &a.deltas[i]
		store = d.A.halve(store)
		store = d.B.halve(store)
	}
	return a
}

// fitBF16 reports whether every value of A and B is exact in bfloat16.
func fitBF16(deltas []Delta) bool {
	longer := func(v float32) bool { return math.Float32bits(v)&0xffff != 0 }
	for _, d := range deltas {
		if slices.ContainsFunc(d.A.F32, longer) || slices.ContainsFunc(d.B.F32, longer) {
			return false
		}
	}
	return true
}

// Adapts reports whether there are any deltas. Without deltas the bare backbone runs.
func (a *Adapter) Adapts() bool { return len(a.deltas) > 0 }

// Head returns the head, or nil if there is none.
func (a *Adapter) Head() *Head { return a.head }

// Bytes returns the memory that the adapter takes, in bytes.
func (a *Adapter) Bytes() int64 {
	n := 0
	for i := range a.deltas {
		d := &a.deltas[i]
		n += 4*(len(d.A.F32)+len(d.B.F32)) + 2*(len(d.A.BF16)+len(d.B.BF16))
	}
	if h := a.head; h != nil {
		n += 4 * (len(h.W) + len(h.Bias))
	}
	return int64(n)
}

// Delta returns the delta at site, or nil if there is none. It must not be modified.
func (a *Adapter) Delta(site arch.Site) *Delta { return DeltaAt(a.deltas, site) }

// DeltaAt returns the delta at site, or nil if there is none. deltas must be ordered by site.
func DeltaAt(deltas []Delta, site arch.Site) *Delta {
	i, ok := slices.BinarySearchFunc(deltas, site, func(d Delta, s arch.Site) int { return CompareSites(d.Site, s) })
	if !ok {
		return nil
	}
	return &deltas[i]
}

// CompareSites orders sites by block, then kind.
func CompareSites(a, b arch.Site) int {
	return cmp.Or(a.Block-b.Block, int(a.Kind)-int(b.Kind))
}

// Segment is a run of consecutive images of a batch that use the same adapter. A nil Adapter means the bare
// base.
type Segment struct {
	Adapter *Adapter
	Images  int
}

// Deltas returns the deltas, ordered by site. They must not be modified.
func (a *Adapter) Deltas() []Delta { return a.deltas }
