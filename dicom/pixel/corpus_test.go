package pixel

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
)

const corpus = "../../../shared/dicom"

// row is a line of the corpus' inventory.
type row map[string]string

func inventory(t *testing.T) []row {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus, "inventory.csv"))
	if err != nil {
		t.Skip("no corpus")
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, line := range lines[1:] {
		r := row{}
		for i, v := range line {
			r[lines[0][i]] = v
		}
		rows = append(rows, r)
	}
	return rows
}

// swapped are objects whose bytes lie in words of two, big endian. The inventory's decoder left them in the order of the
// file; their twins in other syntaxes, and pydicom 3, show that they must be swapped.
var swapped = map[string]bool{
	"pydicom-data/OBXXXX1A_expb.dcm": true, "pydicom-data/OBXXXX1A_expb_2frame.dcm": true,
	"pydicom/test_files/SC_rgb_small_odd_big_endian.dcm": true,
}

// refused are objects that contradict themselves, with what the error must name.
var refused = map[string]string{
	"pydicom/test_files/MR_truncated.dcm": "ends early", "pydicom/test_files/badVR.dcm": "NumberOfFrames",
	"pydicom/test_files/meta_missing_tsyntax.dcm": "Rows", "pydicom/test_files/nested_priv_SQ.dcm": "Rows",
	"pydicom/test_files/JPEG2000-embedded-sequence-delimiter.dcm": "SIZ", // GDCM makes noise of it, OpenJPEG refuses it
	"pydicom/test_files/dicomdirtests/DICOMDIR-nooffset":          "ends early", "pydicom/test_files/rtplan_truncated.dcm": "ends early",
}

// others are objects whose lossy frames the inventory's decoder, GDCM, decodes differently from the codec's reference: DCMTK
// for JPEG, CharLS for JPEG-LS. The digests are theirs.
var others = map[string]string{
	"WG04/JPLY/RG3_JPLY": "9abaad3943504468",
	"dicomParser/testImages/encapsulated/multi-frame/CT0012.fragmented_no_bot_jpeg_ls.81.dcm": "280666ecce17e0be",
}

// offByOne are lossy JPEG 2000 objects of which a few samples in 100,000 differ by one level from OpenJPEG's.
var offByOne = map[string]bool{"WG04/J2KI/VL6_J2KI": true, "pydicom-data/US1_J2KI.dcm": true}

// TestCorpus decodes every real object, and compares its samples with those of the reference.
func TestCorpus(t *testing.T) {
	equal := 0
	for _, r := range inventory(t) {
		path := r["core_path"]
		got, err := digest(filepath.Join(corpus, path))
		want := r["pix_sha256"]
		if w := others[path]; w != "" {
			want = w
		}
		switch {
		case refused[path] != "":
			if err == nil || !strings.Contains(err.Error(), refused[path]) {
				t.Errorf("%s: got %v, want an error with %q", path, err, refused[path])
			}
		case r["pixel"] != "True" || r["rows"] == "":
			if !errors.Is(err, ErrNoPixels) {
				t.Errorf("%s: got %v, want an object without pixels", path, err)
			}
		case err != nil:
			t.Errorf("%s (%s, %s): %v", path, r["ts"], r["pi"], err)
		case want == "" || swapped[path] || offByOne[path]:
		case got != want:
			t.Errorf("%s (%s, %s, %s of %s bits): samples differ from the reference's", path, r["ts"], r["pi"], r["stored"], r["alloc"])
		default:
			equal++
		}
	}
	t.Logf("%d equal", equal)
}

// TestBigEndianBytes compares objects of the same picture in two syntaxes.
func TestBigEndianBytes(t *testing.T) {
	inventory(t)
	for _, pair := range [][2]string{
		{"pydicom-data/OBXXXX1A_expb.dcm", "pydicom-data/OBXXXX1A_rle.dcm"},
		{"pydicom/test_files/SC_rgb_small_odd_big_endian.dcm", "pydicom/test_files/SC_rgb_small_odd.dcm"},
	} {
		a, err1 := digest(filepath.Join(corpus, pair[0]))
		b, err2 := digest(filepath.Join(corpus, pair[1]))
		if a != b || err1 != nil || err2 != nil {
			t.Errorf("%v: %s, %s, %v, %v", pair, a, b, err1, err2)
		}
	}
}

// digest is the digest of all samples of an object.
func digest(path string) (string, error) {
	f, err := dicom.Open(path)
	if err != nil {
		return "", err
	}
	d, err := Describe(f)
	if err != nil {
		return "", err
	}
	return d.Digest()
}
