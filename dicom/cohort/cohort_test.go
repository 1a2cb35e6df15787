package cohort

import (
	"encoding/binary"
	"maps"
	"testing"

	"melo.example/melo/dicom"
)

func object(t *testing.T, values map[dicom.Tag]string) *dicom.DataSet {
	t.Helper()
	var b []byte
	put := func(tag dicom.Tag, v string) {
		if len(v)%2 == 1 {
			v += " "
		}
		b = binary.LittleEndian.AppendUint16(b, tag.Group())
		b = binary.LittleEndian.AppendUint16(b, tag.Element())
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	put(dicom.SpecificCharacterSet, "ISO_IR 100")
	for tag, v := range values {
		put(tag, v)
	}
	f, err := dicom.Parse(b, "x", dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f.Data
}

func TestPatients(t *testing.T) {
	var c Cohort
	a := object(t, map[dicom.Tag]string{dicom.PatientID: "4711", dicom.PatientName: "Doe^Jane"})
	b := object(t, map[dicom.Tag]string{dicom.PatientID: "4711", dicom.IssuerOfPatientID: "elsewhere"})
	for i, want := range []string{"patient 1", "patient 2", "patient 1"} {
		if got := c.Patient([]*dicom.DataSet{a, b, a}[i]); got != want {
			t.Errorf("%d: got %q, want %q", i, got, want)
		}
	}
	if got := c.Patient(object(t, nil)); got != "" {
		t.Errorf("nobody is %q", got)
	}
}

// TestAttributes: coded terms are taken, free text and dates are not.
func TestAttributes(t *testing.T) {
	got := Attributes(object(t, map[dicom.Tag]string{
		dicom.Modality: "CT", dicom.BodyPartExamined: "Chest of J. Doe", dicom.ViewPosition: "PA", dicom.Manufacturer: "SIEMENS for Doe",
		dicom.PatientBirthDate: "19700630", dicom.StudyDate: "20200629", dicom.PatientSex: "F", dicom.PatientName: "Doe^Jane",
		dicom.BurnedInAnnotation: "YES", dicom.SOPClassUID: "1.2.840.10008.5.1.4.1.1.7", dicom.ConversionType: "WSD",
	}))
	want := map[string]string{AttrModality: "CT", AttrBodyPart: "other", AttrView: "PA", AttrManufacturer: "SIEMENS", AttrAge: "40-49", AttrSex: "F", AttrBurnedIn: "YES", AttrCapture: "WSD"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for age, band := range map[string]string{"007M": "0-9", "045Y": "40-49", "101Y": "90-", "xxxY": ""} {
		if got := Attributes(object(t, map[dicom.Tag]string{dicom.PatientAge: age}))[AttrAge]; got != band {
			t.Errorf("age %s: got %q, want %q", age, got, band)
		}
	}
}
