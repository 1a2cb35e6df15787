package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// pngHeader is a PNG that promises w x h pixels of 8-bit grey and then ends.
func pngHeader(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestDecodeRefuses(t *testing.T) {
	good, err := os.ReadFile("testdata/files/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	photo, err := os.ReadFile("testdata/files/jpeg_420_61x45.jpg")
	if err != nil {
		t.Fatal(err)
	}
	// A JPEG header may claim 65,535 x 1,500 pixels within the limit, in a file of a few hundred bytes.
	lying := bytes.Clone(photo[:400])
	sof := bytes.Index(lying, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(lying[sof+5:], 1500)
	binary.BigEndian.PutUint16(lying[sof+7:], 65535)
	for _, c := range []struct {
		name string
		data []byte
		want error  // wrapped, or nil
		text string // part of the message
	}{
		{"empty", nil, ErrFormat, "empty file"},
		{"text", []byte("path,label\n"), ErrFormat, "path,lab"},
		{"heic", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"), ErrFormat, "HEIC file: convert it to PNG"},
		{"pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), ErrFormat, "git lfs pull"},
		{"zeros", make([]byte, 100), ErrFormat, "nothing but zeros"},
		{"JPEG-LS", []byte("\xff\xd8\xff\xf7\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"), nil, "JPEG-LS"},
		{"truncated png", good[:len(good)/2], nil, "PNG"},
		{"truncated jpeg", photo[:len(photo)/2], nil, "JPEG"},
		{"header only", good[:12], nil, "PNG header"},
		{"huge", pngHeader(200_000, 200_000), ErrTooLarge, "limit is 100000000 pixels"},
		{"overflow", pngHeader(1<<31-1, 1<<31-1), ErrTooLarge, "limit is 100000000 pixels"},
		{"bomb", pngHeader(9_000, 9_000), ErrTooLarge, "cannot be encoded"},
		{"jpeg bomb", lying, ErrTooLarge, "cannot be encoded"},
	} {
		before := allocated()
		_, err := Decode(c.data, "scan.xyz")
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %q is not %q", c.name, err, c.want)
		}
		if !strings.Contains(err.Error(), "scan.xyz") || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %q names neither the file nor %q", c.name, err, c.text)
		}
		if got := allocated() - before; got > 4<<20 {
			t.Errorf("%s: %d bytes allocated for a file that is refused", c.name, got)
		}
	}
	if _, err := DecodeLimits(good, "x", Limits{MaxPixels: 100}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("own pixel limit: %v", err)
	}
	if _, err := DecodeLimits(good, "x", Limits{MaxFileBytes: 10}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("own file limit: %v", err)
	}
}

func TestDecodeFileErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := DecodeFile(filepath.Join(dir, "none.png")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.png") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := DecodeFile(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	path := filepath.Join(dir, "sparse.png")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<31); err != nil {
		t.Skip("no sparse files:", err)
	}
	if _, err := DecodeFile(path); !errors.Is(err, ErrTooLarge) {
		t.Errorf("2 GiB file: %v", err)
	}
}

func TestConfig(t *testing.T) {
	data, err := os.ReadFile("testdata/files/jpeg_422_61x45.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if w, h, f, err := Config(data, "x", Limits{}); err != nil || w != 61 || h != 45 || f != "JPEG" {
		t.Errorf("got %d x %d %s, %v", w, h, f, err)
	}
}

func TestOrientRoundTrip(t *testing.T) {
	inverse := [9]int{0, 1, 2, 3, 4, 5, 8, 7, 6}
	for _, bits := range []int{8, 16} {
		m := pattern(7, 5, 3, bits)
		for o := 1; o <= 8; o++ {
			if got := orient(orient(m, o), inverse[o]); !bytes.Equal(samples(got), samples(m)) {
				t.Errorf("orientation %d at %d bits and back changes the image", o, bits)
			}
		}
	}
}

func allocated() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.TotalAlloc
}

// FuzzDecode demands that any bytes give an image or an error, and that no more memory is allocated than
// the file and the pixel limit justify.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/files/*.*")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds:", err)
	}
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), "want_") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(pngHeader(9_000, 9_000))
	f.Add(bmpOf(4, 3, 8, bmpRLE8, make([]byte, 16), nil, []byte{3, 1, 1, 2, 0, 0, 0, 3, 3, 2, 1, 0, 0, 0, 0, 2, 2, 0, 2, 3, 0, 1}))
	f.Add([]byte("P2 2 1 4095 4095 1"))
	f.Add([]byte("P7\nWIDTH 1\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\x01\x02\x03\x09\x04\x05\x06\x09"))
	f.Add([]byte("Pf\n1 2\n-1.0\n\x00\x00\x80\x3f\x00\x00\x00\x00"))
	f.Add(emptyScans(64, 64, 3))
	const pixels = 1 << 16
	f.Fuzz(func(t *testing.T, data []byte) {
		lim := Limits{MaxPixels: pixels, MaxFileBytes: 1 << 20}
		info, _ := Inspect(data, "fuzz", Options{Limits: lim})
		before := allocated()
		img, err := DecodeLimits(data, "fuzz", lim)
		// Tables, inflated texts and copies of coded data take the rest.
		if got, most := allocated()-before, uint64(info.Bytes)+uint64(64*len(data)+16<<20); got > most {
			t.Errorf("%d bytes allocated for a file of %d: announced were %d", got, len(data), info.Bytes)
		}
		if err == nil && (img.check() != nil || img.W*img.H > 2*pixels) {
			t.Errorf("bad image: %d x %d x %d", img.W, img.H, img.C)
		}
	})
}

// FuzzOrientation demands an orientation from 1 to 8 of any bytes.
func FuzzOrientation(f *testing.F) {
	for _, name := range []string{"exif_6.jpg", "exif_6.png", "exif_8.webp"} {
		data, err := os.ReadFile(filepath.Join("testdata/files", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("II*\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func([]byte) int{jpegOrientation, pngOrientation, webpOrientation} {
			if o := read(data); o < 1 || o > 8 {
				t.Errorf("orientation %d", o)
			}
		}
	})
}

func BenchmarkDecodeJPEG(b *testing.B) {
	m := image.NewRGBA(image.Rect(0, 0, 512, 512))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i >> 9)
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, buf.Bytes())
}

func BenchmarkDecodePNG(b *testing.B) {
	var buf bytes.Buffer
	if err := png.Encode(&buf, image.NewGray(image.Rect(0, 0, 512, 512))); err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, buf.Bytes())
}

func benchmarkDecode(b *testing.B, data []byte) {
	for b.Loop() {
		if _, err := Decode(data, "bench"); err != nil {
			b.Fatal(err)
		}
	}
}
