// Package rle decodes DICOM's RLE Lossless frames (PS3.5, annex G): byte planes, each run-length coded as in TIFF's
// PackBits.
package rle

import (
	"encoding/binary"
	"fmt"
)

// headerSize is the size of the number of segments and fifteen offsets, 32 bits each.
const headerSize = 64

// Decode decodes one frame of n pixels with width bytes per sample. It returns samples*width planes of n bytes
// each, one after the other; for each sample the most significant byte comes first. If a pixel takes less than
// a byte (width 0), each plane has (n+7)/8 bytes.
//
// The error says what is wrong with the frame's header or a segment. No more memory is allocated than for the
// result.
func Decode(frame []byte, n, samples, width int) ([]byte, error) {
	size := n
	if width == 0 {
		size, width = (n+7)/8, 1
	}
	planes := samples * width
	offsets, err := segments(frame, planes)
	if err != nil {
		return nil, err
	}
	// A segment expands two bytes to at most 128.
	if int64(size)*int64(planes) > 64*int64(len(frame)) {
		return nil, fmt.Errorf("rle: %d bytes cannot hold %d planes of %d bytes", len(frame), planes, size)
	}
	out := make([]byte, size*planes)
	for i := range planes {
		segment := frame[offsets[i]:offsets[i+1]]
		if got := unpack(out[i*size:(i+1)*size], segment); got < size {
			return nil, fmt.Errorf("rle: segment %d of %d ends early: %d bytes of %d", i+1, planes, got, size)
		}
	}
	return out, nil
}

// segments reads the header and returns the start of each segment, and the end of the frame.
func segments(frame []byte, want int) ([]int, error) {
	if len(frame) < headerSize {
		return nil, fmt.Errorf("rle: frame of %d bytes, its header alone has %d", len(frame), headerSize)
	}
	n := binary.LittleEndian.Uint32(frame)
	if int64(n) != int64(want) {
		return nil, fmt.Errorf("rle: %d segments, expected %d", n, want)
	}
	if want > 15 {
		return nil, fmt.Errorf("rle: %d segments, a header has room for 15", want)
	}
	offsets := make([]int, 0, want+1)
	last := headerSize
	for i := range want {
		o := binary.LittleEndian.Uint32(frame[4+4*i:])
		if int64(o) < int64(last) || int64(o) > int64(len(frame)) {
			return nil, fmt.Errorf("rle: segment %d begins at byte %d, expected %d to %d", i+1, o, last, len(frame))
		}
		last = int(o)
		offsets = append(offsets, last)
	}
	return append(offsets, len(frame)), nil
}

// unpack expands a segment into out and returns the number of bytes written. Remaining bytes of the segment are
// padding.
func unpack(out, segment []byte) int {
	n := 0
	for i := 0; i < len(segment) && n < len(out); {
		c := int8(segment[i])
		i++
		switch {
		case c >= 0: // the next c + 1 bytes, unchanged
			end := min(i+int(c)+1, len(segment))
			n += copy(out[n:], segment[i:end])
			i = end
		case c != -128: // the next byte, 1 - c times
			if i == len(segment) {
				return n
			}
			end := min(n+1-int(c), len(out))
			for b := segment[i]; n < end; n++ {
				out[n] = b
			}
			i++
		}
	}
	return n
}
