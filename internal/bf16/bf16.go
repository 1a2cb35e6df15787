// Package bf16 converts single values to and from bfloat16 (the upper half of a float32). internal/kernel
// converts whole rows.
package bf16

import "math"

// Widen returns the value of the bfloat16 h.
func Widen(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// Round returns the nearest bfloat16, with ties to even. NaN becomes a quiet NaN.
func Round(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
