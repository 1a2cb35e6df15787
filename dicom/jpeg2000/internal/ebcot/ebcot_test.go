package ebcot

import "testing"

// FuzzSegment feeds passes of any style with any bytes. The coefficients must stay below their bit-planes.
func FuzzSegment(f *testing.F) {
	f.Add([]byte{0x12, 0x84, 0xFF, 0x7F, 0x00, 0xFF, 0xFF}, uint8(7), uint8(3), uint8(0), uint8(10))
	f.Add([]byte("some bytes that are no codeword segment"), uint8(64), uint8(64), uint8(31), uint8(40))
	f.Fuzz(func(t *testing.T, data []byte, w, h, style, passes uint8) {
		var d Decoder[uint32]
		s := Style{style&1 != 0, style&2 != 0, style&4 != 0, style&8 != 0, style&16 != 0}
		planes := 1 + int(passes)/3
		if planes > MaxPlanes[uint32]() {
			planes = MaxPlanes[uint32]()
		}
		width, height := int(w%64)+1, int(h%64)+1
		if err := d.Start(width, height, Band(style>>5&3), planes, s); err != nil {
			t.Fatal(err)
		}
		for left := int(passes); left > 0; {
			n := min(left, 1+len(data)%7)
			if err := d.Segment(data[:len(data)/2], n); err != nil {
				break
			}
			left -= n
		}
		for _, v := range d.Coefficients() {
			if m := v &^ signBit[uint32](); uint64(m)>>1>>planes != 0 {
				t.Fatalf("magnitude %d of %d bit-planes", m>>1, planes)
			}
		}
	})
}

// TestWidths decodes the same bytes with coefficients of 32 and of 64 bits.
func TestWidths(t *testing.T) {
	data := []byte{0x40, 0x93, 0x11, 0xC7, 0xFF, 0x21, 0x5A, 0x00, 0x77, 0x3E, 0x91, 0xFE, 0x02}
	for band := LL; band <= HH; band++ {
		var a Decoder[uint32]
		var b Decoder[uint64]
		for _, err := range []error{a.Start(9, 7, band, 12, Style{}), b.Start(9, 7, band, 12, Style{}),
			a.Segment(data, 34), b.Segment(data, 34)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		nonzero := 0
		for i, v := range a.Coefficients() {
			w := b.Coefficients()[i]
			if uint64(v&^(1<<31)) != w&^(1<<63) || v>>31 != uint32(w>>63) {
				t.Fatalf("band %d, coefficient %d: %#x and %#x", band, i, v, w)
			}
			if v != 0 {
				nonzero++
			}
		}
		if nonzero == 0 {
			t.Fatal("nothing was decoded")
		}
	}
	if err := new(Decoder[uint32]).Start(4, 4, LL, 31, Style{}); err == nil {
		t.Error("31 bit-planes fit 32 bits")
	}
}

// TestPassesBelow checks that passes below the lowest bit-plane are an error.
func TestPassesBelow(t *testing.T) {
	var d Decoder[uint32]
	if err := d.Start(4, 4, LL, 2, Style{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Segment([]byte{1, 2, 3}, 5); err == nil {
		t.Error("five passes over two bit-planes")
	}
}
