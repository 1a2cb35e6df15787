package show

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
)

// object writes an object of two frames of 3 x 2 samples.
func object(t *testing.T, more ...dicom.Element) string {
	t.Helper()
	word := func(tag dicom.Tag, v uint16) dicom.Element {
		return dicom.Element{Tag: tag, VR: "US", Value: []byte{byte(v), byte(v >> 8)}}
	}
	d := (&dicom.DataSet{}).Replaced(append([]dicom.Element{
		dicom.NewText(dicom.SOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2"), dicom.NewText(dicom.SOPInstanceUID, "UI", "1.2.3"),
		dicom.NewText(dicom.PatientName, "PN", "Doe^Jane"), dicom.NewText(dicom.NumberOfFrames, "IS", "2"),
		word(dicom.SamplesPerPixel, 1), dicom.NewText(dicom.PhotometricInterpretation, "CS", "MONOCHROME2"), word(dicom.Rows, 2), word(dicom.Columns, 3),
		word(dicom.BitsAllocated, 8), word(dicom.BitsStored, 8), word(dicom.HighBit, 7), word(dicom.PixelRepresentation, 0),
		{Tag: dicom.PixelData, VR: "OB", Value: []byte{0, 50, 100, 150, 200, 255, 9, 8, 7, 6, 5, 4}},
	}, more...))
	data, err := dicom.Encode(&dicom.File{Meta: &dicom.DataSet{}, Syntax: dicom.ExplicitLittleEndian, Data: d})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.dcm")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOpen: the document, the picture of the frame that is asked for, and the samples of all.
func TestOpen(t *testing.T) {
	path, dir := object(t), t.TempDir()
	o := Options{Frame: 1, Window: pixel.Window{}, Picture: filepath.Join(dir, "x.png"), Samples: filepath.Join(dir, "x.raw")}
	d, f, err := Open(path, o)
	if err != nil || f == nil {
		t.Fatal(err)
	}
	want := Pixels{Rows: 2, Columns: 3, Samples: 1, Frames: 2, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2"}
	if *d.Pixels != want || d.File != path || d.Class != "CT Image Storage" || len(d.PixelSum) != 16 || d.Problem != "" || d.Picture != o.Picture || !strings.HasPrefix(d.Shown, "3 x 2, ") {
		t.Errorf("%+v, %+v", d, d.Pixels)
	}
	named := map[string]string{}
	for _, e := range d.Elements {
		named[e.Keyword] = e.Value
	}
	if named["PatientName"] != `"Doe^Jane"` || named["Rows"] != "2" {
		t.Errorf("elements %v", named)
	}
	if samples, err := os.ReadFile(o.Samples); err != nil || string(samples) != "\x00\x32\x64\x96\xc8\xff\x09\x08\x07\x06\x05\x04" {
		t.Errorf("samples %v, %v", samples, err)
	}
	file, err := os.Open(o.Picture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil || img.Bounds().Dx() != 3 || img.Bounds().Dy() != 2 {
		t.Fatal(img, err)
	}
	first, _, _, _ := img.At(0, 0).RGBA()
	last, _, _, _ := img.At(2, 1).RGBA()
	if first <= last { // of the second frame, which gets darker
		t.Errorf("levels %d and %d", first, last)
	}
	if d, _, err = Open(path, Options{NoDump: true}); err != nil || len(d.Elements) != 0 || d.Elements == nil || d.Picture != "" {
		t.Errorf("without elements: %+v, %v", d, err)
	}
}

// TestOpenBroken: what can be read is in the document, and its problem, too; nothing is written over what is no file.
func TestOpenBroken(t *testing.T) {
	path, dir := object(t), t.TempDir()
	for what, c := range map[string]struct {
		path string
		o    Options
		want string
	}{
		"no such frame":  {path, Options{Frame: 7}, "frame"},
		"a folder":       {path, Options{Picture: dir}, "--picture " + dir + ": exists and is not a regular file"},
		"also a folder":  {path, Options{Samples: dir}, "--samples " + dir + ": exists and is not a regular file"},
		"too few pixels": {object(t, dicom.Element{Tag: dicom.PixelData, VR: "OB", Value: []byte{1, 2}}), Options{}, "bytes"},
	} {
		d, f, err := Open(c.path, c.o)
		if err == nil || f == nil || !strings.Contains(err.Error(), c.want) || d.Problem == "" || d.Pixels == nil || d.Picture != "" || len(d.Elements) == 0 {
			t.Errorf("%s: %+v, %v", what, d, err)
		}
	}
	if d, f, err := Open(filepath.Join(dir, "none"), Options{}); err == nil || d != nil || f != nil {
		t.Errorf("no file: %+v, %v", d, err)
	}
	// An object without pixels is whole.
	none := object(t, dicom.Element{Tag: dicom.PixelData, VR: "OB"})
	data, err := os.ReadFile(none)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(none, data[:len(data)-12], 0o600); err != nil { // the element of the pixels
		t.Fatal(err)
	}
	if d, _, err := Open(none, Options{}); err != nil || d.Pixels != nil || d.Problem != "" {
		t.Errorf("no pixels: %+v, %v", d, err)
	}
}
