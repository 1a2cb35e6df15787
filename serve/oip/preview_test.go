package oip

import (
	"testing"

	"melo.example/melo/imaging"
)

// TestWindowOf: where a window begins and ends among the samples is found from the image through it: inside of the image, beyond it,
// a step, and in fewer bits.
func TestWindowOf(t *testing.T) {
	wide := &imaging.Image{W: 256, H: 1, C: 1, Bits: 16, Pix16: make([]uint16, 256)}
	for i := range wide.Pix16 {
		wide.Pix16[i] = uint16(257 * i)
	}
	for _, want := range [][2]int{{0, 65535}, {10000, 20000}, {-30000, 90000}, {5000, 5300}, {40000, 70000}} {
		for _, bits := range []int{8, 16} {
			own := &imaging.Image{W: 256, H: 1, C: 1, Bits: bits, Pix8: make([]uint8, 256), Pix16: make([]uint16, 256)}
			top := float64(int(1)<<bits - 1)
			for i, v := range wide.Pix16 {
				x := min(max((float64(v)-float64(want[0]))/float64(want[1]-want[0]), 0), 1)
				own.Pix8[i], own.Pix16[i] = uint8(x*255+0.5), uint16(x*top+0.5)
			}
			low, high := windowOf(wide, own)
			if near := max((want[1]-want[0])/100, 260); low < want[0]-near || low > want[0]+near || high < want[1]-near || high > want[1]+near {
				t.Errorf("%d bits: a window from %d to %d is found as %d to %d", bits, want[0], want[1], low, high)
			}
		}
	}
}
