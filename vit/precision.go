package vit

import (
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// Precision is how the maps of the blocks are kept and multiplied. See compute.Precision.
type Precision = compute.Precision

// The precisions of package compute. BF16 and I8 need instructions that not every CPU has: see Supports.
const (
	F32  = compute.F32
	BF16 = compute.BF16
	I8   = compute.I8
)

// ParsePrecision reads "f32", "bf16" or "int8".
func ParsePrecision(s string) (Precision, error) { return compute.ParsePrecision(s) }

// elem is the type of the elements that a precision multiplies. The two have the same order.
func elem(p Precision) kernel.Elem { return kernel.Elem(p) }

// Supports reports whether this machine has kernels for precision p.
func Supports(p Precision) bool { return kernel.Has(elem(p)) }

// Kernels names the set of kernels in use, such as "avx512".
func Kernels() string { return kernel.Name() }

// FastestTraining returns BF16 where the CPU has the instructions, else F32.
func FastestTraining() Precision {
	if Supports(BF16) {
		return BF16
	}
	return F32
}

// edgePrecision is that of the products of attention and of the maps before and after the blocks, which keep
// more digits than a byte has.
func edgePrecision(p Precision) Precision {
	if p != I8 {
		return p
	}
	return FastestTraining()
}

// AttentionPrecision is that of attention's products in a base of precision p.
func AttentionPrecision(p Precision) Precision { return edgePrecision(p) }

// MeasurePeak returns how many operations a second the workers make of products in precision p that stay in their
// caches, measured for about d: what the speed of a pass is compared with.
func MeasurePeak(p Precision, w compute.Workers, d time.Duration) float64 {
	return kernel.MeasurePeakOf(elem(p), w, d)
}
