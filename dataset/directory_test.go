package dataset

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

// implicit encodes elements of an implicit little endian object.
func implicit(list ...dicom.Element) string {
	var b []byte
	for _, e := range list {
		b = binary.LittleEndian.AppendUint16(b, e.Tag.Group())
		b = binary.LittleEndian.AppendUint16(b, e.Tag.Element())
		value := e.Value
		if len(value)%2 == 1 {
			value = append(slices.Clone(value), ' ')
		}
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(value))), value...)
	}
	return string(b)
}

func value(t dicom.Tag, v string) dicom.Element { return dicom.Element{Tag: t, Value: []byte(v)} }
func number(t dicom.Tag, v int) dicom.Element {
	return dicom.Element{Tag: t, Value: binary.LittleEndian.AppendUint16(nil, uint16(v))}
}

// dicomObject is an object of 4 x 4 pixels of a patient; the pixels follow from seed.
func dicomObject(patient string, seed int) string {
	pixels := make([]byte, 16)
	for i := range pixels {
		pixels[i] = byte(i*i*seed + seed)
	}
	return strings.Repeat("\x00", 128) + "DICM" + implicit(value(dicom.TransferSyntaxUID, string(dicom.ImplicitLittleEndian)+"\x00"),
		value(dicom.SOPClassUID, "1.2.840.10008.5.1.4.1.1.2\x00"), value(dicom.PatientID, patient), number(dicom.SamplesPerPixel, 1),
		value(dicom.PhotometricInterpretation, "MONOCHROME2 "), number(dicom.Rows, 4), number(dicom.Columns, 4), number(dicom.BitsAllocated, 8),
		number(dicom.BitsStored, 8), number(dicom.HighBit, 7), number(dicom.PixelRepresentation, 0), value(dicom.PixelData, string(pixels)))
}

// dicomDirectory lists files.
func dicomDirectory(names ...string) string {
	var items strings.Builder
	for _, name := range names {
		inner := implicit(number(dicom.RecordInUseFlag, 0xFFFF), value(dicom.DirectoryRecordType, "IMAGE "), value(dicom.ReferencedFileID, name))
		items.WriteString("\xFE\xFF\x00\xE0" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(inner)))) + inner)
	}
	return strings.Repeat("\x00", 128) + "DICM" + implicit(value(dicom.MediaStorageSOPClassUID, "1.2.840.10008.1.3.10"),
		value(dicom.TransferSyntaxUID, string(dicom.ImplicitLittleEndian)+"\x00"), value(dicom.DirectoryRecordSequence, items.String()))
}

// TestDICOMDIR: what it lists is read, by whatever names; other images beside it are left out; what is not there is named.
func TestDICOMDIR(t *testing.T) {
	files := map[string]string{"DICOMDIR": dicomDirectory(`SICK\IM1.001`, `SICK\IM2`, `WELL\1.2.3.4`, `WELL\IM4`), "sick/IM1.001": dicomObject("p", 3), "sick/im2": dicomObject("q", 5),
		"WELL/1.2.3.4": dicomObject("q", 7), "WELL/IM4;1": dicomObject("r", 9), "WELL/IM5": dicomObject("s", 11), "WELL/x.png": "#1", "notes.txt": "n"}
	root := write(t, files)
	p := filepath.Join(root, "DICOMDIR")
	d, err := Open(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(d); got != "binary WELL=2 sick=2" {
		t.Error(got)
	}
	for _, want := range []string{"3 patients", "DICOMDIR lists 4 files", "2 left out, " + reasonUnlisted} {
		if !strings.Contains(words(d), want) {
			t.Errorf("%q does not say %q", words(d), want)
		}
	}
	if err := d.Scan(t.Context(), ScanOptions{}); err != nil {
		t.Error(err)
	}
	images, left, err := Images([]string{p})
	if err != nil || len(images) != 4 || len(left) != 2 {
		t.Errorf("%q, %v, %v", images, left, err)
	}
	// Names of images without an extension are read in folders, too.
	if d, err := Open(root, Options{Layout: "classes"}); err != nil || summary(d) != "binary WELL=4 sick=2" {
		t.Errorf("%v", err)
	}

	files["DICOMDIR"] = dicomDirectory(`SICK\IM1.001`, `SICK\IM2`, `WELL\IM4`, `WELL\IM9`)
	p = filepath.Join(write(t, files), "DICOMDIR")
	if _, err := Open(p, Options{}); err == nil || !strings.Contains(err.Error(), "1 of 4 listed files are not there") || !strings.Contains(err.Error(), "WELL/IM9") {
		t.Error(err)
	}
	if d, err := Open(p, Options{AllowMissing: true}); err != nil || !strings.Contains(words(d), "are left out: WELL/IM9") {
		t.Error(err)
	}
	if images, _, err := Images([]string{p}); err != nil || len(images) != 4 || filepath.Base(images[3]) != "IM9" {
		t.Errorf("%q, %v", images, err)
	}
	if _, err := Open(filepath.Join(write(t, map[string]string{"DICOMDIR": dicomDirectory(`..\X`)}), "DICOMDIR"), Options{}); err == nil || !strings.Contains(err.Error(), "no name of a file") {
		t.Error(err)
	}
}

// TestTableAndDICOMDIR: a table names objects of a medium.
func TestTableAndDICOMDIR(t *testing.T) {
	root := write(t, map[string]string{"cd/DICOMDIR": dicomDirectory(`S\IM1`, `S\IM2`), "cd/S/IM1": dicomObject("p", 3), "cd/S/IM2": dicomObject("q", 5), "cd/S/IM3": dicomObject("q", 6),
		"l.csv": tableText("image,label", "IM1,a", "IM2,b")})
	d, err := Open(filepath.Join(root, "l.csv"), Options{Images: filepath.Join(root, "cd", "DICOMDIR")})
	if err != nil || summary(d) != "binary a=1 b=1" {
		t.Fatalf("%v", err)
	}
	if got := d.Samples[0].Group; got == "" || got == d.Samples[1].Group {
		t.Errorf("patients %q", got)
	}
}
