package imaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"strings"
	"testing"
)

// exifOf is a TIFF structure with an orientation of a type.
func exifOf(kind uint16, value uint32) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12")
	b = binary.BigEndian.AppendUint16(b, kind)
	b = append(b, 0, 0, 0, 1)
	if kind == 3 {
		value <<= 16
	}
	return binary.BigEndian.AppendUint32(append(binary.BigEndian.AppendUint32(b, value), 0, 0, 0, 0), 0)[:26]
}

func jpegWith(t *testing.T, id string, body []byte) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, 9, 5)), nil); err != nil {
		t.Fatal(err)
	}
	segment := append([]byte{0xff, 0xe1, 0, 0}, id+string(body)...)
	binary.BigEndian.PutUint16(segment[2:], uint16(len(segment)-2))
	return append(append(append([]byte{}, b.Bytes()[:2]...), segment...), b.Bytes()[2:]...)
}

func pngWith(t *testing.T, kind string, body []byte) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 9, 5))); err != nil {
		t.Fatal(err)
	}
	chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind+string(body)...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	const ihdr = 8 + 25
	return append(append(append([]byte{}, b.Bytes()[:ihdr]...), chunk...), b.Bytes()[ihdr:]...)
}

// TestOrientationWherever: a number of any integer type, XMP as attribute and element, PNG's profile as text.
func TestOrientationWherever(t *testing.T) {
	const xap = "http://ns.adobe.com/xap/1.0/\x00"
	xmp := []byte(`<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>`)
	element := []byte(`<tiff:Orientation>6</tiff:Orientation>`)
	profile := fmt.Appendf(nil, "\nexif\n%8d\n%x\n", 32, "Exif\x00\x00"+string(exifOf(3, 6)))
	for name, data := range map[string][]byte{
		"SHORT":        jpegWith(t, "Exif\x00\x00", exifOf(3, 6)),
		"LONG":         jpegWith(t, "Exif\x00\x00", exifOf(4, 6)),
		"SLONG":        jpegWith(t, "Exif\x00\x00", exifOf(9, 6)),
		"XMP":          jpegWith(t, xap, xmp),
		"XMP element":  jpegWith(t, xap, element),
		"PNG eXIf":     pngWith(t, "eXIf", exifOf(4, 6)),
		"PNG raw text": pngWith(t, "tEXt", append([]byte("Raw profile type exif\x00"), profile...)),
		"PNG XMP":      pngWith(t, "iTXt", append([]byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00"), xmp...)),
	} {
		m, err := Decode(data, name)
		if err != nil {
			t.Fatal(name, err)
		}
		if m.W != 5 || m.H != 9 {
			t.Errorf("%s: got %d x %d, expected 5 x 9", name, m.W, m.H)
		}
	}
	// EXIF that says upright counts, whatever XMP says, as with Pillow.
	both := jpegWith(t, xap, xmp)
	both = append(both[:2:2], append(jpegWith(t, "Exif\x00\x00", exifOf(3, 1))[2:2+4+32], both[2:]...)...)
	if m, err := Decode(both, "both"); err != nil || m.W != 9 {
		t.Errorf("EXIF and XMP: got %+v, %v", m, err)
	}
}

// TestGIFStoredColours: what is behind the transparent index counts, and fills the screen around the frame.
func TestGIFStoredColours(t *testing.T) {
	for _, interlaced := range []bool{false, true} {
		colours := color.Palette{color.RGBA{10, 20, 30, 255}, color.RGBA{200, 100, 50, 255}, color.RGBA{1, 2, 3, 255}, color.RGBA{0, 255, 0, 255}}
		m := image.NewPaletted(image.Rect(2, 1, 9, 12), colours)
		for i := range m.Pix {
			m.Pix[i] = uint8(i*i) % 4
		}
		var b bytes.Buffer
		if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{m, m}, Delay: []int{1, 1}, Config: image.Config{Width: 11, Height: 13, ColorModel: colours}}); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes()
		control := bytes.Index(data, []byte{0x21, 0xf9, 4})
		data[control+3] |= 1
		data[control+6] = 1 // index 1 is transparent
		if interlaced {     // the rows of the file are those of the passes then
			frame := bytes.IndexByte(data[control+8:], 0x2c) + control + 8
			data[frame+9] |= 0x40
		}
		got, err := Decode(data, "x.gif")
		if err != nil {
			t.Fatal(err)
		}
		if got.Source.Pages != 2 || got.W != 11 || got.H != 13 {
			t.Errorf("got %+v", got.Source)
		}
		order := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
		if interlaced {
			order = []int{0, 8, 4, 2, 6, 10, 1, 3, 5, 7, 9}
		}
		want := make([]uint8, 11*13)
		for i := range want {
			want[i] = 1
		}
		for k, y := range order {
			copy(want[(y+1)*11+2:], m.Pix[k*7:k*7+7])
		}
		for i, v := range want {
			c := colours[v].(color.RGBA)
			if px := got.Pix8[3*i : 3*i+3]; px[0] != c.R || px[1] != c.G || px[2] != c.B {
				t.Fatalf("pixel %d: got %v, expected %v", i, px, c)
			}
		}
	}
}

// TestEndsEarly: files that have lost bytes are refused, in every format.
func TestEndsEarly(t *testing.T) {
	for _, file := range []string{"rgb.png", "rgb.gif", "rgb.bmp", "rgb_raw.tif", "rgb_tiff_lzw.tif", "rgb_tiff_deflate.tif", "rgb_packbits.tif",
		"lossless.webp", "lossy_31x22.webp", "lossy_alpha.webp", "jpeg_420_61x45.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg"} {
		data, err := os.ReadFile("testdata/files/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []int{10, 50, 90, 97} {
			if strings.HasSuffix(file, ".tif") && part > 90 {
				continue // tags may be at the end
			}
			if m, err := Decode(data[:len(data)*part/100], file); err == nil {
				t.Errorf("%s, the first %d %%: no error, %d x %d", file, part, m.W, m.H)
			}
		}
	}
}

// TestLeftOver: bytes that are lost from the middle of a JPEG, or that do not belong there, are noticed where they are more than
// a block. (Codes find their way back within a block or two, so that fewer bytes cost no more than those.)
func TestLeftOver(t *testing.T) {
	data, err := os.ReadFile("testdata/files/jpeg_444_61x45.jpg")
	if err != nil {
		t.Fatal(err)
	}
	scan := bytes.Index(data, []byte{0xff, 0xda}) + 14
	const lost = 300
	silent, n := 0, 0
	for at := scan; at+lost+40 < len(data); at += 11 {
		n++
		if _, err := Decode(append(append([]byte{}, data[:at]...), data[at+lost:]...), "x"); err == nil {
			silent++
		}
	}
	if silent > n/20 {
		t.Errorf("%d of %d files with %d bytes lost are read without a word", silent, n, lost)
	}
	more := append(append([]byte{}, data[:len(data)-2]...), make([]byte, 50)...)
	m, err := Decode(append(more, 0xff, 0xd9), "x")
	if err != nil || m.Source.Note != "50 bytes are left over: the file may be damaged" {
		t.Errorf("50 bytes too many: got %v, %v", m, err)
	}
}

// animated makes an animation of WebP frames.
func animated(t *testing.T, w, h int, frames ...string) []byte {
	out := []byte("RIFF????WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00")
	out = append(out, byte(w-1), 0, 0, byte(h-1), 0, 0)
	out = append(out, "ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for _, file := range frames {
		data, err := os.ReadFile("testdata/files/" + file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(data, file)
		if err != nil {
			t.Fatal(err)
		}
		body := append([]byte{1, 0, 0, 1, 0, 0, byte(m.W - 1), 0, 0, byte(m.H - 1), 0, 0, 0, 0, 0, 0}, data[12:]...)
		out = append(binary.LittleEndian.AppendUint32(append(out, "ANMF"...), uint32(len(body))), body...)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

func TestAnimatedWebP(t *testing.T) {
	data := animated(t, 50, 40, "lossy_31x22.webp", "lossy_5x1.webp")
	m, err := Decode(data, "x.webp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeContext(t.Context(), data, "x.webp", Options{Page: 1}); err == nil || !strings.Contains(err.Error(), "only frame 0") {
		t.Errorf("frame 1: got %v", err)
	}
	one, err := DecodeFile("testdata/files/lossy_31x22.webp")
	if err != nil {
		t.Fatal(err)
	}
	if m.W != 50 || m.H != 40 || m.Source.Pages != 2 {
		t.Fatalf("got %d x %d, %d frames", m.W, m.H, m.Source.Pages)
	}
	for y := range m.H {
		for x := range m.W {
			want := []uint8{0, 0, 0}
			if x >= 2 && x < 33 && y >= 2 && y < 24 {
				want = one.Pix8[3*((y-2)*31+x-2):][:3]
			}
			if got := m.Pix8[3*(y*50+x):][:3]; !bytes.Equal(got, want) {
				t.Fatalf("%d, %d: got %v, expected %v", x, y, got, want)
			}
		}
	}
}

// TestLostRestartMarker: Pillow reads such a file, with an interval of grey; so do we, and say so. Two are too many.
func TestLostRestartMarker(t *testing.T) {
	data, err := os.ReadFile("testdata/files/jpeg_restart.jpg")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Decode(data, "x")
	if err != nil || whole.Source.Note != "" {
		t.Fatal(err, whole.Source.Note)
	}
	lose := func(data []byte, n byte) []byte {
		i := bytes.LastIndex(data, []byte{0xff, 0xd0 + n})
		if i < 0 {
			t.Fatal("no marker", n)
		}
		return append(append([]byte{}, data[:i]...), data[i+2:]...)
	}
	m, err := Decode(lose(data, 1), "x")
	if err != nil {
		t.Fatal(err)
	}
	if m.Source.Note == "" || bytes.Equal(m.Pix8, whole.Pix8) {
		t.Errorf("note %q", m.Source.Note)
	}
	if _, err := Decode(lose(lose(data, 1), 4), "x"); err == nil {
		t.Error("two lost markers: no error")
	}
}

// TestCMYKWithoutAdobe: Pillow takes the inks for inverted with Adobe's marker or without.
func TestCMYKWithoutAdobe(t *testing.T) {
	data, err := os.ReadFile("testdata/files/jpeg_cmyk.jpg")
	if err != nil {
		t.Fatal(err)
	}
	with, err := Decode(data, "x")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("Adobe")) - 4
	if at < 0 || data[at+1] != 0xee || data[at+4+11] != 0 {
		t.Fatal("no Adobe marker of inks")
	}
	n := 2 + int(binary.BigEndian.Uint16(data[at+2:]))
	without, err := Decode(append(append([]byte{}, data[:at]...), data[at+n:]...), "x")
	if err != nil || !bytes.Equal(with.Pix8, without.Pix8) {
		t.Errorf("without the marker: %v", err)
	}
}

// TestWebPShorterThanItsHeader: a size below that of the header is an error in words.
func TestWebPShorterThanItsHeader(t *testing.T) {
	_, err := Decode([]byte("RIFF\x03\x00\x00\x00WEBPVP8 \x00\x00\x00\x00xxxxxxxxxxx"), "x.webp")
	if err == nil || strings.Contains(err.Error(), "runtime error") {
		t.Error(err)
	}
}
