package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
)

// orientationTag is the TIFF tag of the EXIF orientation, a number of 1 to 8 (EXIF 2.3, section 4.6.4).
const orientationTag = 0x0112

// orientation collects the metadata about orientation. As in Pillow, EXIF takes precedence over XMP. Malformed
// metadata counts as upright: a damaged comment must not make the image unreadable.
type orientation struct {
	exif, xmp []byte // the first block of each
}

func (o orientation) value() int {
	if o.exif != nil {
		body, _ := trimExif(o.exif)
		if v, ok := exifOrientation(body); ok {
			return v
		}
	}
	return xmpOrientation(o.xmp)
}

// xmpOrientation looks for tiff:Orientation as an attribute or an element.
func xmpOrientation(b []byte) int {
	name := []byte("tiff:Orientation")
	for {
		i := bytes.Index(b, name)
		if i < 0 {
			return 1
		}
		b = b[i+len(name):]
		v := b
		switch {
		case bytes.HasPrefix(v, []byte(`="`)), bytes.HasPrefix(v, []byte(`='`)):
			v = v[2:]
		case bytes.HasPrefix(v, []byte(">")):
			v = v[1:]
		default:
			continue
		}
		if len(v) > 0 && v[0] >= '0' && v[0] <= '9' {
			return upright(int64(v[0] - '0'))
		}
	}
}

func upright(v int64) int {
	if v < 1 || v > 8 {
		return 1
	}
	return int(v)
}

// jpegOrientation looks for APP1 segments before the first scan.
func jpegOrientation(data []byte) int {
	var o orientation
	for i := 2; i+4 <= len(data) && data[i] == 0xff; {
		marker := data[i+1]
		if marker == 0xff { // fill byte
			i++
			continue
		}
		if marker == 0xd8 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd7 { // markers without a length
			i += 2
			continue
		}
		n := int(binary.BigEndian.Uint16(data[i+2:]))
		if marker == 0xda || marker == 0xd9 || n < 2 || i+2+n > len(data) {
			break
		}
		if marker == 0xe1 {
			body := data[i+4 : i+2+n]
			if exif, ok := trimExif(body); ok && o.exif == nil {
				o.exif = exif
			} else if xmp, ok := bytes.CutPrefix(body, []byte("http://ns.adobe.com/xap/1.0/\x00")); ok && o.xmp == nil {
				o.xmp = xmp
			}
		}
		i += 2 + n
	}
	return o.value()
}

// pngOrientation looks for an eXIf chunk, and for ImageMagick's EXIF profile and XMP in text chunks.
func pngOrientation(data []byte) int {
	var o orientation
	var raw []byte
	for i := 8; i+8 <= len(data); {
		n := int64(binary.BigEndian.Uint32(data[i:]))
		kind := string(data[i+4 : i+8])
		end := int64(i) + 8 + n
		if end > int64(len(data)) || kind == "IEND" {
			break
		}
		body := data[i+8 : end]
		switch kind {
		case "eXIf":
			o.exif = body
		case "tEXt", "zTXt", "iTXt":
			keyword, text := pngText(kind, body)
			switch {
			case keyword == "Raw profile type exif" || keyword == "Raw profile type APP1":
				raw = text
			case keyword == "XML:com.adobe.xmp" && o.xmp == nil:
				o.xmp = text
			}
		}
		i = int(end) + 4 // the checksum
	}
	if o.exif == nil && raw != nil {
		o.exif = rawProfile(raw)
	}
	return o.value()
}

// maxText limits the size of a decompressed text chunk.
const maxText = 4 << 20

// pngText returns keyword and text of the three kinds of text chunks (PNG specification, 11.3.3). It reads only
// texts that may contain an orientation.
func pngText(kind string, b []byte) (keyword string, text []byte) {
	word, b, ok := bytes.Cut(b, []byte{0})
	keyword = string(word)
	if !ok || len(word) > 79 || keyword != "XML:com.adobe.xmp" && !bytes.HasPrefix(word, []byte("Raw profile type ")) {
		return "", nil
	}
	packed := false
	switch kind {
	case "zTXt":
		if len(b) < 1 || b[0] != 0 {
			return "", nil
		}
		packed, b = true, b[1:]
	case "iTXt":
		if len(b) < 2 {
			return "", nil
		}
		packed = b[0] == 1
		b = b[2:]
		for range 2 { // language, translated keyword
			if _, b, ok = bytes.Cut(b, []byte{0}); !ok {
				return "", nil
			}
		}
	}
	if !packed {
		return keyword, b
	}
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return "", nil
	}
	defer z.Close()
	text, err = io.ReadAll(io.LimitReader(z, maxText))
	if err != nil {
		return "", nil
	}
	return keyword, text
}

// rawProfile parses ImageMagick's format: a line break, the name, the length, and lines of hexadecimal digits.
func rawProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte("\n"), 4)
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.Join(bytes.Fields(lines[3]), nil)
	out := make([]byte, hex.DecodedLen(len(digits)))
	if n, err := hex.Decode(out, digits); err == nil && n > 0 {
		return out
	}
	return nil
}

// webpOrientation looks for EXIF and XMP chunks.
func webpOrientation(data []byte) int {
	f, err := readWebP(data)
	if err != nil {
		return 1
	}
	return orientation{f.exif, f.xmp}.value()
}

// trimExif removes the identifier that precedes the TIFF structure in JPEG segments.
func trimExif(b []byte) ([]byte, bool) {
	const id = "Exif\x00\x00"
	if len(b) < len(id) || string(b[:len(id)]) != id {
		return b, false
	}
	return b[len(id):], true
}

// exifOrientation reads the orientation from the first directory of a TIFF structure, whatever the type of the
// value.
func exifOrientation(b []byte) (value int, ok bool) {
	if len(b) < 8 {
		return 1, false
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1, false
	}
	off := int64(order.Uint32(b[4:]))
	if off < 8 || off+2 > int64(len(b)) {
		return 1, false
	}
	entries := b[off+2:]
	n := min(int(order.Uint16(b[off:])), len(entries)/12)
	for i := range n {
		e := entries[12*i : 12*i+12]
		if order.Uint16(e) != orientationTag || order.Uint32(e[4:]) != 1 {
			continue
		}
		switch order.Uint16(e[2:]) { // types
		case 1, 6, 7:
			return upright(int64(e[8])), true
		case 3, 8:
			return upright(int64(order.Uint16(e[8:]))), true
		case 4, 9:
			return upright(int64(order.Uint32(e[8:]))), true
		}
	}
	return 1, false
}

// orient returns an image with EXIF orientation o turned upright. The value gives the sides of the upright
// image on which the stored row 0 and column 0 lie: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5
// left top, 6 right top, 7 right bottom, 8 left bottom.
func orient(m *Image, o int) *Image {
	if o < 2 || o > 8 {
		return m
	}
	dst := newImage(m.W, m.H, m.C, m.Bits)
	if o >= 5 {
		dst = newImage(m.H, m.W, m.C, m.Bits)
	}
	if m.Bits == 16 {
		orientPixels(dst.Pix16, m.Pix16, m, o)
	} else {
		orientPixels(dst.Pix8, m.Pix8, m, o)
	}
	return dst
}

// orientPixels reads the source in order. start, right and down are the index in dst of its first pixel, and
// the index distances of its neighbours to the right and below.
func orientPixels[T uint8 | uint16](dst, src []T, m *Image, o int) {
	w, h, c := m.W, m.H, m.C
	var start, right, down int
	switch o {
	case 2:
		start, right, down = w-1, -1, w
	case 3:
		start, right, down = w*h-1, -1, -w
	case 4:
		start, right, down = (h-1)*w, 1, -w
	case 5:
		start, right, down = 0, h, 1
	case 6:
		start, right, down = h-1, h, -1
	case 7:
		start, right, down = w*h-1, -h, -1
	case 8:
		start, right, down = (w-1)*h, -h, 1
	}
	i := 0
	for y := range h {
		to := start + y*down
		for range w {
			copy(dst[to*c:to*c+c], src[i:i+c])
			i += c
			to += right
		}
	}
}
