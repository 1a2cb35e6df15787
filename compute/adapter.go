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

// Numbers are float32, or numbers of bfloat16 as the upper halves of float32. One of the two is nil.
type Numbers struct {
	F32  []float32
	BF16 []uint16
}

// Len returns how many there are.
func (x *Numbers) Len() int { return len(x.F32) + len(x.BF16) }

// Float32 returns the numbers as float32: the ones that are there, or in dst, which must be long enough.
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

// halve moves the numbers, rounded, to the end of store.
func (x *Numbers) halve(store []uint16) []uint16 {
	from := len(store)
	for _, v := range x.F32 {
		store = append(store, bf16.Round(v))
	}
	*x = Numbers{BF16: store[from:len(store):len(store)]}
	return store
}

// Adapter is an adapter as engines read it, made to stay in memory by the thousand: read-only, and with A and B in 16
// bits where they are bfloat16 anyway.
type Adapter struct {
	deltas []Delta // ordered by block, then kind
	head   *Head
}

// NewAdapter returns an adapter of deltas, which are in float32 and ordered by site (CompareSites), for a base in
// precision p. Beside float32 no number changes, and numbers that fit bfloat16 take half the room. Beside a narrow
// base, whose own products take no operand with more than eight significant bits, A and B are rounded to bfloat16. The
// adapter shares the memory of the head, and of what stays in 32 bits.
func NewAdapter(deltas []Delta, head *Head, p Precision) *Adapter {
	a := &Adapter{deltas: slices.Clone(deltas), head: head}
	if p == F32 && !fitBF16(deltas) {
		return a
	}
	halves := 0
	for i := range deltas {
		halves += deltas[i].A.Len() + deltas[i].B.Len()
	}
	store := make([]uint16, 0, halves) // one piece of memory for all
	for i := range a.deltas {
		d := &a.deltas[i]
		store = d.A.halve(store)
		store = d.B.halve(store)
	}
	return a
}

// fitBF16 reports whether every number of A and B is one of bfloat16.
func fitBF16(deltas []Delta) bool {
	longer := func(v float32) bool { return math.Float32bits(v)&0xffff != 0 }
	for _, d := range deltas {
		if slices.ContainsFunc(d.A.F32, longer) || slices.ContainsFunc(d.B.F32, longer) {
			return false
		}
	}
	return true
}

// Adapts reports whether there are any deltas: without, the backbone runs as it is.
func (a *Adapter) Adapts() bool { return len(a.deltas) > 0 }

// Head returns the head, or nil.
func (a *Adapter) Head() *Head { return a.head }

// Bytes returns the memory that the adapter takes.
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

// Delta returns the delta at site, or nil. It is read-only.
func (a *Adapter) Delta(site arch.Site) *Delta { return DeltaAt(a.deltas, site) }

// DeltaAt returns the delta at site among deltas that are ordered, or nil.
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

// Segment is a run of consecutive images of a batch that use one adapter; nil is the bare base.
type Segment struct {
	Adapter *Adapter
	Images  int
}

// Deltas returns the deltas, ordered by site. They are read-only.
func (a *Adapter) Deltas() []Delta { return a.deltas }
