package vit

import (
	"fmt"
	"math"
	"sync/atomic"

	"melo/safetensors"
)

// finite refuses a tensor that holds a NaN or an infinity. values are those of t.
func (b *builder) finite(t safetensors.Tensor, values []float32) error {
	b.check.values = values
	b.check.bad.Store(false)
	b.ex.Pool().Run((len(values)+finiteChunk-1)/finiteChunk, &b.check)
	b.check.values = nil
	if !b.check.bad.Load() {
		return nil
	}
	for i, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("vit: %s: tensor %q: value %d is %v, expected finite numbers", t.File, t.Name, i, v)
		}
	}
	return nil
}

const finiteChunk = 1 << 16

// finiteTask looks for values that are not finite, a chunk at a time.
type finiteTask struct {
	values []float32
	bad    atomic.Bool
}

// Do checks chunk i.
func (t *finiteTask) Do(_, i int) {
	chunk := t.values[i*finiteChunk:]
	if !allFinite(chunk[:min(len(chunk), finiteChunk)]) {
		t.bad.Store(true)
	}
}

// allFinite uses that 0 * x is NaN for an x that is not finite, and 0 else; the sums stay 0 or NaN.
func allFinite(values []float32) bool {
	var a, b, c, d float32
	for len(values) >= 4 {
		v := (*[4]float32)(values)
		a += 0 * v[0]
		b += 0 * v[1]
		c += 0 * v[2]
		d += 0 * v[3]
		values = values[4:]
	}
	for _, v := range values {
		a += 0 * v
	}
	return a+b+c+d == 0
}
