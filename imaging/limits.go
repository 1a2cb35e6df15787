package imaging

import (
	"errors"
	"fmt"
)

// ErrTooLarge is wrapped by errors about images that exceed the limits in size or decoding cost.
var ErrTooLarge = errors.New("image too large")

// ErrFormat is wrapped by errors about data that are not an image in a known format.
var ErrFormat = errors.New("not an image in a known format (PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM)")

// Limits limits what Decode accepts. A zero field means its default.
type Limits struct {
	MaxPixels    int64 // width x height; default 100 million
	MaxSide      int64 // width and height, each; default 1 million
	MaxFileBytes int64 // size of the encoded file; default 512 MiB
	// MaxBytes limits the memory for decoding ([Info.Bytes]); default 1 GiB.
	MaxBytes int64
	// MaxWork limits the number of samples that decoding processes ([Info.Work]); default 4 billion.
	MaxWork int64
}

// DefaultLimits are the limits of [Decode] and [DecodeFile].
var DefaultLimits = Limits{MaxPixels: 100_000_000, MaxSide: 1_000_000, MaxFileBytes: 512 << 20, MaxBytes: 1 << 30, MaxWork: 4e9}

func (l Limits) orDefault() Limits {
	fill := func(v *int64, to int64) {
		if *v <= 0 {
			*v = to
		}
	}
	fill(&l.MaxPixels, DefaultLimits.MaxPixels)
	fill(&l.MaxSide, DefaultLimits.MaxSide)
	fill(&l.MaxFileBytes, DefaultLimits.MaxFileBytes)
	fill(&l.MaxBytes, DefaultLimits.MaxBytes)
	fill(&l.MaxWork, DefaultLimits.MaxWork)
	return l
}

// errorf is fmt.Errorf with the package's prefix.
func errorf(format string, args ...any) error {
	return fmt.Errorf("imaging: "+format, args...)
}

// check returns an error if an image exceeds the limits, or cannot be encoded in size bytes. density is the
// maximum number of pixels per byte in its format.
func (l Limits) check(name string, info Info, size, density int64) error {
	w, h := info.W, info.H
	if w < 1 || h < 1 {
		return errorf("%s: size %d x %d: expected at least 1 x 1", name, w, h)
	}
	if int64(w) > l.MaxPixels || int64(h) > l.MaxPixels/int64(w) {
		return errorf("%s: %d x %d pixels: %w: the limit is %d pixels", name, w, h, ErrTooLarge, l.MaxPixels)
	}
	if int64(max(w, h)) > l.MaxSide {
		return errorf("%s: %d x %d pixels: %w: the limit is %d pixels a side", name, w, h, ErrTooLarge, l.MaxSide)
	}
	if px := int64(w) * int64(h); px/density > size {
		return errorf("%s: %d x %d pixels cannot be encoded in %d bytes: truncated or a decompression bomb: %w",
			name, w, h, size, ErrTooLarge)
	}
	if info.Bytes > l.MaxBytes {
		return errorf("%s: %d x %d pixels: %w: decoding takes %d MB of memory, the limit is %d MB",
			name, w, h, ErrTooLarge, info.Bytes>>20, l.MaxBytes>>20)
	}
	if info.Work > l.MaxWork {
		return errorf("%s: %d x %d pixels: %w: decoding goes over %d million samples, the limit is %d million",
			name, w, h, ErrTooLarge, info.Work/1e6, l.MaxWork/1e6)
	}
	return nil
}
