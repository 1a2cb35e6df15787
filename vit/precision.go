package vit

import "melo.example/melo/internal/kernel"

// Precision is how the maps of the blocks are kept and multiplied; everything between them is float32. See
// docs/numerics.md.
type Precision = kernel.Elem

// The precisions. BF16 and I8 need instructions that not every CPU has: see Supports.
const (
	F32  = kernel.F32
	BF16 = kernel.BF16
	I8   = kernel.I8
)

// ParsePrecision reads "f32", "bf16" or "int8".
func ParsePrecision(s string) (Precision, error) { return kernel.ParseElem(s) }

// Supports reports whether this machine has kernels for precision p.
func Supports(p Precision) bool { return kernel.Has(p) }

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
