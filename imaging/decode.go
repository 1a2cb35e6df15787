package imaging

import (
	"context"
	"math"

	"melo.example/melo/dicom"
)

// format is an image file format: how to recognise it, and how to inspect and decode it.
type format struct {
	name    string
	magic   []string // possible first bytes; '?' matches any byte
	inspect func(data []byte, opt Options) (Info, error)
	decode  func(ctx context.Context, data []byte, opt Options) (*Image, error)

	// density is the maximum number of pixels that one byte of the file can encode.
	density func(data []byte) int64
	// orientation returns the EXIF orientation (1 to 8; 1 if there is none). It is nil if the format has none.
	orientation func(data []byte) int
}

// findFormat returns the format that matches data's first bytes, or nil.
func findFormat(data []byte) *format {
	formats := [...]format{
		// An encoded 8x8 block of luma takes at least one bit: 512 pixels per byte.
		{"JPEG", []string{"\xff\xd8\xff"}, inspectJPEG, decodeJPEG, constant(512), jpegOrientation},
		{"PNG", []string{"\x89PNG\r\n\x1a\n"}, inspectPNG, decodePNG, pngDensity, pngOrientation},
		// An LZW code has at least 9 bits and encodes at most 4,096 pixels.
		{"GIF", []string{"GIF87a", "GIF89a"}, inspectGIF, decodeGIF, constant(4096), nil},
		{"BMP", []string{"BM"}, inspectBMP, decodeBMP, constant(blankPage), nil},
		// Fax-coded or losslessly compressed blank pages have no bound of their own.
		{"TIFF", []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"}, inspectTIFF, decodeTIFF, constant(blankPage), nil},
		{"WebP", []string{"RIFF????WEBP"}, inspectWebP, decodeWebP, constant(blankPage), webpOrientation},
	}
	// before the others, because its first 128 bytes may be those of a TIFF (PS3.10, 7.1)
	if dicom.HasPreamble(data) {
		return &dicomFormat
	}
	if isPNM(data) {
		return &pnmFormat
	}
	for i := range formats {
		for _, m := range formats[i].magic {
			if hasMagic(data, m) {
				return &formats[i]
			}
		}
	}
	if dicom.Sniff(data) {
		return &dicomFormat
	}
	return nil
}

// saturated multiplies non-negative numbers. On overflow it returns the largest number.
func saturated(a, b int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

// blankPage is far above the density of real blank pages (a fax page: about 20,000 pixels per byte).
const blankPage = 1 << 16

func constant(n int64) func([]byte) int64 { return func([]byte) int64 { return n } }

// pngDensity uses that deflate expands a byte to at most 1,032, and reads the bits per pixel from the header
// (PNG specification, 11.2.1), which DecodeConfig has checked.
func pngDensity(data []byte) int64 {
	const depth, colourType = 24, 25 // offsets in the file
	bits := int64(data[depth])
	switch data[colourType] {
	case 2:
		bits *= 3
	case 4:
		bits *= 2
	case 6:
		bits *= 4
	}
	return max(1032*8/max(bits, 1), 1)
}

func hasMagic(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// Decode decodes an image with [DefaultLimits]. The content determines the format; name, usually the path,
// appears only in errors. Of an animation it decodes the first frame.
func Decode(data []byte, name string) (*Image, error) {
	return DecodeLimits(data, name, DefaultLimits)
}

// DecodeFile reads and decodes an image file with [DefaultLimits].
func DecodeFile(path string) (*Image, error) {
	data, err := ReadFile(path, DefaultLimits)
	if err != nil {
		return nil, err
	}
	return Decode(data, path)
}

// Config returns the width, height and format name ("PNG") of an encoded image from its header, with the same
// limits as decoding. [Inspect] returns more.
func Config(data []byte, name string, lim Limits) (w, h int, formatName string, err error) {
	info, err := Inspect(data, name, Options{Limits: lim})
	if err != nil {
		return 0, 0, "", err
	}
	return info.W, info.H, info.Format, nil
}

// DecodeLimits is Decode with the given limits.
func DecodeLimits(data []byte, name string, lim Limits) (*Image, error) {
	return DecodeContext(context.Background(), data, name, Options{Limits: lim})
}

// open determines the format and checks sizes and cost before memory is allocated in proportion to them.
func open(data []byte, name string, opt Options) (f *format, info Info, err error) {
	lim := opt.Limits.orDefault()
	size := int64(len(data))
	if size == 0 {
		return nil, info, errorf("%s: empty file: %w", name, ErrFormat)
	}
	if size > lim.MaxFileBytes {
		return nil, info, errorf("%s: file of %d bytes: %w: the limit is %d bytes", name, size, ErrTooLarge, lim.MaxFileBytes)
	}
	f = findFormat(data)
	if f == nil {
		if is := stranger(data); is != "" {
			return nil, info, errorf("%s: %s: %w", name, is, ErrFormat)
		}
		return nil, info, errorf("%s: begins with %q: %w", name, data[:min(8, len(data))], ErrFormat)
	}
	defer recoverDecoder(f.name, name, &err)
	info, err = f.inspect(data, opt)
	if err != nil {
		return nil, info, errorf("%s: %s header: %w", name, f.name, err)
	}
	info.Format, info.Page = f.name, opt.Page
	if f.orientation != nil && f.orientation(data) > 1 { // it is transposed or mirrored into another image
		info.Bytes = max(info.Bytes, info.Bytes+saturated(saturated(int64(info.W), int64(info.H)), 3*int64(max(info.Bits, 8)/8)))
	}
	if err := lim.check(name, info, size, f.density(data)); err != nil {
		return nil, info, err
	}
	if opt.Page < 0 || opt.Page >= info.Pages {
		return nil, info, errorf("%s: page %d: the file has pages 0 to %d", name, opt.Page, info.Pages-1)
	}
	if opt.Page > 0 && f.name != "TIFF" && f.name != formatDICOM {
		return nil, info, errorf("%s: frame %d of a %s animation is not read: only frame 0 is; save the frame as an image", name, opt.Page, f.name)
	}
	return f, info, nil
}

// recoverDecoder turns a panic in a third-party decoder into an error.
func recoverDecoder(format, name string, err *error) {
	if r := recover(); r != nil {
		*err = errorf("%s: %s: the decoder failed: %v", name, format, r)
	}
}
