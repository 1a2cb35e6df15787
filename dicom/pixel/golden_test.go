package pixel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/jpeg"
	"melo.example/melo/dicom/jpegls"
)

// golden reads the digests that other decoders gave for the objects of a folder below testdata.
func golden(t *testing.T, folder string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestGoldenJPEG decodes objects in every process that DCMTK and CharLS write: equal, or refused where it says "".
func TestGoldenJPEG(t *testing.T) {
	for name, want := range golden(t, "jpeg") {
		got, err := digest(filepath.Join("testdata", "jpeg", name+".dcm"))
		switch {
		case want == "" && !errors.Is(err, ErrUnsupported) && !errors.Is(err, jpeg.ErrUnsupported):
			t.Errorf("%s: got %v, want it refused", name, err)
		case want != "" && (err != nil || got != want):
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
	}
}

// TestCutShort: a compressed frame that ends early is an error wherever it ends.
func TestCutShort(t *testing.T) {
	for name, want := range golden(t, "jpeg") {
		if want == "" || strings.HasPrefix(name, "ls_flat") {
			continue
		}
		f, err := dicom.Open(filepath.Join("testdata", "jpeg", name+".dcm"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Describe(f)
		if err != nil {
			t.Fatal(err)
		}
		code := d.element.Fragments[1]
		for n := range len(code) - 24 {
			_, err := codecs[d.Syntax](code[:n], d)
			if err == nil {
				t.Errorf("%s: %d of %d bytes, and no error", name, n, len(code))
				break
			}
		}
	}
}

// FuzzCodecs feeds each codec with changed frames.
func FuzzCodecs(f *testing.F) {
	list := map[string]string{}
	text, err := os.ReadFile(filepath.Join("testdata", "jpeg", "golden.json"))
	if err != nil {
		f.Fatal(err)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		f.Fatal(err)
	}
	for name := range list {
		file, err := dicom.Open(filepath.Join("testdata", "jpeg", name+".dcm"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file.Data.Find(dicom.PixelData).Fragments[1])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if img, err := jpeg.Decode(code, jpeg.Limits{MaxSamples: 1 << 16}); err == nil && len(img.Samples) != img.Width*img.Height*img.Components {
			t.Fatal("jpeg: a wrong number of samples")
		}
		if img, err := jpegls.Decode(code, jpegls.Limits{MaxSamples: 1 << 16}); err == nil && len(img.Samples) != img.Width*img.Height*img.Components {
			t.Fatal("jpegls: a wrong number of samples")
		}
	})
}
