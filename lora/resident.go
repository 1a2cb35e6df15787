package lora

import (
	"math"
	"slices"

	"melo.example/melo/internal/bf16"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// Resident is an adapter as a Set reads it, made to stay in memory by the thousand: read-only, and with A and
// B in 16 bits where they are bfloat16 anyway.
type Resident struct {
	deltas []residentDelta // ordered by block, then kind
	head   *vit.Head
}

// residentDelta is a Delta.
type residentDelta struct {
	site  vit.Site
	rank  int
	scale float32
	a, b  numbers // [rank, in] and [out, rank]
}

// numbers are float32, or the upper halves of float32.
type numbers struct {
	f32  []float32
	bf16 []uint16
}

// Resident returns the adapter as it is now for a base in precision p, or nil for nil. Beside float32 no number changes,
// and those of a file in bfloat16 take half the room. Beside a narrow base, whose own products take no operand with
// more than eight significant bits, A and B are rounded to bfloat16. It shares the memory of the head, and of what stays in 32 bits.
func (a *Adapter) Resident(p vit.Precision) *Resident {
	if a == nil {
		return nil
	}
	r := &Resident{deltas: make([]residentDelta, len(a.Deltas)), head: a.Head}
	halves := 0
	for i, d := range a.Deltas {
		r.deltas[i] = residentDelta{site: d.Site, rank: d.Rank, scale: d.Scale, a: numbers{f32: d.A}, b: numbers{f32: d.B}}
		halves += len(d.A) + len(d.B)
	}
	if p == vit.F32 && !a.fitsBF16() {
		return r
	}
	store := make([]uint16, 0, halves) // one piece of memory for all
	for i := range r.deltas {
		d := &r.deltas[i]
		store = d.a.halve(store)
		store = d.b.halve(store)
	}
	return r
}

// fitsBF16 reports whether every number of A and B is one of bfloat16.
func (a *Adapter) fitsBF16() bool {
	longer := func(v float32) bool { return math.Float32bits(v)&0xffff != 0 }
	for _, d := range a.Deltas {
		if slices.ContainsFunc(d.A, longer) || slices.ContainsFunc(d.B, longer) {
			return false
		}
	}
	return true
}

// halve moves the numbers, rounded, to the end of store.
func (x *numbers) halve(store []uint16) []uint16 {
	from := len(store)
	for _, v := range x.f32 {
		store = append(store, bf16.Round(v))
	}
	*x = numbers{bf16: store[from:len(store):len(store)]}
	return store
}

// matrix returns the numbers as a rows x cols matrix, which for 16 bits lies in *buf.
func (x *numbers) matrix(buf *[]float32, rows, cols int) kernel.Mat {
	if x.bf16 == nil {
		return kernel.View(x.f32, rows, cols)
	}
	m := grow(buf, rows, cols)
	for i, v := range x.bf16[:len(m.Data)] {
		m.Data[i] = math.Float32frombits(uint32(v) << 16)
	}
	return m
}

// Adapts reports whether there are any deltas: without, the backbone runs as it is.
func (r *Resident) Adapts() bool { return len(r.deltas) > 0 }

// Head returns the head, or nil.
func (r *Resident) Head() *vit.Head { return r.head }

// Bytes returns the memory that the adapter takes.
func (r *Resident) Bytes() int64 {
	n := 0
	for i := range r.deltas {
		d := &r.deltas[i]
		n += 4*(len(d.a.f32)+len(d.b.f32)) + 2*(len(d.a.bf16)+len(d.b.bf16))
	}
	if h := r.head; h != nil {
		n += 4 * (len(h.W) + len(h.Bias))
	}
	return int64(n)
}

// delta returns the delta at site, or nil.
func (r *Resident) delta(site vit.Site) *residentDelta {
	i, ok := slices.BinarySearchFunc(r.deltas, site, func(d residentDelta, s vit.Site) int { return compareSites(d.site, s) })
	if !ok {
		return nil
	}
	return &r.deltas[i]
}
