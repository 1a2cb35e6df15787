package jpeg

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small bounds what a changed header may ask for, so that the fuzzer spends its time on codes.
const small = 1 << 16

// codestreams cuts the pictures out of the objects that package pixel decodes: every process that DCMTK writes.
func codestreams(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash("../pixel/testdata/jpeg/*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects with JPEG in them: %v", err)
	}
	list := map[string][]byte{}
	for _, name := range files {
		if strings.HasPrefix(filepath.Base(name), "ls_") {
			continue
		}
		object, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(object, []byte{0xFF, 0xD8, 0xFF})
		if at < 0 {
			t.Fatalf("%s: no start of image", name)
		}
		list[filepath.Base(name)] = object[at:]
	}
	return list
}

// restarts gives a picture a restart interval of n units, with no markers where they ought to be.
func restarts(code []byte, n byte) []byte {
	scan := bytes.Index(code, []byte{0xFF, 0xDA})
	if scan < 0 {
		return code
	}
	return bytes.Join([][]byte{code[:scan], {0xFF, 0xDD, 0, 4, 0, n}, code[scan:]}, nil)
}

// checkDecode decodes what may be no picture any more.
func checkDecode(t *testing.T, code []byte) {
	t.Helper()
	img, err := Decode(code, Limits{MaxSamples: small})
	if err != nil {
		if img != nil {
			t.Fatalf("a picture beside the error %v", err)
		}
		return
	}
	if img.Width < 1 || img.Height < 1 || img.Components < 1 || img.Components > 4 || img.Precision < 2 || img.Precision > 16 {
		t.Fatalf("%d x %d, %d components of %d bits", img.Width, img.Height, img.Components, img.Precision)
	}
	if n := img.Width * img.Height * img.Components; len(img.Samples) != n || n > small {
		t.Fatalf("%d samples, want %d, at most %d", len(img.Samples), n, small)
	}
	again, err := Decode(code, Limits{MaxSamples: small})
	if err != nil || len(again.Samples) != len(img.Samples) {
		t.Fatalf("the same bytes again: %v", err)
	}
	for i, s := range again.Samples {
		if s != img.Samples[i] {
			t.Fatalf("sample %d is %d, and %d when the same bytes are decoded again", i, img.Samples[i], s)
		}
	}
}

// TestSeeds: what the fuzzer begins with are pictures that are read, or refused by name.
func TestSeeds(t *testing.T) {
	read := 0
	for name, code := range codestreams(t) {
		_, err := Decode(code, Limits{MaxSamples: small})
		if err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			read++
		}
		checkDecode(t, restarts(code, 3))
	}
	if read < 20 {
		t.Errorf("%d pictures are read, want 20 or more", read)
	}
}

func FuzzDecode(f *testing.F) {
	for _, code := range codestreams(f) {
		f.Add(code)
		f.Add(restarts(code, 1))
		f.Add(code[:len(code)*2/3])
	}
	f.Fuzz(checkDecode)
}
