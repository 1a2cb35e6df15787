package compute

import (
	"fmt"
	"strings"
)

// Precision selects how the linear maps of the blocks are stored and multiplied. Everything between them is
// float32. See docs/numerics.md.
type Precision uint8

// The precisions. An engine need not have all of them: BF16 and I8 of the CPU engine need instructions that not
// every CPU has.
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
