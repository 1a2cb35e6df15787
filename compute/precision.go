package compute

import (
	"fmt"
	"strings"
)

// Precision is how the maps of the blocks are kept and multiplied; everything between them is float32. See
// docs/numerics.md.
type Precision uint8

// The precisions. Engines may not have all: BF16 and I8 of the CPU engine need instructions that not every CPU has.
const (
	F32 Precision = iota
	BF16
	I8
)

var precisionNames = [...]string{"f32", "bf16", "int8"}

// String returns "f32", "bf16" or "int8".
func (p Precision) String() string { return precisionNames[p] }

// ParsePrecision is the inverse of Precision.String.
func ParsePrecision(s string) (Precision, error) {
	for i, n := range precisionNames {
		if n == s {
			return Precision(i), nil
		}
	}
	return 0, fmt.Errorf("unknown precision %q, expected %s", s, strings.Join(precisionNames[:], ", "))
}
