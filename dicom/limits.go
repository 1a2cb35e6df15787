package dicom

import (
	"errors"
	"fmt"
)

// ErrNotDICOM is wrapped by errors about data that are not a DICOM object.
var ErrNotDICOM = errors.New("not a DICOM object")

// ErrTooLarge is wrapped by errors about objects that exceed a limit.
var ErrTooLarge = errors.New("exceeds a limit")

// ErrAbsent is wrapped by errors about elements that are missing or empty.
var ErrAbsent = errors.New("absent")

// ErrTruncated is wrapped by errors about truncated objects.
var ErrTruncated = errors.New("ends early")

// Limits limits what [Parse] accepts. A zero field means its default.
type Limits struct {
	MaxFileBytes     int64 // file size in bytes; default 2 GiB
	MaxInflatedBytes int64 // size of a deflated data set after inflation; default 1 GiB
	MaxInflateRatio  int64 // inflated bytes per stored byte, beyond the first 64 MiB; default 256
	MaxDepth         int   // nesting depth of sequences; default 64
	MaxElements      int   // elements, items and fragments in the whole object; default 1 million
}

// DefaultLimits are the limits of [Open].
var DefaultLimits = Limits{
	MaxFileBytes: 2 << 30, MaxInflatedBytes: 1 << 30, MaxInflateRatio: 256, MaxDepth: 64, MaxElements: 1 << 20,
}

func (l Limits) orDefault() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.MaxFileBytes, DefaultLimits.MaxFileBytes)
	set(&l.MaxInflatedBytes, DefaultLimits.MaxInflatedBytes)
	set(&l.MaxInflateRatio, DefaultLimits.MaxInflateRatio)
	if l.MaxDepth <= 0 {
		l.MaxDepth = DefaultLimits.MaxDepth
	}
	if l.MaxElements <= 0 {
		l.MaxElements = DefaultLimits.MaxElements
	}
	return l
}

// errorf is fmt.Errorf with the package's prefix.
func errorf(format string, args ...any) error { return fmt.Errorf("dicom: "+format, args...) }
