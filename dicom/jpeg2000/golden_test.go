package jpeg2000

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// golden is a codestream by a public encoder, with the hash of the samples (int32, little endian, component after component)
// that OpenJPEG makes of it; tools/golden_dicom writes them. Lossy ones are equal bit for bit, too.
type golden struct {
	File       string
	Note       string
	Lossy      bool
	SHA256     string
	Components []struct {
		Width, Height, Precision int
		Signed                   bool
	}
}

func readGolden(t testing.TB, dir string) []golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGolden(t *testing.T) {
	const dir = "testdata"
	for _, g := range readGolden(t, dir) {
		t.Run(g.File, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, g.File))
			if err != nil {
				t.Fatal(err)
			}
			for _, workers := range []int{1, 3} {
				img, err := Decode(data, Options{Workers: workers})
				if err != nil {
					t.Fatalf("%s: %v", g.Note, err)
				}
				g.compare(t, img)
			}
		})
	}
}

func (g *golden) compare(t *testing.T, img *Image) {
	t.Helper()
	if len(img.Components) != len(g.Components) {
		t.Fatalf("%d components, want %d", len(img.Components), len(g.Components))
	}
	var raw bytes.Buffer
	for i, want := range g.Components {
		c := img.Components[i]
		if c.Width != want.Width || c.Height != want.Height || c.Precision != want.Precision || c.Signed != want.Signed {
			t.Fatalf("component %d is %dx%d, %d bits, signed %v; want %+v", i, c.Width, c.Height, c.Precision, c.Signed, want)
		}
		if err := binary.Write(&raw, binary.LittleEndian, c.Samples); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(raw.Bytes())
	if hex.EncodeToString(sum[:]) != g.SHA256 {
		t.Errorf("%s: samples differ", g.Note)
	}
}
