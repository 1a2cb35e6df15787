package bf16

import (
	"math"
	"testing"
)

// TestRoundAndWiden: every bfloat16 comes back, and a number between two goes to the nearer, or to the even one.
func TestRoundAndWiden(t *testing.T) {
	for h := range 1 << 16 {
		f := Widen(uint16(h))
		if f != f {
			if g := Widen(Round(f)); g == g {
				t.Fatalf("%#04x is not a number and became %v", h, g)
			}
			continue
		}
		if got := Round(f); got != uint16(h) {
			t.Fatalf("%#04x came back as %#04x", h, got)
		}
		if h&0x7fff >= 0x7f7f { // the greatest, and infinity
			continue
		}
		bits := math.Float32bits(f)
		for offset, want := range map[uint32]int{0x7fff: h, 0x8000: h + h&1, 0x8001: h + 1} {
			if got := Round(math.Float32frombits(bits + offset)); int(got) != want {
				t.Fatalf("%#04x and %#x: %#04x, want %#04x", h, offset, got, want)
			}
		}
	}
	if got := Round(math.MaxFloat32); !math.IsInf(float64(Widen(got)), 1) {
		t.Errorf("what is too large became %v", Widen(got))
	}
}
