package imaging

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"melo.example/melo/dicom"
)

// object is an implicit little endian object of two frames of 3 x 2 pixels of 12 bits.
func object(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 132)
	copy(b[128:], "DICM")
	copy(b, "II*\x00") // a preamble that serves TIFF readers
	put := func(tag dicom.Tag, value []byte) {
		b = binary.LittleEndian.AppendUint16(b, tag.Group())
		b = binary.LittleEndian.AppendUint16(b, tag.Element())
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = append(b, value...)
	}
	word := func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
	put(dicom.TransferSyntaxUID, []byte(dicom.ImplicitLittleEndian+"\x00"))
	put(dicom.SamplesPerPixel, word(1))
	put(dicom.PhotometricInterpretation, []byte("MONOCHROME2 "))
	put(dicom.NumberOfFrames, []byte("2 "))
	put(dicom.Rows, word(2))
	put(dicom.Columns, word(3))
	put(dicom.BitsAllocated, word(16))
	put(dicom.BitsStored, word(12))
	put(dicom.HighBit, word(11))
	put(dicom.PixelRepresentation, word(0))
	put(dicom.WindowCenter, []byte("100 "))
	put(dicom.WindowWidth, []byte("101 "))
	var pixels []byte
	for _, v := range []int{0, 50, 100, 150, 4095, 99, 1, 2, 3, 4, 5, 6} {
		pixels = append(pixels, word(v)...)
	}
	put(dicom.PixelData, pixels)
	return b
}

func TestDICOM(t *testing.T) {
	data := object(t)
	for _, c := range []struct {
		window string
		page   int
		want   []uint16
	}{
		{"", 0, []uint16{0, 328, 33095, 65535, 65535, 32440}}, // ((x - 99.5)/100 + 0.5) of 65535
		{"full", 0, []uint16{0, 800, 1600, 2401, 65535, 1584}},
		{"range", 1, []uint16{0, 13107, 26214, 39321, 52428, 65535}},
		{"3.5,5", 1, []uint16{0, 16384, 32768, 49151, 65535, 65535}},
	} {
		img, err := DecodeContext(context.Background(), data, "x.dcm", Options{Page: c.page, Window: c.window})
		if err != nil {
			t.Fatalf("%q: %v", c.window, err)
		}
		if img.W != 3 || img.H != 2 || img.C != 1 || img.Bits != 16 || img.Source.Pages != 2 || img.Source.Format != "DICOM" {
			t.Fatalf("%+v", img)
		}
		for i, v := range img.Pix16 {
			if math.Abs(float64(v)-float64(c.want[i])) > 1 {
				t.Errorf("window %q, frame %d: got %v, want %v", c.window, c.page, img.Pix16, c.want)
				break
			}
		}
	}
}

// TestDICOMWindowIsTheRecipes: an image that was decoded through another window is seen through the recipe's.
func TestDICOMWindowIsTheRecipes(t *testing.T) {
	r := Recipe{Size: 2, Interpolation: Bilinear, Std: [3]float32{1, 1, 1}, Window: "40,81"}
	var want, got [12]float32
	right, err := DecodeContext(context.Background(), object(t), "x.dcm", r.Decoding(Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	other, err := Decode(object(t), "x.dcm")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(right, want[:]); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(other, got[:]); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	r.Window = "LUNG"
	if err := r.Apply(other, got[:]); err == nil {
		t.Error("a window that the object does not have was taken")
	}
	other.again = nil
	r.Window = "40,81"
	if err := r.Apply(other, got[:]); err == nil {
		t.Error("an image of another window was taken, and nothing is left to decode it again")
	}
	if _, err := DecodeContext(context.Background(), object(t), "x.dcm", Options{Window: "LUNG"}); err == nil {
		t.Error("a window that the object does not have was taken")
	}
	if _, err := DecodeContext(context.Background(), object(t), "x.dcm", Options{Limits: Limits{MaxBytes: 8}}); !errors.Is(err, ErrTooLarge) && !errors.Is(err, dicom.ErrTooLarge) {
		t.Errorf("a frame beyond the budget: %v", err)
	}
}
