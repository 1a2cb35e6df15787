package deidentify

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

var key = []byte("a key of a test, 24 byte")

func object(elements ...dicom.Element) *dicom.File {
	d := (&dicom.DataSet{}).Replaced(append([]dicom.Element{
		dicom.NewText(dicom.SOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2"), dicom.NewText(dicom.SOPInstanceUID, "UI", "1.2.3.4"),
		dicom.NewText(dicom.Modality, "CS", "CT"), dicom.NewText(dicom.PatientID, "LO", "PLANTED-ID"), dicom.NewText(dicom.PatientName, "PN", "PLANTED^NAME"),
	}, elements...))
	return &dicom.File{Meta: &dicom.DataSet{}, Syntax: dicom.ExplicitLittleEndian, Data: d}
}

// TestNothingPlantedIsLeft plants a name in elements of every kind, inside sequences and private groups too.
func TestNothingPlantedIsLeft(t *testing.T) {
	planted := func(tag dicom.Tag, vr dicom.VR) dicom.Element { return dicom.NewText(tag, vr, "PLANTED") }
	var list []dicom.Element
	for tag := range actions().exact {
		list = append(list, planted(tag, "LO"))
	}
	inner := (&dicom.DataSet{}).Replaced([]dicom.Element{planted(dicom.PatientName, "PN"), planted(0x00081040, "LO"), planted(0x00091010, "UN")})
	list = append(list, planted(0x00091010, "LO"), planted(0x0040A123, "PN"), planted(0x0008FFF0, "PN"), planted(0x00204000, "LT"),
		planted(0x60023000, "OW"), planted(0x50003000, "OW"), dicom.Element{Tag: 0x00082112, VR: "SQ", Items: []*dicom.DataSet{inner}},
		dicom.Element{Tag: 0x00289110, VR: "SQ", Items: []*dicom.DataSet{inner}})
	var kept []dicom.Element
	for _, e := range list {
		if e.Tag != dicom.SOPClassUID && e.Tag != dicom.Modality && e.Tag.Group() != 2 && e.Tag.Group() != 0 && e.Tag != 0x00420011 && e.Tag != dicom.ConversionType {
			kept = append(kept, e)
		}
	}
	f, _, err := File(object(kept...), Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dicom.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(data, []byte("PLANTED")); i >= 0 {
		t.Errorf("still there: %q", data[max(i-24, 0):i+8])
	}
	if f.Data.Text(0x00120062) != "YES" || f.Data.Text(dicom.Modality) != "CT" {
		t.Error("the marks are missing, or too much is")
	}
}

// TestDigests: the same key keeps objects together, another tells nothing.
func TestDigests(t *testing.T) {
	one, _, err := File(object(), Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	two, _, _ := File(object(), Options{Key: key})
	other, _, _ := File(object(), Options{Key: append([]byte("x"), key...)})
	id, uid := one.Data.Text(dicom.PatientID), one.Data.Text(dicom.SOPInstanceUID)
	if id == "" || id != two.Data.Text(dicom.PatientID) || id == other.Data.Text(dicom.PatientID) {
		t.Errorf("pseudonyms %q, %q, %q", id, two.Data.Text(dicom.PatientID), other.Data.Text(dicom.PatientID))
	}
	if !strings.HasPrefix(uid, "2.25.") || len(uid) > 64 || uid == other.Data.Text(dicom.SOPInstanceUID) || one.Meta.Text(dicom.MediaStorageSOPInstanceUID) != uid {
		t.Errorf("UID %q", uid)
	}
	if one.Data.Text(dicom.SOPClassUID) != "1.2.840.10008.5.1.4.1.1.2" {
		t.Error("the class was replaced")
	}
}

func TestOptions(t *testing.T) {
	list := []dicom.Element{dicom.NewText(dicom.StudyDate, "DA", "20200102"), dicom.NewText(dicom.PatientSex, "CS", "F"), dicom.NewText(dicom.PatientBirthDate, "DA", "19700101"),
		dicom.NewText(0x00181000, "LO", "SERIAL")}
	f, _, err := File(object(list...), Options{Key: key, KeepDates: true, KeepPatient: true, KeepDevice: true, KeepUIDs: true})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[dicom.Tag]string{dicom.StudyDate: "20200102", dicom.PatientSex: "F", dicom.PatientBirthDate: "", 0x00181000: "SERIAL", dicom.SOPInstanceUID: "1.2.3.4"} {
		if got := f.Data.Text(tag); got != want {
			t.Errorf("%s: got %q, want %q", tag, got, want)
		}
	}
	f, _, _ = File(object(list...), Options{Key: key})
	if f.Data.Text(dicom.StudyDate) != "" || f.Data.Text(dicom.PatientSex) != "" {
		t.Error("the basic profile keeps dates or sex")
	}
}

func TestPixelsAreRefused(t *testing.T) {
	for name, e := range map[string]dicom.Element{
		"says so": dicom.NewText(dicom.BurnedInAnnotation, "CS", "YES"), "ultrasound": dicom.NewText(dicom.Modality, "CS", "US"),
		"capture": dicom.NewText(dicom.SOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.7"), "scanned": dicom.NewText(dicom.ConversionType, "CS", "DF"),
	} {
		if _, _, err := File(object(e), Options{Key: key}); !errors.Is(err, ErrPixels) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := File(object(e), Options{Key: key, PixelsClean: true}); err != nil {
			t.Errorf("%s, vouched for: %v", name, err)
		}
	}
	if _, _, err := File(object(), Options{Key: key[:8]}); err == nil {
		t.Error("a short key was taken")
	}
}

// TestCorpus: of real objects no name, identifier, date of birth or institution is left anywhere.
func TestCorpus(t *testing.T) {
	const corpus = "../../../shared/dicom"
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus")
	}
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".csv") {
			return err
		}
		f, err := dicom.Open(path)
		if err != nil {
			return nil
		}
		out, _, err := File(f, Options{Key: key, PixelsClean: true})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		data, err := dicom.Encode(out)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		for _, tag := range []dicom.Tag{dicom.PatientName, dicom.PatientID, dicom.PatientBirthDate, 0x00080090, dicom.StudyInstanceUID} {
			if v := f.Data.Bytes(tag); len(v) > 5 && !bytes.HasPrefix(v, []byte("REMOVED")) && bytes.Contains(data, bytes.TrimRight(v, " \x00")) {
				t.Errorf("%s: %s %q is still there", path, tag, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
