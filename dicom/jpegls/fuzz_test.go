package jpegls

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// small bounds what a changed header may ask for, so that the fuzzer spends its time on codes.
const small = 1 << 16

// codestreams cuts the pictures out of the objects that package pixel decodes: what CharLS writes.
func codestreams(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash("../pixel/testdata/jpeg/ls_*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects with JPEG-LS in them: %v", err)
	}
	list := map[string][]byte{}
	for _, name := range files {
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

// before puts a segment before the first scan of a picture.
func before(code, segment []byte) []byte {
	scan := bytes.Index(code, []byte{0xFF, 0xDA})
	if scan < 0 {
		return code
	}
	return bytes.Join([][]byte{code[:scan], segment, code[scan:]}, nil)
}

// Segments that the encoder of the seeds does not write: a restart interval, and parameters that differ from the default.
var (
	restartInterval = []byte{0xFF, 0xDD, 0, 4, 0, 3}
	ownParameters   = []byte{0xFF, 0xF8, 0, 13, 1, 0, 200, 0, 5, 0, 9, 0, 30, 0, 16}
)

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

// TestSeeds: what the fuzzer begins with are pictures that are read.
func TestSeeds(t *testing.T) {
	for name, code := range codestreams(t) {
		if _, err := Decode(code, Limits{MaxSamples: small}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkDecode(t, before(code, restartInterval))
		checkDecode(t, before(code, ownParameters))
	}
}

func FuzzDecode(f *testing.F) {
	for _, code := range codestreams(f) {
		f.Add(code)
		f.Add(before(code, restartInterval))
		f.Add(before(code, ownParameters))
		f.Add(code[:len(code)*2/3])
	}
	f.Fuzz(checkDecode)
}
