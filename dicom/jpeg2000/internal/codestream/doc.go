// Package codestream parses a JPEG 2000 codestream: its marker segments, its tile-parts, the geometry of tiles
// down to code-blocks, and the packets that assign bytes to code-blocks (tier 2 of ITU-T T.800, with the
// capabilities and code-block segments of T.814).
//
// It decodes no samples. All memory is counted against a Budget before it is allocated, and every length in the
// codestream is checked against the available bytes.
package codestream

import (
	"errors"
	"fmt"
)

// The kinds of error. Errors of this package wrap one of them.
var (
	ErrFormat      = errors.New("malformed codestream")
	ErrTruncated   = errors.New("truncated codestream")
	ErrUnsupported = errors.New("unsupported codestream")
	ErrLimit       = errors.New("memory limit")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func truncated(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTruncated, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

// Budget counts the bytes that may still be allocated.
type Budget struct {
	limit, left int64
}

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return &Budget{bytes, bytes} }

// Take books count items of size bytes each before they are allocated. what names them in the error.
func (b *Budget) Take(what string, count, size int64) error {
	if count < 0 || size < 0 || (size > 0 && count > b.left/size) {
		return fmt.Errorf("%w: %d %s of %d bytes each are asked for, %d of %d bytes are left", ErrLimit, count, what, size,
			b.left, b.limit)
	}
	b.left -= count * size
	return nil
}

// Left returns the bytes that are not booked.
func (b *Budget) Left() int64 { return b.left }

// Give returns bytes that Take booked.
func (b *Budget) Give(count, size int64) { b.left += count * size }
