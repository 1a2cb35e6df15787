package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

// planted stands in every element of the test's objects that may identify somebody.
const planted = "PLANTED"

// writeObject writes a DICOM object of 24 x 24 pixels with stripes along or across, of a patient.
func writeObject(t *testing.T, path string, patient, shift int, across bool) {
	t.Helper()
	const side = 24
	pixels := make([]byte, side*side)
	for i := range pixels {
		x := i % side
		if across {
			x = i / side
		}
		pixels[i] = uint8(40 + 150*((x+shift)/3%2) + shift)
	}
	word := func(tag dicom.Tag, v uint16) dicom.Element {
		return dicom.Element{Tag: tag, VR: "US", Value: []byte{byte(v), byte(v >> 8)}}
	}
	name := func(tag dicom.Tag, vr dicom.VR) dicom.Element {
		return dicom.NewText(tag, vr, fmt.Sprintf("%s%d", planted, patient))
	}
	d := (&dicom.DataSet{}).Replaced([]dicom.Element{
		dicom.NewText(dicom.SOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2"), dicom.NewText(dicom.SOPInstanceUID, "UI", fmt.Sprintf("1.2.4711.%d.%d", patient, shift)),
		dicom.NewText(dicom.Modality, "CS", "CT"), name(dicom.PatientName, "PN"), name(dicom.PatientID, "LO"), name(dicom.IssuerOfPatientID, "LO"),
		name(dicom.StudyInstanceUID, "UI"), name(0x00080080, "LO"), name(0x00080090, "PN"), name(0x00081030, "LO"), name(dicom.BodyPartExamined, "CS"),
		name(dicom.Manufacturer, "LO"), name(dicom.ViewPosition, "CS"), name(0x00104000, "LT"), name(0x00091010, "UN"),
		dicom.NewText(dicom.PatientBirthDate, "DA", "19480817"), dicom.NewText(dicom.PatientSex, "CS", "F"), dicom.NewText(dicom.StudyDate, "DA", "20200102"),
		word(dicom.SamplesPerPixel, 1), dicom.NewText(dicom.PhotometricInterpretation, "CS", "MONOCHROME2"), word(dicom.Rows, side), word(dicom.Columns, side),
		word(dicom.BitsAllocated, 8), word(dicom.BitsStored, 8), word(dicom.HighBit, 7), word(dicom.PixelRepresentation, 0),
		{Tag: dicom.PixelData, VR: "OB", Value: pixels},
	})
	data, err := dicom.Encode(&dicom.File{Meta: &dicom.DataSet{}, Syntax: dicom.ExplicitLittleEndian, Data: d})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestNamesStayInDICOM trains, evaluates and predicts on objects that name their patients everywhere, and searches all that
// is written and printed: adapter, record, checkpoints, report, answers, messages.
func TestNamesStayInDICOM(t *testing.T) {
	t.Parallel()
	data, out := t.TempDir(), t.TempDir()
	for p := range 12 {
		for k := range 2 {
			writeObject(t, filepath.Join(data, "along", fmt.Sprintf("%d-%d.dcm", p, k)), p, k, false)
			writeObject(t, filepath.Join(data, "across", fmt.Sprintf("IM%d-%d", p, k)), 100+p, k, true) // no extension
		}
	}
	adapter := filepath.Join(out, "a.safetensors")
	var printed []string
	for _, args := range [][]string{
		{"data", data, "--sheet", filepath.Join(out, "sheet.png")}, {"--json", "data", data},
		trainArgs(data, adapter, "--epochs", "1"),
		{"eval", "--adapter", adapter, "--data", data, "--split", "all", "--by", "sex", "--by", "body_part", "--by", "view", "--by", "manufacturer", "--html", filepath.Join(out, "report.html")},
		{"--json", "eval", "--adapter", adapter, "--data", data, "--split", "all"},
		{"predict", "--adapter", adapter, "--out", filepath.Join(out, "answers.csv"), data}, {"--json", "predict", "--adapter", adapter, data},
		{"inspect", adapter},
	} {
		r := melo(t, args...)
		if r.status != exitDone {
			t.Fatalf("%q: %d %s", args, r.status, r.err)
		}
		printed = append(printed, r.out, r.err)
	}
	for i, text := range printed {
		if secret := secretIn([]byte(text)); secret != "" {
			t.Errorf("output %d: %q is printed", i, secret)
		}
	}
	if !strings.Contains(printed[0], "24 patients") {
		t.Errorf("the patients are not counted:\n%s", printed[0])
	}
	err := filepath.WalkDir(out, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if secret := secretIn(text); secret != "" {
			t.Errorf("%s: %q is in it", path, secret)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// secretIn returns what of the planted identities a text holds.
func secretIn(text []byte) string {
	for _, secret := range []string{planted, "4711", "19480817", "20200102"} {
		if bytes.Contains(text, []byte(secret)) {
			return secret
		}
	}
	return ""
}
