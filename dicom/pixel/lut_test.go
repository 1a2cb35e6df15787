package pixel

import (
	"encoding/binary"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

// explicit encodes elements with their VR, as US unless a VR stands before the value.
func explicit(list ...element) []byte {
	var b []byte
	for _, e := range list {
		vr, value := "US", e.value
		if before, after, ok := strings.Cut(string(e.value), ":"); ok && len(before) == 2 && strings.ToUpper(before) == before {
			vr, value = before, []byte(after)
		}
		b = binary.LittleEndian.AppendUint16(b, e.tag.Group())
		b = append(binary.LittleEndian.AppendUint16(b, e.tag.Element()), vr...)
		if vr == "SQ" || vr == "OW" {
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		}
		b = append(b, value...)
	}
	return b
}

func marked(vr string, value []byte) []byte { return append([]byte(vr+":"), value...) }

// TestSignOfFirstValue: a VOI LUT looks up Hounsfield units of unsigned pixels, from -2 on. Its VR says that its first value
// has a sign, or what would be beyond all values without one.
func TestSignOfFirstValue(t *testing.T) {
	lut := func(vr string, first int) []byte {
		inner := explicit(element{dicom.LUTDescriptor, marked(vr, words(4, first, 16))}, element{dicom.LUTData, words(0, 20000, 40000, 65535)})
		b := []byte{0xFE, 0xFF, 0x00, 0xE0}
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(inner))), inner...)
	}
	view := func(vr string, first int) []uint16 {
		t.Helper()
		f, err := dicom.Parse(explicit(element{dicom.SOPClassUID, marked("UI", []byte("1.2.840.10008.5.1.4.1.1.2\x00"))}, element{dicom.SamplesPerPixel, words(1)},
			element{dicom.PhotometricInterpretation, marked("CS", text("MONOCHROME2"))}, element{dicom.Rows, words(1)}, element{dicom.Columns, words(4)},
			element{dicom.BitsAllocated, words(16)}, element{dicom.BitsStored, words(12)}, element{dicom.HighBit, words(11)}, element{dicom.PixelRepresentation, words(0)},
			element{dicom.RescaleIntercept, marked("DS", text("-2"))}, element{dicom.RescaleSlope, marked("DS", text("1"))},
			element{dicom.VOILUTSequence, marked("SQ", lut(vr, first))}, element{dicom.PixelData, marked("OW", words(0, 1, 2, 3))}), "x", dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := Describe(f)
		if err != nil {
			t.Fatal(err)
		}
		return grey(t, d, "")
	}
	if got, want := view("SS", -2), []uint16{0, 20000, 40000, 65535}; !near(got, want) {
		t.Errorf("SS: %v, want %v", got, want)
	}
	if got, want := view("US", -2), []uint16{0, 20000, 40000, 65535}; !near(got, want) {
		t.Errorf("US: 65,534 is beyond all values: %v, want %v", got, want)
	}
	if got, want := view("US", 0), []uint16{0, 0, 0, 20000}; !near(got, want) {
		t.Errorf("US: %v, want %v", got, want)
	}
	d := object(t, element{dicom.RescaleIntercept, text("-2")}, element{dicom.RescaleSlope, text("1")}, element{dicom.PixelData, words(0, 1, 2, 3, 0, 0)},
		element{dicom.VOILUTSequence, item(element{dicom.LUTDescriptor, words(4, -2, 16)}, element{dicom.LUTData, words(0, 20000, 40000, 65535)})})
	if got, want := grey(t, d, ""), []uint16{0, 20000, 40000, 65535, 0, 0}; !near(got, want) {
		t.Errorf("no VR: %v, want %v", got, want)
	}
}

// TestMoreFramesThanSaid: what pixel data holds beyond the number of frames is hashed and noted, but is no frame of its own.
func TestMoreFramesThanSaid(t *testing.T) {
	d := object(t, element{dicom.PixelData, words(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)})
	n := 0
	err := d.EachFrame(func(samples []byte) error {
		n++
		if len(samples) != 12 {
			t.Errorf("%d bytes", len(samples))
		}
		return nil
	})
	if err != nil || n != 2 || d.Frames != 1 || len(d.Notes()) != 1 || !strings.Contains(d.Notes()[0], "1 frames more") {
		t.Errorf("%d of %d frames, %q, %v", n, d.Frames, d.Notes(), err)
	}
	if _, err := d.Frame(1); err == nil {
		t.Error("a frame that the object does not have")
	}
}
