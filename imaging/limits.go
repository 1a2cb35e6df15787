package imaging

import (
	"errors"
	"fmt"
)

// ErrTooLarge is wrapped by the errors of images that are refused for their size.
var ErrTooLarge = errors.New("image too large")

// ErrFormat is wrapped by the errors of bytes that are no image of a known format.
var ErrFormat = errors.New("not an image in a known format (PNG, JPEG, GIF, BMP, TIFF, WebP)")

// Limits bounds what Decode accepts. A zero field means its default.
type Limits struct {
	MaxPixels    int64 // width x height; default 100 million
	MaxFileBytes int64 // size of the encoded file; default 512 MiB
}

// DefaultLimits are the limits of [Decode] and [DecodeFile].
var DefaultLimits = Limits{MaxPixels: 100_000_000, MaxFileBytes: 512 << 20}

func (l Limits) orDefault() Limits {
	if l.MaxPixels <= 0 {
		l.MaxPixels = DefaultLimits.MaxPixels
	}
	if l.MaxFileBytes <= 0 {
		l.MaxFileBytes = DefaultLimits.MaxFileBytes
	}
	return l
}

// errorf is fmt.Errorf with the package's prefix.
func errorf(format string, args ...any) error {
	return fmt.Errorf("imaging: "+format, args...)
}

// checkSize refuses w x h images that exceed the limits, or that cannot be encoded in size bytes:
// density is the most pixels that a byte of the format can stand for.
func (l Limits) checkSize(name string, w, h int, size, density int64) error {
	if w < 1 || h < 1 {
		return errorf("%s: size %d x %d: expected at least 1 x 1", name, w, h)
	}
	if int64(w) > l.MaxPixels || int64(h) > l.MaxPixels/int64(w) {
		return errorf("%s: %d x %d pixels: %w: the limit is %d pixels", name, w, h, ErrTooLarge, l.MaxPixels)
	}
	if px := int64(w) * int64(h); px/density > size {
		return errorf("%s: %d x %d pixels cannot be encoded in %d bytes: truncated or a decompression bomb: %w",
			name, w, h, size, ErrTooLarge)
	}
	return nil
}
