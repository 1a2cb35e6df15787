package pixel

import (
	"encoding/binary"
	"fmt"

	"melo.example/melo/dicom"
)

// paletteTags lists descriptor, data and segmented data of red, green and blue.
var paletteTags = [3][3]dicom.Tag{
	{dicom.RedPaletteDescriptor, dicom.RedPaletteData, dicom.SegmentedRedPaletteData},
	{dicom.GreenPaletteDescriptor, dicom.GreenPaletteData, dicom.SegmentedGreenPaletteData},
	{dicom.BluePaletteDescriptor, dicom.BluePaletteData, dicom.SegmentedBluePaletteData},
}

// palette fills v with the colours for palette indices (PS3.3, C.7.6.3.1.5 and C.7.9).
func (d *Description) palette(v *View, f *Frame) error {
	var tables [3]*table
	for c, tags := range paletteTags {
		t, err := d.paletteTable(tags)
		if err != nil {
			return errorf("palette: %w", err)
		}
		tables[c] = t
	}
	wide := tables[0].bits > 8
	n := d.Rows * d.Columns
	v.Bits = 8
	if wide {
		v.Bits = 16
		v.Pix16 = make([]uint16, 3*n)
	} else {
		v.Pix8 = make([]uint8, 3*n)
	}
	for k := range n {
		x := d.stored(f.Data, k)
		for c, t := range tables {
			if wide {
				v.Pix16[3*k+c] = t.at(x)
			} else {
				v.Pix8[3*k+c] = uint8(t.at(x))
			}
		}
	}
	return nil
}

// paletteTable reads one colour, segmented or not.
func (d *Description) paletteTable(tags [3]dicom.Tag) (*table, error) {
	if d.data.Find(tags[2]) == nil {
		return readTable(d.data, tags[0], tags[1], d.Signed)
	}
	t, n, err := readDescriptor(d.data, tags[0], d.Signed)
	if err != nil {
		return nil, err
	}
	words := segmentWords(d.data.Bytes(tags[2]), t.bits, byteOrder(d.data))
	if t.entries, err = expandSegments(words, n); err != nil {
		return nil, fmt.Errorf("%s %s: %w", tags[2], tags[2].Name(), err)
	}
	return t, nil
}

// segmentWords splits segmented data into 8- or 16-bit numbers.
func segmentWords(b []byte, bits uint, order binary.ByteOrder) []uint16 {
	var words []uint16
	if bits == 8 {
		for _, c := range b {
			words = append(words, uint16(c))
		}
		return words
	}
	for ; len(b) >= 2; b = b[2:] {
		words = append(words, order.Uint16(b))
	}
	return words
}

// expandSegments expands segments (PS3.3, C.7.9.2) to exactly n entries: 0 is a list, 1 a line from the
// previous entry, 2 repeats earlier segments.
func expandSegments(words []uint16, n int) ([]uint16, error) {
	e := expander{words: words, out: make([]uint16, 0, n), n: n}
	if err := e.run(0, -1, false); err != nil {
		return nil, err
	}
	if len(e.out) != n {
		return nil, fmt.Errorf("segments make %d entries, expected %d", len(e.out), n)
	}
	return e.out, nil
}

type expander struct {
	words []uint16
	out   []uint16
	n     int
}

// run expands segments from word at on: count of them, or all if count is -1. Repeated segments may not contain
// repeats.
func (e *expander) run(at, count int, repeated bool) error {
	for ; at < len(e.words) && count != 0; count-- {
		if len(e.out) >= e.n && count < 0 {
			return nil // padding
		}
		if at+1 >= len(e.words) {
			return fmt.Errorf("a segment ends early")
		}
		op, length := e.words[at], int(e.words[at+1])
		if len(e.out)+length > e.n && op != 2 {
			return fmt.Errorf("segments make more than %d entries", e.n)
		}
		switch op {
		case 0:
			if at+2+length > len(e.words) {
				return fmt.Errorf("a list of %d entries ends early", length)
			}
			e.out = append(e.out, e.words[at+2:at+2+length]...)
			at += 2 + length
		case 1:
			if at+2 >= len(e.words) || len(e.out) == 0 {
				return fmt.Errorf("a line without both ends")
			}
			e.line(int(e.words[at+2]), length)
			at += 3
		case 2:
			if at+3 >= len(e.words) {
				return fmt.Errorf("a repetition ends early")
			}
			if repeated {
				return fmt.Errorf("a repetition of repetitions")
			}
			from := int(e.words[at+2]) | int(e.words[at+3])<<16
			if from < 0 || from >= len(e.words) {
				return fmt.Errorf("a repetition begins at %d of %d", from, len(e.words))
			}
			if err := e.run(from, length, true); err != nil {
				return err
			}
			at += 4
		default:
			return fmt.Errorf("segment of kind %d, expected 0, 1 or 2", op)
		}
	}
	return nil
}

// line appends length entries, interpolated from the last entry to the given one.
func (e *expander) line(to, length int) {
	from := int(e.out[len(e.out)-1])
	for i := 1; i <= length; i++ {
		step := (to - from) * i
		half := length / 2
		if step < 0 {
			half = -half
		}
		e.out = append(e.out, uint16(from+(step+half)/length))
	}
}
