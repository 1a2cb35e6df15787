package imaging

import (
	"bytes"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// format is one image file format: how to know it, and how to decode it.
type format struct {
	name   string
	magic  []string // accepted beginnings; '?' stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(data []byte) (*Image, error)

	// density is the greatest number of pixels that one byte of the file can encode.
	density func(data []byte) int64
	// orientation finds the EXIF orientation (1 to 8, 1 when there is none), nil where the format has none.
	orientation func(data []byte) int
}

// findFormat returns the format whose magic data begins with, or nil.
func findFormat(data []byte) *format {
	formats := [...]format{
		// A coded 8x8 block of luma takes at least one bit: 512 pixels a byte.
		{"JPEG", []string{"\xff\xd8\xff"}, jpeg.DecodeConfig, decodeJPEG, constant(512), jpegOrientation},
		{"PNG", []string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, decodePNG, pngDensity, pngOrientation},
		// An LZW code has 9 bits or more and stands for at most 4,096 pixels.
		{"GIF", []string{"GIF87a", "GIF89a"}, gif.DecodeConfig, decodeGIF, constant(4096), nil},
		{"BMP", []string{"BM"}, bmp.DecodeConfig, decodeWith(bmp.Decode), constant(8), nil},
		// A fax-coded or lossless blank page has no bound of its own.
		{"TIFF", []string{"II*\x00", "MM\x00*"}, tiff.DecodeConfig, decodeWith(tiff.Decode), constant(blankPage), tiffOrientation},
		{"WebP", []string{"RIFF????WEBP"}, webp.DecodeConfig, decodeWebP, constant(blankPage), webpOrientation},
	}
	for i := range formats {
		for _, m := range formats[i].magic {
			if hasMagic(data, m) {
				return &formats[i]
			}
		}
	}
	return nil
}

// blankPage is far above what blank pages reach in practice (a fax page: about 20,000 pixels a byte).
const blankPage = 1 << 16

func constant(n int64) func([]byte) int64 { return func([]byte) int64 { return n } }

// pngDensity knows that deflate expands a byte to at most 1,032, and reads the bits of a pixel from the
// header (PNG specification, 11.2.1), which DecodeConfig has accepted.
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

// Decode decodes an image under [DefaultLimits]. The format is told by the content; name, usually the
// path, only appears in errors. Of an animation the first frame is taken.
func Decode(data []byte, name string) (*Image, error) {
	return DecodeLimits(data, name, DefaultLimits)
}

// DecodeFile reads and decodes an image file under [DefaultLimits].
func DecodeFile(path string) (*Image, error) {
	data, err := ReadFile(path, DefaultLimits)
	if err != nil {
		return nil, err
	}
	return Decode(data, path)
}

// ReadFile reads a regular file of at most the limit's size.
func ReadFile(path string, lim Limits) ([]byte, error) {
	lim = lim.orDefault()
	f, err := os.Open(path)
	if err != nil {
		return nil, errorf("%w", err) // names the operation and the path
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, errorf("%w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, errorf("%s: not a regular file", path)
	}
	if st.Size() > lim.MaxFileBytes {
		return nil, errorf("%s: file of %d bytes: %w: the limit is %d bytes", path, st.Size(), ErrTooLarge, lim.MaxFileBytes)
	}
	data := make([]byte, st.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, errorf("%s: read %d bytes: %w", path, len(data), err)
	}
	return data, nil
}

// Config returns the width, height and format name ("PNG") of an encoded image after reading its header
// only, under the same limits as decoding.
func Config(data []byte, name string, lim Limits) (w, h int, formatName string, err error) {
	_, cfg, f, err := open(data, name, lim)
	if err != nil {
		return 0, 0, "", err
	}
	return cfg.Width, cfg.Height, f.name, nil
}

// DecodeLimits is Decode under the given limits.
func DecodeLimits(data []byte, name string, lim Limits) (img *Image, err error) {
	data, _, f, err := open(data, name, lim)
	if err != nil {
		return nil, err
	}
	defer recoverDecoder(f.name, name, &err)
	img, err = f.decode(data)
	if err != nil {
		return nil, errorf("%s: %s: %w", name, f.name, err)
	}
	if f.orientation != nil {
		img = orient(img, f.orientation(data))
	}
	if err := img.check(); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, name)
	}
	return img, nil
}

// open tells the format and checks the sizes before anything of that size is allocated.
func open(data []byte, name string, lim Limits) (_ []byte, cfg image.Config, f *format, err error) {
	lim = lim.orDefault()
	size := int64(len(data))
	if size == 0 {
		return nil, cfg, nil, errorf("%s: empty file: %w", name, ErrFormat)
	}
	if size > lim.MaxFileBytes {
		return nil, cfg, nil, errorf("%s: file of %d bytes: %w: the limit is %d bytes", name, size, ErrTooLarge, lim.MaxFileBytes)
	}
	f = findFormat(data)
	if f == nil {
		return nil, cfg, nil, errorf("%s: begins with %q: %w", name, data[:min(8, len(data))], ErrFormat)
	}
	defer recoverDecoder(f.name, name, &err)
	cfg, err = f.config(bytes.NewReader(data))
	if err != nil {
		return nil, cfg, nil, errorf("%s: %s header: %w", name, f.name, err)
	}
	if err := lim.checkSize(name, cfg.Width, cfg.Height, size, f.density(data)); err != nil {
		return nil, cfg, nil, err
	}
	return data, cfg, f, nil
}

// recoverDecoder turns a panic of a format's decoder, which is not our code, into an error.
func recoverDecoder(format, name string, err *error) {
	if r := recover(); r != nil {
		*err = errorf("%s: %s: the decoder failed: %v", name, format, r)
	}
}

// decodeWith adapts a decoder of the image package's shape.
func decodeWith(dec func(io.Reader) (image.Image, error)) func([]byte) (*Image, error) {
	return func(data []byte) (*Image, error) {
		m, err := dec(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return convert(m), nil
	}
}

func decodePNG(data []byte) (*Image, error) {
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	img := convert(m)
	// Colour type 4 is grey with alpha, 0 is grey, perhaps with a transparent value: the standard library
	// gives both as colour images with three equal channels.
	const colourType = 25 // offset in the file: signature 8, length and name of IHDR 8, sizes 8, depth 1
	if img.C == 3 && data[colourType]&^4 == 0 {
		img = firstChannel(img)
	}
	return img, nil
}

func decodeGIF(data []byte) (*Image, error) {
	r := bytes.NewReader(data)
	cfg, err := gif.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	r.Reset(data)
	m, err := gif.Decode(r)
	if err != nil {
		return nil, err
	}
	img, b := convert(m), m.Bounds()
	if b == image.Rect(0, 0, cfg.Width, cfg.Height) {
		return img, nil
	}
	// The first frame may cover a part of the screen only; the rest is black.
	screen := newImage(cfg.Width, cfg.Height, img.C, 8)
	for y := range img.H {
		if y+b.Min.Y >= screen.H {
			break
		}
		row := screen.Pix8[((y+b.Min.Y)*screen.W+b.Min.X)*img.C : (y+b.Min.Y+1)*screen.W*img.C]
		copy(row, img.Pix8[y*img.W*img.C:(y+1)*img.W*img.C])
	}
	return screen, nil
}
