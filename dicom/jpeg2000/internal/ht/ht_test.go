package ht

import "testing"

// FuzzDecode feeds any bytes. Coefficients must stay below their bit-planes, or there is an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xC0, 0x24, 0x80, 0x48, 0xFE, 0x00, 0x63, 0x00}, []byte{1, 2, 3}, uint8(2), uint8(2), uint8(2))
	f.Add([]byte{0, 0, 0, 0xFF, 0x7F, 0xFF, 0x13, 0x00, 0x91, 0x25, 0xA6, 0x00}, []byte{}, uint8(9), uint8(5), uint8(1))
	f.Fuzz(func(t *testing.T, cleanup, refinement []byte, w, h, refinements uint8) {
		var d Decoder[uint32]
		b := Block{W: int(w%64) + 1, H: int(h%64) + 1, Cleanup: cleanup, Refinement: refinement,
			Refinements: int(refinements % 3), Plane: 3, Above: 20, Causal: refinements > 100}
		if d.Decode(&b) != nil {
			return
		}
		c, stride := d.Coefficients()
		for y := range b.H {
			for _, v := range c[y*stride:][:b.W] {
				if m := v &^ signBit[uint32](); m>>1>>(b.Plane+b.Above+2) != 0 {
					t.Fatalf("magnitude %d at bit-plane %d below %d", m>>1, b.Plane, b.Above)
				}
			}
		}
	})
}

// TestCodes checks that each table is a complete prefix code: whatever seven bits come, they begin with one codeword.
func TestCodes(t *testing.T) {
	total := [2]int{}
	for table := range codewords {
		for ctx, words := range codewords[table] {
			var hits [1 << 7]int
			for _, w := range words {
				for i := int(w.code); i < 1<<7; i += 1 << w.bits {
					hits[i]++
				}
				if w.known&^w.sig != 0 || w.one&^w.known != 0 || (w.more == 0 && w.known != 0) {
					t.Errorf("table %d, context %d: %+v contradicts itself", table, ctx, w)
				}
			}
			for i, n := range hits {
				if n != 1 {
					t.Errorf("table %d, context %d: bits %07b begin with %d codewords", table, ctx, i, n)
				}
			}
			total[table] += len(words)
		}
	}
	if total != [2]int{444, 358} {
		t.Errorf("%v codewords, T.814 has 444 and 358", total)
	}
}

// TestRuns decodes events by the lengths that each state says.
func TestRuns(t *testing.T) {
	// A run of one, one, one, two, and then a one after none: bits 1, 1, 1, 1, 0 and a bit of its length, 0.
	m := mel{data: []byte{0b11110000, 0, 0, 0}}
	for i, want := range []bool{false, false, false, false, false, true} {
		if got := m.event(); got != want {
			t.Errorf("event %d: got %v, want %v", i, got, want)
		}
	}
}

// TestStuffing reads bytes after which, or at which, a bit is left out.
func TestStuffing(t *testing.T) {
	f := forward{data: []byte{0xFF, 0x7F, 0x01}}
	f.need(16)
	if f.acc&(1<<23-1) != 0xFF|0x7F<<8|0x01<<15 {
		t.Errorf("forwards: %#x", f.acc)
	}
	b := backward{data: []byte{0x01, 0x7F, 0x90}}
	b.need(16)
	if b.acc&(1<<23-1) != 0x90|0x7F<<8|0x01<<15 {
		t.Errorf("backwards: %#x", b.acc)
	}
}
