package jpeg

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// picture is a JPEG of w x h pixels with smooth and busy parts, 4:2:0, by the standard library's encoder.
func picture(tb testing.TB, w, h int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	noise := uint32(1)
	for y := range h {
		for x := range w {
			noise = noise*1664525 + 1013904223
			n := uint8(noise >> 27)
			m.Set(x, y, color.RGBA{uint8(x*3) + n, uint8(y*2+x) ^ n, uint8(x*y/64) + n, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestDecodeAgreesWithTheStandardLibrary holds the planes beside the standard library's, whose inverse DCT rounds
// otherwise. Equality with libjpeg is tested in package imaging.
func TestDecodeAgreesWithTheStandardLibrary(t *testing.T) {
	files, err := filepath.Glob("../testdata/files/jpeg_*.jpg")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data, Options{})
		if err != nil {
			t.Fatal(file, err)
		}
		h, err := ReadHeader(data)
		if err != nil || h.W != got.W || h.H != got.H || h.Scans < 1 || h.Visits < h.Samples() {
			t.Errorf("%s: header %+v, %v", file, h, err)
		}
		want, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(file, err)
		}
		ycc, ok := want.(*image.YCbCr)
		if !ok {
			continue // in other colours
		}
		for y := range got.H {
			for x := range got.W {
				a, b := int(got.Planes[0].Pix[y*got.Planes[0].Stride+x]), int(ycc.Y[y*ycc.YStride+x])
				if a-b > 2 || b-a > 2 {
					t.Fatalf("%s: luma at %d, %d: got %d, the standard library %d", file, x, y, a, b)
				}
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := picture(t, 50, 40)
	edit := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	frame := bytes.Index(good, []byte{0xff, sof0})
	scan := bytes.Index(good, []byte{0xff, sos})
	for name, c := range map[string]struct {
		data []byte
		text string
	}{
		"arithmetic": {edit(frame+1, 0xc9), "arithmetic coding"},
		"lossless":   {edit(frame+1, 0xc3), "lossless"},
		"12 bit":     {edit(frame+4, 12), "12 bits"},
		"no height":  {edit(frame+5, 0, 0), "50 x 0"},
		"sampling":   {edit(frame+11, 0x51), "sampling 5 x 1"},
		"cut":        {good[:scan+200], "ends early"},
		"no end":     {good[:len(good)-2], "ends early"},
		"early end":  {append(bytes.Clone(good[:scan+300]), 0xff, eoi), "ends early"},
		"no scan":    {append(bytes.Clone(good[:scan]), 0xff, eoi), "no data"},
		"component":  {edit(scan+5, 77), "unknown component 77"},
		"two frames": {append(bytes.Clone(good[:scan]), good[frame:]...), "two frames"},
		"empty":      {nil, "no start"},
	} {
		_, err := Decode(c.data, Options{})
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	stop := errors.New("stop")
	rows := 0
	if _, err := Decode(good, Options{GoOn: func() error {
		if rows++; rows > 2 {
			return stop
		}
		return nil
	}}); !errors.Is(err, stop) {
		t.Errorf("told to stop: got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("../testdata/files/jpeg_*.jpg")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(picture(f, 20, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeader(data)
		if err != nil || h.Samples() > 1<<22 || h.Visits > 1<<24 {
			return
		}
		m, err := Decode(data, Options{})
		if err != nil {
			return
		}
		for i, p := range m.Planes {
			if p.W < 1 || p.H < 1 || p.W > p.Stride || len(p.Pix) < p.Stride*p.H {
				t.Fatalf("plane %d: %d x %d in %d samples", i, p.W, p.H, len(p.Pix))
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := picture(b, 1000, 800)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(1000 * 800 * 3)
		for b.Loop() {
			if _, err := Decode(data, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard library", func(b *testing.B) {
		b.SetBytes(1000 * 800 * 3)
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
