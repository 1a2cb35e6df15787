package pixel

import (
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	h := sha256.New()
	for i := range d.Frames {
		frame, err := d.Frame(i)
		if err != nil {
			return "", err
		}
		h.Write(frame.Data)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16], nil
}

func TestCorpus(t *testing.T) {
	for _, r := range inventory(t) {
		got, err := digest(filepath.Join(corpus, r["core_path"]))
		want := r["pix_sha256"]
		switch {
		case want == "" && r["error"] == "" && errors.Is(err, ErrNoPixels):
		case want == got && err == nil:
		default:
			t.Logf("%s %s %s a%s s%s: got %s, %v, want %s %s", r["core_path"], r["ts"], r["pi"], r["alloc"], r["stored"], got, err, want, r["error"])
		}
	}
}
