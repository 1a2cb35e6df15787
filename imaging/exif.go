package imaging

import "encoding/binary"

// orientationTag is the TIFF tag of the EXIF orientation, a SHORT of 1 to 8 (EXIF 2.3, section 4.6.4).
const orientationTag = 0x0112

// jpegOrientation looks for an APP1 segment "Exif" before the first scan.
func jpegOrientation(data []byte) int {
	for i := 2; i+4 <= len(data) && data[i] == 0xff; {
		marker := data[i+1]
		if marker == 0xff { // fill byte
			i++
			continue
		}
		if marker == 0xd8 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd7 { // no length follows
			i += 2
			continue
		}
		n := int(binary.BigEndian.Uint16(data[i+2:]))
		if marker == 0xda || marker == 0xd9 || n < 2 || i+2+n > len(data) {
			break
		}
		if body, ok := trimExif(data[i+4 : i+2+n]); ok && marker == 0xe1 {
			return tiffOrientation(body)
		}
		i += 2 + n
	}
	return 1
}

// pngOrientation looks for an eXIf chunk.
func pngOrientation(data []byte) int {
	for i := 8; i+8 <= len(data); {
		n := int64(binary.BigEndian.Uint32(data[i:]))
		kind := string(data[i+4 : i+8])
		end := int64(i) + 8 + n
		if end > int64(len(data)) || kind == "IEND" {
			break
		}
		if kind == "eXIf" {
			return tiffOrientation(data[i+8 : end])
		}
		i = int(end) + 4 // the checksum
	}
	return 1
}

// webpOrientation looks for an EXIF chunk of an extended WebP.
func webpOrientation(data []byte) int {
	for i := 12; i+8 <= len(data); {
		n := int64(binary.LittleEndian.Uint32(data[i+4:]))
		end := int64(i) + 8 + n
		if end > int64(len(data)) {
			break
		}
		if string(data[i:i+4]) == "EXIF" {
			body, _ := trimExif(data[i+8 : end])
			return tiffOrientation(body)
		}
		i = int(end + n%2)
	}
	return 1
}

// trimExif removes the identifier that precedes the TIFF structure in JPEG segments.
func trimExif(b []byte) ([]byte, bool) {
	const id = "Exif\x00\x00"
	if len(b) < len(id) || string(b[:len(id)]) != id {
		return b, false
	}
	return b[len(id):], true
}

// tiffOrientation reads the orientation from the first directory of a TIFF structure. Whatever is
// malformed counts as 1, upright: a damaged comment must not cost the image.
func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	off := int64(order.Uint32(b[4:]))
	if off < 8 || off+2 > int64(len(b)) {
		return 1
	}
	entries := b[off+2:]
	n := min(int(order.Uint16(b[off:])), len(entries)/12)
	for i := range n {
		e := entries[12*i : 12*i+12]
		if order.Uint16(e) != orientationTag {
			continue
		}
		const short = 3
		v := int(order.Uint16(e[8:]))
		if order.Uint16(e[2:]) == short && order.Uint32(e[4:]) == 1 && v >= 1 && v <= 8 {
			return v
		}
		return 1
	}
	return 1
}

// orient turns an image stored with an EXIF orientation upright. The value names the side of the upright
// image that the stored row 0 and column 0 are: 1 top left, 2 top right, 3 bottom right, 4 bottom left,
// 5 left top, 6 right top, 7 right bottom, 8 left bottom.
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

// orientPixels walks the source in order; start, right and down say where its first pixel goes in dst and
// how far apart its neighbours land.
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
