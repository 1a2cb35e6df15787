package tiff

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// errCorrupt reports invalid compressed data.
var errCorrupt = errors.New("corrupt data")

// decompress decompresses data into dst, which holds rows rows.
func (p *Page) decompress(dst, data []byte, rows int, goOn func() error) error {
	switch p.compression {
	case plain:
		if copy(dst, data) < len(dst) {
			return errEnd
		}
		return nil
	case packBits:
		return unpackBits(dst, data)
	case lzw:
		return unLZW(dst, data)
	case deflate, deflateOld:
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return ended(err)
		}
		defer z.Close()
		return readAll(dst, z, goOn)
	case zstandard:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return ended(err)
		}
		defer z.Close()
		return readAll(dst, z, goOn)
	}
	return p.unfax(dst, data, rows, goOn)
}

// piece is the number of bytes decompressed between two checks for cancellation.
const piece = 1 << 20

func readAll(dst []byte, r io.Reader, goOn func() error) error {
	for len(dst) > 0 {
		if err := goOn(); err != nil {
			return err
		}
		n := min(piece, len(dst))
		if _, err := io.ReadFull(r, dst[:n]); err != nil {
			return ended(err)
		}
		dst = dst[n:]
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnd
	}
	return err
}

// unpackBits implements section 9 of TIFF 6.0.
func unpackBits(dst, data []byte) error {
	for len(dst) > 0 {
		if len(data) == 0 {
			return errEnd
		}
		n := int(int8(data[0]))
		data = data[1:]
		switch {
		case n >= 0:
			k := min(n+1, len(dst))
			if len(data) < k {
				return errEnd
			}
			copy(dst, data[:k])
			dst, data = dst[k:], data[min(n+1, len(data)):]
		case n > -128:
			if len(data) == 0 {
				return errEnd
			}
			k := min(1-n, len(dst))
			for i := range k {
				dst[i] = data[0]
			}
			dst, data = dst[k:], data[1:]
		}
	}
	return nil
}

const (
	lzwClear = 256
	lzwEnd   = 257
	lzwFirst = 258
	lzwMost  = 4096
)

// unLZW implements section 13 of TIFF 6.0: codes start with their highest bit, and code width grows one entry
// early. Old files use the opposite conventions; their initial clear code shows it.
func unLZW(dst, data []byte) error {
	old := len(data) >= 2 && data[0] == 0 && data[1]&1 != 0
	early := 1
	if old {
		early = 0
	}
	var prefix [lzwMost]uint16
	var suffix, first [lzwMost]byte
	var length [lzwMost]uint16
	for i := range 256 {
		suffix[i], first[i], length[i] = byte(i), byte(i), 1
	}
	next, width, previous := lzwFirst, 9, -1
	acc, have, pos, out := uint64(0), 0, 0, 0
	for out < len(dst) {
		for have < width {
			if pos >= len(data) {
				return errEnd
			}
			if old {
				acc |= uint64(data[pos]) << have
			} else {
				acc = acc<<8 | uint64(data[pos])
			}
			pos++
			have += 8
		}
		var code int
		if old {
			code = int(acc & (1<<width - 1))
			acc >>= width
		} else {
			code = int(acc >> (have - width) & (1<<width - 1))
		}
		have -= width
		if code == lzwClear {
			next, width, previous = lzwFirst, 9, -1
			continue
		}
		if code == lzwEnd {
			return errEnd
		}
		if code > next || code == next && previous < 0 || code >= lzwFirst && previous < 0 {
			return errCorrupt
		}
		if previous >= 0 && next < lzwMost {
			prefix[next], first[next], length[next] = uint16(previous), first[previous], length[previous]+1
			suffix[next] = first[previous]
			if code < next {
				suffix[next] = first[code]
			}
			next++
			if next+early >= 1<<width && width < 12 {
				width++
			}
		} else if code >= next {
			return errCorrupt
		}
		n := int(length[code])
		c := code
		for i := out + n - 1; i >= out; i-- {
			if i < len(dst) {
				dst[i] = suffix[c]
			}
			c = int(prefix[c])
		}
		out += n
		previous = code
	}
	return nil
}
