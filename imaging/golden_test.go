package imaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// golden is testdata/golden.json or its like, written by tools/golden_imaging.
type golden struct {
	Resize []struct {
		W, H, C, Bits int
		To            [2]int
		Interpolation string
		SHA256        string
	}
	Recipe []struct {
		W, H, C       int
		Size, Resize  int
		Interpolation string
		SHA256        string
	}
	Files []struct {
		File, Want string
		W, H, Bits int
	}
}

func loadGolden(t testing.TB, file string) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// pattern is the test image of tools/golden_imaging.
func pattern(w, h, c, bits int) *Image {
	m := newImage(w, h, c, bits)
	state := uint32(w*1000 + h*10 + c)
	i := 0
	for y := range h {
		for x := range w {
			for ch := range c {
				state = state*1664525 + 1013904223
				noise := int(state >> 24)
				v := noise
				if (x/5+y/3)%2 == 0 {
					v = (x*5 + y*(3+ch) + ch*40 + noise/16) % 256
				}
				if bits == 8 {
					m.Pix8[i] = uint8(v)
				} else {
					m.Pix16[i] = uint16(v*257 - noise&v&63)
				}
				i++
			}
		}
	}
	return m
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// samples returns the samples of m as bytes, 16-bit ones little-endian.
func samples(m *Image) []byte {
	if m.Bits == 8 {
		return m.Pix8
	}
	b := make([]byte, 0, 2*len(m.Pix16))
	for _, v := range m.Pix16 {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// TestResizeEqualsPillow demands equality of every sample.
func TestResizeEqualsPillow(t *testing.T) {
	var s Scratch
	var dst Image
	for _, c := range loadGolden(t, "golden.json").Resize {
		name := fmt.Sprintf("%dx%dx%d/%d %v %s", c.W, c.H, c.C, c.Bits, c.To, c.Interpolation)
		if err := s.Resize(pattern(c.W, c.H, c.C, c.Bits), &dst, c.To[0], c.To[1], c.Interpolation); err != nil {
			t.Fatal(name, err)
		}
		if got := sum(samples(&dst)); got != c.SHA256 {
			t.Errorf("%s: samples differ from Pillow's", name)
		}
	}
}

// TestRecipeEqualsTorchvision demands equality of every bit of the tensor.
func TestRecipeEqualsTorchvision(t *testing.T) {
	testRecipe(t, "golden.json", false)
	testRecipe(t, "golden_horizontal_first.json", true)
}

func testRecipe(t *testing.T, file string, horizontalFirst bool) {
	for _, c := range loadGolden(t, file).Recipe {
		r := Recipe{Size: c.Size, Resize: c.Resize, Interpolation: c.Interpolation, HorizontalFirst: horizontalFirst,
			Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
		dst := make([]float32, r.Values())
		if err := r.Apply(pattern(c.W, c.H, c.C, 8), dst); err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, v := range dst {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if sum(b) != c.SHA256 {
			t.Errorf("%dx%dx%d with %+v: tensor differs from torchvision's", c.W, c.H, c.C, r)
		}
	}
}

// TestDecodeEqualsPillow demands, of every format, the samples that Pillow decodes.
func TestDecodeEqualsPillow(t *testing.T) {
	for _, f := range loadGolden(t, "golden.json").Files {
		t.Run(f.File, func(t *testing.T) {
			img, err := DecodeFile(filepath.Join("testdata/files", f.File))
			if err != nil {
				t.Fatal(err)
			}
			if img.W != f.W || img.H != f.H || img.Bits != f.Bits {
				t.Fatalf("got %d x %d at %d bits, expected %d x %d at %d", img.W, img.H, img.Bits, f.W, f.H, f.Bits)
			}
			want, err := os.ReadFile(filepath.Join("testdata/files", f.Want))
			if err != nil {
				t.Fatal(err)
			}
			if f.Bits == 16 {
				if !bytes.Equal(samples(img), want) {
					t.Error("16-bit samples differ")
				}
				return
			}
			if mean, most := differ(t, img, want); most > 0 {
				t.Errorf("differs by %.4f levels on average and %d at most", mean, most)
			}
		})
	}
}

// differ compares an 8-bit image, grey or RGB, with a PNG; returns mean and greatest difference.
func differ(t *testing.T, img *Image, encoded []byte) (mean float64, most int) {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range img.W * img.H {
		px := color.NRGBAModel.Convert(m.At(i%img.W, i/img.W)).(color.NRGBA)
		want := [3]uint8{px.R, px.G, px.B}
		for c := range 3 {
			d := int(img.Pix8[i*img.C+min(c, img.C-1)]) - int(want[c])
			d = max(d, -d)
			total += d
			most = max(most, d)
		}
	}
	return float64(total) / float64(3*img.W*img.H), most
}
