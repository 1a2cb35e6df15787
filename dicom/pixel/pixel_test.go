package pixel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

// element is a value of an implicit little endian object that a test makes.
type element struct {
	tag   dicom.Tag
	value []byte
}

func words(v ...int) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func text(s string) []byte {
	if len(s)%2 == 1 {
		s += " "
	}
	return []byte(s)
}

func encode(list ...element) []byte {
	var b []byte
	for _, e := range list {
		b = binary.LittleEndian.AppendUint16(b, e.tag.Group())
		b = binary.LittleEndian.AppendUint16(b, e.tag.Element())
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.value)))
		b = append(b, e.value...)
	}
	return b
}

// item wraps elements into a sequence of one item.
func item(list ...element) []byte {
	inner := encode(list...)
	b := []byte{0xFE, 0xFF, 0x00, 0xE0}
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(inner))), inner...)
}

// object makes an object of 2 rows and 3 columns; given elements replace the usual ones.
func object(t *testing.T, list ...element) *Description {
	t.Helper()
	d, err := tryObject(list...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryObject(list ...element) (*Description, error) {
	all := []element{
		{dicom.SOPClassUID, text("1.2.840.10008.5.1.4.1.1.2")},
		{dicom.SamplesPerPixel, words(1)}, {dicom.PhotometricInterpretation, text("MONOCHROME2")}, {dicom.Rows, words(2)}, {dicom.Columns, words(3)},
		{dicom.BitsAllocated, words(16)}, {dicom.BitsStored, words(12)}, {dicom.HighBit, words(11)}, {dicom.PixelRepresentation, words(0)},
		{dicom.PixelData, words(0, 1, 2, 3, 4, 4095)},
	}
	f, err := dicom.Parse(encode(append(all, list...)...), "x", dicom.Limits{}) // of elements twice the last counts
	if err != nil {
		return nil, err
	}
	return Describe(f)
}

func grey(t *testing.T, d *Description, window string) []uint16 {
	t.Helper()
	w, err := ParseWindow(window)
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.View(0, w)
	if err != nil {
		t.Fatal(err)
	}
	if v.Bits == 8 {
		var wide []uint16
		for _, x := range v.Pix8 {
			wide = append(wide, uint16(x))
		}
		return wide
	}
	return v.Pix16
}

func near(a, b []uint16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(float64(a[i])-float64(b[i])) > 1 {
			return false
		}
	}
	return true
}

func TestGreyValues(t *testing.T) {
	lut := func(first, bits int, entries ...int) []byte {
		return item(element{dicom.LUTDescriptor, words(len(entries), first, bits)}, element{dicom.LUTData, words(entries...)})
	}
	const white = 65535
	for name, c := range map[string]struct {
		list   []element
		window string
		want   []uint16
	}{
		"range of the image": {nil, "", []uint16{0, 16, 32, 48, 64, white}},
		"inverted":           {[]element{{dicom.PhotometricInterpretation, text("MONOCHROME1")}}, "", []uint16{white, 65519, 65503, 65487, 65471, 0}},
		"window after rescale": {[]element{{dicom.RescaleSlope, text("2")}, {dicom.RescaleIntercept, text("-4")},
			{dicom.WindowCenter, text("0")}, {dicom.WindowWidth, text("8")}}, "", []uint16{0, 14043, 32768 + 0, 51490, white, white}},
		"linear exact": {[]element{{dicom.WindowCenter, text("2")}, {dicom.WindowWidth, text("4")}, {dicom.VOILUTFunction, text("LINEAR_EXACT")}}, "",
			[]uint16{0, 16384, 32768, 49151, white, white}},
		"sigmoid": {[]element{{dicom.WindowCenter, text("2")}, {dicom.WindowWidth, text("4")}, {dicom.VOILUTFunction, text("SIGMOID")}}, "",
			[]uint16{7812, 17625, 32768, 47910, 57723, white}},
		"second window by its name": {[]element{{dicom.WindowCenter, text(`1\3`)}, {dicom.WindowWidth, text(`2\3`)}, {dicom.WindowExplanation, text(`A\Bone`)}},
			"bone", []uint16{0, 0, 16384, 49151, white, white}},
		"VOI LUT before the window": {[]element{{dicom.VOILUTSequence, lut(1, 8, 255, 128, 0)}, {dicom.WindowCenter, text("1")}, {dicom.WindowWidth, text("2")}},
			"", []uint16{white, white, 32896, 0, 0, 0}},
		"modality LUT": {[]element{{dicom.ModalityLUTSequence, lut(0, 16, 10, 20, 40)}}, "10,21", []uint16{33554 + 0, white, white, white, white, white}},
		"signed, padding left out": {[]element{{dicom.PixelRepresentation, words(1)}, {dicom.BitsStored, words(16)}, {dicom.HighBit, words(15)},
			{dicom.PixelPaddingValue, words(-2000)}, {dicom.PixelData, words(-2000, -10, 0, 10, 5, -5)}}, "",
			[]uint16{0, 0, 32768, white, 49151, 16384}},
		"bits above the stored ones are no part of the value": {[]element{{dicom.PixelData, words(0xF000, 1, 2, 3, 4, 0x8004)}}, "",
			[]uint16{0, 16384, 32768, 49151, white, white}},
		"8 bits as they are": {[]element{{dicom.BitsAllocated, words(8)}, {dicom.BitsStored, words(8)}, {dicom.HighBit, words(7)},
			{dicom.PixelData, []byte{0, 1, 2, 100, 200, 250}}}, "", []uint16{0, 1, 2, 100, 200, 250}},
	} {
		got := grey(t, object(t, c.list...), c.window)
		switch name { // worked out by hand: ((x - (c - 0.5))/(w - 1) + 0.5) x 65535
		case "window after rescale": // x = -4, -2, 0, 2, 4, 8186
			c.want = []uint16{0, 18724, 37449, 56173, white, white}
		case "modality LUT": // x = 10, 20, 40
			c.want = []uint16{34406, white, white, white, white, white}
		}
		if !near(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestColours(t *testing.T) {
	eight := []element{{dicom.SamplesPerPixel, words(3)}, {dicom.BitsAllocated, words(8)}, {dicom.BitsStored, words(8)}, {dicom.HighBit, words(7)},
		{dicom.Rows, words(1)}, {dicom.Columns, words(2)}}
	pixels := func(d *Description) []uint8 {
		v, err := d.View(0, Window{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Pix8
	}
	for name, c := range map[string]struct {
		list []element
		want []uint8
	}{
		"RGB":    {[]element{{dicom.PhotometricInterpretation, text("RGB")}, {dicom.PixelData, []byte{1, 2, 3, 4, 5, 6}}}, []uint8{1, 2, 3, 4, 5, 6}},
		"planar": {[]element{{dicom.PhotometricInterpretation, text("RGB")}, {dicom.PlanarConfiguration, words(1)}, {dicom.PixelData, []byte{1, 4, 2, 5, 3, 6}}}, []uint8{1, 2, 3, 4, 5, 6}},
		"YBR":    {[]element{{dicom.PhotometricInterpretation, text("YBR_FULL")}, {dicom.PixelData, []byte{100, 128, 128, 76, 85, 255}}}, []uint8{100, 100, 100, 254, 0, 0}},
		"YBR with half the chroma": {[]element{{dicom.PhotometricInterpretation, text("YBR_FULL_422")}, {dicom.PixelData, []byte{100, 50, 128, 128}}},
			[]uint8{100, 100, 100, 50, 50, 50}},
	} {
		if got := pixels(object(t, append(eight, c.list...)...)); !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	palette := []element{{dicom.PhotometricInterpretation, text("PALETTE COLOR")}, {dicom.PixelData, words(0, 1, 2, 3, 0, 1)},
		{dicom.RedPaletteDescriptor, words(4, 0, 8)}, {dicom.RedPaletteData, words(10, 20, 30, 40)},
		{dicom.GreenPaletteDescriptor, words(4, 0, 8)}, {dicom.GreenPaletteData, []byte{1, 2, 3, 4}}, // a byte an entry
		{dicom.BluePaletteDescriptor, words(4, 1, 8)}, {dicom.BluePaletteData, words(5, 6, 7, 8)}}
	if got, want := pixels(object(t, palette...)), []uint8{10, 1, 5, 20, 2, 5, 30, 3, 6, 40, 4, 7, 10, 1, 5, 20, 2, 5}; !bytes.Equal(got, want) {
		t.Errorf("palette: got %v, want %v", got, want)
	}
}

func TestSegments(t *testing.T) {
	got, err := expandSegments([]uint16{0, 2, 10, 20, 1, 4, 40, 2, 1, 0, 0}, 8)
	if want := []uint16{10, 20, 25, 30, 35, 40, 10, 20}; err != nil || !near(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, words := range [][]uint16{{0, 3, 1}, {1, 2, 3}, {2, 1, 0, 0}, {0, 1, 7, 2, 2, 0, 0}, {9, 1}, {0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		if out, err := expandSegments(words, 8); err == nil {
			t.Errorf("%v made %v", words, out)
		}
	}
}

func TestBits(t *testing.T) {
	d := object(t, element{dicom.BitsAllocated, words(1)}, element{dicom.BitsStored, words(1)}, element{dicom.HighBit, words(0)},
		element{dicom.NumberOfFrames, text("2")}, element{dicom.PixelData, []byte{0b10_000001, 0b0000_1010}})
	for i, want := range [][]byte{{1, 0, 0, 0, 0, 0}, {0, 1, 0, 1, 0, 1}} {
		f, err := d.Frame(i)
		if err != nil || !bytes.Equal(f.Data, want) {
			t.Errorf("frame %d: got %v, %v, want %v", i, f, err, want)
		}
	}
}

func TestPerFrameGroups(t *testing.T) {
	windowOf := func(center string) []byte {
		return item(element{dicom.FrameVOILUTSequence, item(element{dicom.WindowCenter, text(center)}, element{dicom.WindowWidth, text("2")})})
	}
	d := object(t, element{dicom.SharedFunctionalGroups, item(element{dicom.PixelValueTransformation, item(element{dicom.RescaleIntercept, text("10")}, element{dicom.RescaleSlope, text("1")})})},
		element{dicom.PerFrameFunctionalGroups, windowOf("12")})
	if got, want := grey(t, d, ""), []uint16{0, 0, 65535, 65535, 65535, 65535}; !near(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		list []element
		want string
	}{
		"short":               {[]element{{dicom.PixelData, words(1, 2)}}, "bytes of pixel data"},
		"no rows":             {[]element{{dicom.Rows, words(0)}}, "rows"},
		"bits":                {[]element{{dicom.BitsAllocated, words(12)}}, "bits allocated"},
		"more stored bits":    {[]element{{dicom.BitsStored, words(17)}}, "bits stored"},
		"photometric":         {[]element{{dicom.PhotometricInterpretation, text("HSV")}}, "HSV"},
		"samples":             {[]element{{dicom.SamplesPerPixel, words(3)}}, "samples"},
		"frames":              {[]element{{dicom.NumberOfFrames, text("1A")}}, "1A"},
		"palette without one": {[]element{{dicom.PhotometricInterpretation, text("PALETTE COLOR")}}, "palette"},
		"slope":               {[]element{{dicom.RescaleSlope, text("steep")}}, "steep"},
		"short VOI LUT":       {[]element{{dicom.VOILUTSequence, item(element{dicom.LUTDescriptor, words(400, 0, 16)}, element{dicom.LUTData, words(1)})}}, "entries"},
		"huge":                {[]element{{dicom.Rows, words(65535)}, {dicom.Columns, words(65535)}}, "limit"},
	} {
		d, err := tryObject(c.list...)
		if err == nil {
			_, err = d.View(0, Window{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
	f, err := dicom.Parse(encode(element{dicom.SOPClassUID, text("1.2.840.10008.5.1.4.1.1.88.33")}), "x", dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Describe(f); !errors.Is(err, ErrNoPixels) || !strings.Contains(err.Error(), "SR") {
		t.Errorf("a report: %v", err)
	}
}

func TestWindowText(t *testing.T) {
	for _, s := range []string{"", "full", "range", "40,400", "LUNG", "#2", "-600.5,1500"} {
		w, err := ParseWindow(s)
		if err != nil || w.String() != s {
			t.Errorf("%q: %+v, %v", s, w, err)
		}
	}
	for _, s := range []string{"40,0", "40,x", ",", "NaN,4", "1,Inf"} {
		if _, err := ParseWindow(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func FuzzView(f *testing.F) {
	f.Add(encode(element{dicom.SOPClassUID, text("1.2")}, element{dicom.SamplesPerPixel, words(1)}, element{dicom.PhotometricInterpretation, text("MONOCHROME2")},
		element{dicom.Rows, words(1)}, element{dicom.Columns, words(1)}, element{dicom.BitsAllocated, words(16)}, element{dicom.PixelData, words(1)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := dicom.Parse(data, "x", dicom.Limits{MaxInflatedBytes: 1 << 20})
		if err != nil {
			return
		}
		d, err := DescribeLimits(file, Limits{MaxFrameBytes: 1 << 20, MaxFrames: 4})
		if err != nil {
			return
		}
		for i := range d.Frames {
			if v, err := d.View(i, Window{}); err == nil && len(v.Pix8)+len(v.Pix16) != d.Rows*d.Columns*v.Channels {
				t.Fatal("a view of another size")
			}
		}
	})
}
