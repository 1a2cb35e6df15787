package jpeg2000_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/jpeg2000"
)

const corpus = "../../../shared/dicom"

// TestCorpus decodes real objects and compares their samples with the inventory's hash, which is of the decoded array in
// the type that the object's header gives.
func TestCorpus(t *testing.T) {
	f, err := os.Open(filepath.Join(corpus, "inventory.csv"))
	if err != nil {
		t.Skip("no corpus")
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		switch ts := row["ts"]; {
		case strings.HasPrefix(ts, "1.2.840.10008.1.2.4.9"), strings.HasPrefix(ts, "1.2.840.10008.1.2.4.20"):
			n++
			t.Run(row["core_path"], func(t *testing.T) { compareObject(t, row) })
		}
	}
	if n < 20 {
		t.Errorf("%d objects, expected 20 or more", n)
	}
}

func compareObject(t *testing.T, row map[string]string) {
	data, err := os.ReadFile(filepath.Join(corpus, row["core_path"]))
	if err != nil {
		t.Fatal(err)
	}
	file, err := dicom.Parse(data, row["path"], dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	frames, _ := strconv.Atoi(row["frames"])
	alloc, _ := strconv.Atoi(row["alloc"])
	fragments := file.Data.Find(dicom.PixelData).Fragments[1:]
	if len(fragments) != frames {
		fragments = [][]byte{bytes.Join(fragments, nil)}
	}
	sum := sha256.New()
	for i, fragment := range fragments {
		img, err := jpeg2000.Decode(fragment, jpeg2000.Options{})
		if want := refused[row["core_path"]]; want != "" {
			if !errors.Is(err, jpeg2000.ErrFormat) || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want an error with %q", err, want)
			}
			return
		}
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if row["signed"] == "1" {
			sign(img)
		}
		sum.Write(interleaved(img, alloc))
	}
	got := hex.EncodeToString(sum.Sum(nil)[:8])
	want := row["pix_sha256"]
	if want == "" {
		want = measured[row["core_path"]]
	}
	if got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// measured are hashes of objects for which the inventory has none, as pydicom 3.0.2 with pylibjpeg-openjpeg 2.6.0 decodes them.
var measured = map[string]string{
	"pydicom-data/HTJ2KLossless_08_RGB.dcm":      "9d87240604f5d752",
	"pydicom-data/HTJ2K_08_RGB.dcm":              "16463ac9d0b0c70e",
	"pydicom-data/liver_j2k.dcm":                 "86ceb97b138085d0",
	"pydicom-data/liver_nonbyte_aligned_j2k.dcm": "842dd64c92ce1a92",
}

// refused are objects that no decoder reads, with what the error must name.
var refused = map[string]string{
	"pydicom/test_files/JPEG2000-embedded-sequence-delimiter.dcm": "SIZ", // its bytes are overwritten there
}

// sign takes the samples of an unsigned codestream as the signed ones that the object's header says they are.
func sign(img *jpeg2000.Image) {
	for _, c := range img.Components {
		if c.Signed {
			continue
		}
		for i, v := range c.Samples {
			c.Samples[i] = v << (32 - c.Precision) >> (32 - c.Precision)
		}
	}
}

// interleaved returns samples pixel by pixel, little endian.
func interleaved(img *jpeg2000.Image, alloc int) []byte {
	var out []byte
	for i := range img.Components[0].Samples {
		for _, c := range img.Components {
			v := c.Samples[i]
			for b := 0; b < max(alloc, 8); b += 8 {
				out = append(out, byte(v>>b))
			}
		}
	}
	return out
}
