package vit

import (
	"fmt"
	"math"
	"sync/atomic"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/safetensors"
)

// convert writes the values of t to dst as float32 and refuses those that are not finite.
func (b *builder) convert(t safetensors.Tensor, dst []float32) ([]float32, error) {
	if _, err := (safetensors.Tensor{Name: t.Name, DType: t.DType, File: t.File}).Float32s(dst); err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	return dst, b.finite(t, dst, true)
}

// finite refuses a tensor that holds a NaN or an infinity. values are those of t, or with fill become them.
func (b *builder) finite(t safetensors.Tensor, values []float32, fill bool) error {
	b.values = valuesTask{t: t, values: values, fill: fill}
	b.ex.Pool().Run((len(values)+valuesChunk-1)/valuesChunk, &b.values)
	if !b.values.bad.Load() {
		return nil
	}
	for i, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("vit: %s: tensor %q: value %d is %v, expected finite numbers", t.File, t.Name, i, v)
		}
	}
	return nil
}

const valuesChunk = 1 << 16

// valuesTask converts a tensor and looks for values that are not finite, a chunk at a time.
type valuesTask struct {
	t      safetensors.Tensor
	values []float32
	fill   bool
	bad    atomic.Bool
}

// Do works on chunk i.
func (v *valuesTask) Do(_, i int) {
	lo, hi := i*valuesChunk, min((i+1)*valuesChunk, len(v.values))
	chunk := v.values[lo:hi]
	if v.fill {
		part, size := v.t, v.t.DType.Size()
		part.Data = v.t.Data[lo*size : hi*size]
		part.Float32s(chunk) // the dtype was checked, and the chunk has the length
	}
	if !kernel.AllFinite(chunk) {
		v.bad.Store(true)
	}
}
