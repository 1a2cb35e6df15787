package vit

import (
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
)

// Precision selects how the linear maps of the blocks are stored and multiplied. See compute.Precision.
type Precision = compute.Precision

// The precisions of package compute. BF16 and I8 need instructions that not every CPU has: see Supports.
const (
	F32  = compute.F32
	BF16 = compute.BF16
	I8   = compute.I8
)

// ParsePrecision reads "f32", "bf16" or "int8".
func ParsePrecision(s string) (Precision, error) { return compute.ParsePrecision(s) }

// elem returns the element type of products in a precision. The two types list their values in the same order.
func elem(p Precision) kernel.Elem { return kernel.Elem(p) }

// Supports reports whether this machine has kernels for precision p.
func Supports(p Precision) bool { return kernel.Has(elem(p)) }

// Kernels names the set of kernels in use, such as "avx512".
func Kernels() string { return kernel.Name() }

// FastestTraining returns BF16 if the CPU has the instructions for it, else F32.
func FastestTraining() Precision {
	if Supports(BF16) {
		return BF16
	}
	return F32
}

// edgePrecision returns the precision of the products of attention and of the maps outside the blocks. They
// never use int8, which loses too many digits there.
func edgePrecision(p Precision) Precision {
	if p != I8 {
		return p
	}
	return FastestTraining()
}

// AttentionPrecision returns the precision of attention's products in a base of precision p.
func AttentionPrecision(p Precision) Precision { return edgePrecision(p) }

// MeasurePeak measures for about d how many operations per second the workers reach with products in precision
// p whose operands stay in the caches. The speed of a pass is compared with it.
func MeasurePeak(p Precision, w compute.Workers, d time.Duration) float64 {
	return kernel.MeasurePeakOf(elem(p), w, d)
}
