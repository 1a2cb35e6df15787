package imaging

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// bmpOf makes a BMP of 4-byte palette entries and a header of 40 bytes.
func bmpOf(w, h, bits, compression int, palette, masks, pixels []byte) []byte {
	b := []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, uint32(14+40+len(masks)+len(palette)))
	b = binary.LittleEndian.AppendUint32(b, 40)
	b = binary.LittleEndian.AppendUint32(b, uint32(w))
	b = binary.LittleEndian.AppendUint32(b, uint32(h))
	b = append(b, 1, 0, byte(bits), 0, byte(compression), 0, 0, 0)
	b = append(b, make([]byte, 12)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(palette)/4))
	b = append(b, 0, 0, 0, 0)
	return append(append(append(b, masks...), palette...), pixels...)
}

func TestBMP(t *testing.T) {
	palette := []byte{30, 20, 10, 0, 60, 50, 40, 0, 90, 80, 70, 0, 3, 2, 1, 0} // blue, green, red
	colour := func(i ...int) (out []uint8) {
		for _, k := range i {
			out = append(out, palette[4*k+2], palette[4*k+1], palette[4*k])
		}
		return out
	}
	for name, c := range map[string]struct {
		data []byte
		want []uint8
	}{
		"RLE8": {bmpOf(4, 3, 8, bmpRLE8, palette, nil, []byte{3, 1, 1, 2, 0, 0, 0, 3, 3, 2, 1, 0, 0, 0, 0, 2, 2, 0, 2, 3, 0, 1}),
			colour(0, 0, 3, 3, 3, 2, 1, 0, 1, 1, 1, 2)},
		"RLE4": {bmpOf(5, 2, 4, bmpRLE4, palette, nil, []byte{5, 0x12, 0, 0, 0, 5, 0x32, 0x10, 0x30, 0, 0, 1}),
			colour(3, 2, 1, 0, 3, 1, 2, 1, 2, 1)},
		"5-5-5":    {bmpOf(2, 1, 16, bmpRGB, nil, nil, []byte{0x1f, 0x7c, 0xe0, 0x03}), []uint8{255, 0, 255, 0, 255, 0}},
		"5-6-5":    {bmpOf(2, 1, 16, bmpFields, nil, []byte{0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0}, []byte{0x1f, 0xf8, 0x20, 0x04}), []uint8{255, 0, 255, 0, 133, 0}},
		"top down": {bmpOf(1, -2, 24, bmpRGB, nil, nil, []byte{3, 2, 1, 0, 6, 5, 4, 0}), []uint8{1, 2, 3, 4, 5, 6}},
		"2 bits":   {bmpOf(4, 1, 2, bmpRGB, palette, nil, []byte{0x1b, 0, 0, 0}), colour(0, 1, 2, 3)},
		"32 bits":  {bmpOf(1, 1, 32, bmpRGB, nil, nil, []byte{3, 2, 1, 0}), []uint8{1, 2, 3}},
	} {
		m, err := Decode(c.data, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(m.Pix8, c.want) {
			t.Errorf("%s: got %v, expected %v", name, m.Pix8, c.want)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		text string
	}{
		"short":       {bmpOf(4, 3, 24, bmpRGB, nil, nil, make([]byte, 30)), "ends early"},
		"short runs":  {bmpOf(4, 3, 8, bmpRLE8, palette, nil, []byte{3, 1, 1, 2}), "ends early"},
		"runs over":   {bmpOf(4, 3, 8, bmpRLE8, palette, nil, []byte{0, 5, 1, 2, 3, 0, 1, 0, 0, 1}), "leaves its row"},
		"JPEG inside": {bmpOf(4, 3, 24, 4, nil, nil, make([]byte, 36)), "compression 4"},
		"7 bits":      {bmpOf(4, 3, 7, bmpRGB, nil, nil, make([]byte, 36)), "7 bits"},
	} {
		if _, err := Decode(c.data, name); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPNM(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		want8 []uint8
		want  []uint16
		bits  int
	}{
		"P1":          {"P1\n# a comment\n3 2\n0 1 0\n11#x\n0", []uint8{255, 0, 255, 0, 0, 255}, nil, 8},
		"P2":          {"P2 2 1 100 0 # c\n 50", []uint8{0, 128}, nil, 8},
		"P2 deep":     {"P2 2 1 4095 4095 1", nil, []uint16{65535, 16}, 12},
		"P3":          {"P3 1 1 255 1 2 3", []uint8{1, 2, 3}, nil, 8},
		"P4":          {"P4 10 1 \xaa\x80", []uint8{0, 255, 0, 255, 0, 255, 0, 255, 0, 255}, nil, 8},
		"P5":          {"P5\n2 2\n255\n\x01\x02\x03\x04", []uint8{1, 2, 3, 4}, nil, 8},
		"P5 16":       {"P5 2 1 65535 \x01\x02\x03\x04", nil, []uint16{0x102, 0x304}, 16},
		"P6":          {"P6 1 1 255 \x01\x02\x03", []uint8{1, 2, 3}, nil, 8},
		"P7":          {"P7\nWIDTH 1\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\x01\x02\x03\x09\x04\x05\x06\x09", []uint8{1, 2, 3, 4, 5, 6}, nil, 8},
		"PFM, upward": {"Pf\n1 2\n-1.0\n\x00\x00\x80\x3f\x00\x00\x00\x00", nil, []uint16{0, 65535}, 32},
	} {
		m, err := Decode([]byte(c.data), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(m.Pix8, c.want8) || string(samples(&Image{Bits: 16, Pix16: m.Pix16})) != string(samples(&Image{Bits: 16, Pix16: c.want})) ||
			m.Source.Bits != c.bits || m.Source.Format != "PNM" {
			t.Errorf("%s: got %v %v, %+v", name, m.Pix8, m.Pix16, m.Source)
		}
	}
	for name, c := range map[string]struct{ data, text string }{
		"short":     {"P5 2 2 255 abc", "ends early"},
		"too great": {"P5 1 1 7 \x09", "a sample of 9"},
		"word":      {"P2 1 1 7 x", `sample "x"`},
		"maximum":   {"P5 1 1 70000 ab", "maximum"},
		"float":     {"Pf 1 1 -1 \x00\x00\x00\x43", "floating point sample of 128"},
		"huge":      {"P4 2000000000 2000000000 a", "ends early"},
	} {
		if _, err := Decode([]byte(c.data), name); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
