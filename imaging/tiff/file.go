// Package tiff reads TIFF and BigTIFF files (TIFF 6.0 with its supplements): strips and tiles, interleaved or
// planar, 1 to 64 bits per sample, and the compressions in common use.
//
// It returns the samples of a page, with the photometric interpretation applied to greys. Palette and CMYK
// samples are returned as stored; package imaging converts them.
//
// Input is not trusted: the tags of a page determine its cost ([Page.Cost]) before memory is allocated in
// proportion to it, and numbers in the file are checked against the file's length.
package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrUnsupported is wrapped by errors about pages of a known kind that is not supported.
var ErrUnsupported = errors.New("not supported")

// errEnd reports that the data end before the image is complete.
var errEnd = errors.New("the file ends early")

// maxPages limits the length of the chain of directories.
const maxPages = 100_000

// File is the chain of directories of a file.
type File struct {
	data  []byte
	order binary.ByteOrder
	big   bool
	dirs  []int64 // offsets of the pages' directories
}

// Open reads the chain of directories. Directories of reduced copies do not count as pages, unless they come
// first.
func Open(data []byte) (*File, error) {
	f := &File{data: data}
	if len(data) < 8 {
		return nil, errEnd
	}
	switch string(data[:2]) {
	case "II":
		f.order = binary.LittleEndian
	case "MM":
		f.order = binary.BigEndian
	default:
		return nil, errors.New("no TIFF header")
	}
	next := int64(0)
	switch version := f.order.Uint16(data[2:]); version {
	case 42:
		next = int64(f.order.Uint32(data[4:]))
	case 43:
		if len(data) < 16 || f.order.Uint16(data[4:]) != 8 {
			return nil, errors.New("BigTIFF header: expected offsets of 8 bytes")
		}
		f.big = true
		next = int64(f.order.Uint64(data[8:]))
	default:
		return nil, fmt.Errorf("TIFF of version %d: %w", version, ErrUnsupported)
	}
	seen := map[int64]bool{}
	for next != 0 && len(f.dirs) < maxPages {
		if seen[next] {
			break // a loop; all directories have been seen
		}
		seen[next] = true
		n, first, err := f.directory(next)
		if err != nil {
			if len(f.dirs) > 0 {
				break // the pages before it are complete
			}
			return nil, err
		}
		if len(f.dirs) == 0 || !f.reduced(first, n) {
			f.dirs = append(f.dirs, next)
		}
		next = f.pointer(first + n*f.entry())
	}
	if len(f.dirs) == 0 {
		return nil, errors.New("no directory")
	}
	return f, nil
}

// Pages returns the number of pages, at least 1.
func (f *File) Pages() int { return len(f.dirs) }

// entry returns the size of a directory entry.
func (f *File) entry() int64 {
	if f.big {
		return 20
	}
	return 12
}

// directory returns the number of entries of the directory at an offset, and the offset of the first.
func (f *File) directory(at int64) (n, first int64, err error) {
	size := int64(len(f.data))
	head := int64(2)
	if f.big {
		head = 8
	}
	if at < 0 || at > size-head {
		return 0, 0, fmt.Errorf("directory at %d: %w", at, errEnd)
	}
	if f.big {
		n = int64(min(f.order.Uint64(f.data[at:]), math.MaxInt32))
	} else {
		n = int64(f.order.Uint16(f.data[at:]))
	}
	first = at + head
	if n > (size-first)/f.entry() {
		return 0, 0, fmt.Errorf("directory at %d of %d entries: %w", at, n, errEnd)
	}
	return n, first, nil
}

// pointer returns the offset stored at a position, or 0 if there is none.
func (f *File) pointer(at int64) int64 {
	switch {
	case f.big && at+8 <= int64(len(f.data)):
		return int64(f.order.Uint64(f.data[at:]))
	case !f.big && at+4 <= int64(len(f.data)):
		return int64(f.order.Uint32(f.data[at:]))
	}
	return 0
}

// reduced reports whether a directory is that of a reduced copy. Its tag has the smallest number.
func (f *File) reduced(first, n int64) bool {
	for i := range min(n, 4) {
		e := f.data[first+i*f.entry():]
		if f.order.Uint16(e) != tagSubfile {
			continue
		}
		at := 8
		if f.big {
			at = 12
		}
		return f.order.Uint16(e[2:]) == 4 && f.order.Uint32(e[at:])&1 != 0
	}
	return false
}

// The tags that are read here (TIFF 6.0, section 8 and later).
const (
	tagSubfile          = 254
	tagWidth            = 256
	tagHeight           = 257
	tagBits             = 258
	tagCompression      = 259
	tagPhotometric      = 262
	tagFillOrder        = 266
	tagOffsets          = 273
	tagOrientation      = 274
	tagSamples          = 277
	tagRowsPerStrip     = 278
	tagCounts           = 279
	tagPlanar           = 284
	tagT4               = 292
	tagPredictor        = 317
	tagColours          = 320
	tagTileWidth        = 322
	tagTileHeight       = 323
	tagTileOffsets      = 324
	tagTileCounts       = 325
	tagInkSet           = 332
	tagExtra            = 338
	tagFormat           = 339
	tagJPEGTables       = 347
	tagYCbCrCoeffs      = 529
	tagYCbCrSampling    = 530
	tagReferenceBlackWh = 532
	tagXMP              = 700
)

// field is the value of a tag: count numbers of one type.
type field struct {
	kind  uint16
	count int
	raw   []byte
}

// sizes lists the bytes of a number by type.
var sizes = [19]int64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

// fields reads the directory at an offset. If a tag occurs repeatedly, the first entry counts.
func (f *File) fields(at int64) (map[uint16]field, error) {
	n, first, err := f.directory(at)
	if err != nil {
		return nil, err
	}
	out := make(map[uint16]field, min(n, 64))
	for i := range n {
		e := f.data[first+i*f.entry():][:f.entry()]
		tag, kind := f.order.Uint16(e), f.order.Uint16(e[2:])
		if _, twice := out[tag]; twice || int(kind) >= len(sizes) || sizes[kind] == 0 {
			continue
		}
		count, value := uint64(f.order.Uint32(e[4:])), e[8:]
		if f.big {
			count, value = f.order.Uint64(e[4:]), e[12:]
		}
		if count > uint64(len(f.data)) {
			return nil, fmt.Errorf("tag %d of %d numbers: %w", tag, count, errEnd)
		}
		size := int64(count) * sizes[kind]
		if size <= int64(len(value)) {
			out[tag] = field{kind, int(count), value[:size]}
			continue
		}
		off := f.pointer(first + i*f.entry() + f.entry() - int64(len(value)))
		if off < 0 || off > int64(len(f.data)) || size > int64(len(f.data))-off {
			if !needed(tag) {
				continue
			}
			return nil, fmt.Errorf("tag %d of %d numbers at %d: %w", tag, count, off, errEnd)
		}
		out[tag] = field{kind, int(count), f.data[off : off+size]}
	}
	return out, nil
}

// needed reports whether pixels depend on a tag.
func needed(tag uint16) bool {
	return tag >= tagWidth && tag <= tagReferenceBlackWh
}

// number returns number i of a field of integers.
func (f *File) number(v field, i int) (int64, bool) {
	if i >= v.count {
		return 0, false
	}
	switch v.kind {
	case 1, 7:
		return int64(v.raw[i]), true
	case 6:
		return int64(int8(v.raw[i])), true
	case 3:
		return int64(f.order.Uint16(v.raw[2*i:])), true
	case 8:
		return int64(int16(f.order.Uint16(v.raw[2*i:]))), true
	case 4, 13:
		return int64(f.order.Uint32(v.raw[4*i:])), true
	case 9:
		return int64(int32(f.order.Uint32(v.raw[4*i:]))), true
	case 16, 17, 18:
		n := f.order.Uint64(v.raw[8*i:])
		return int64(min(n, math.MaxInt64)), true
	}
	return 0, false
}

// fraction returns number i of a field of fractions or floating-point numbers.
func (f *File) fraction(v field, i int) (float64, bool) {
	if i >= v.count {
		return 0, false
	}
	switch v.kind {
	case 5:
		n, d := f.order.Uint32(v.raw[8*i:]), f.order.Uint32(v.raw[8*i+4:])
		return float64(n) / float64(d), d != 0
	case 11:
		return float64(math.Float32frombits(f.order.Uint32(v.raw[4*i:]))), true
	case 12:
		return math.Float64frombits(f.order.Uint64(v.raw[8*i:])), true
	}
	n, ok := f.number(v, i)
	return float64(n), ok
}
