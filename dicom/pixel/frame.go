package pixel

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/rle"
)

// Frame holds the samples of one frame as stored: row by row, pixel by pixel, little-endian, with
// [Description.SampleBytes] bytes per sample. Subsampled chroma has been expanded to full width.
type Frame struct {
	Data        []byte
	Photometric Photometric // meaning of the samples; a codec that undoes a colour transform turns YBR_ICT into RGB
}

// Frame decodes frame i, counted from 0.
func (d *Description) Frame(i int) (*Frame, error) {
	if i < 0 || i >= d.Frames {
		return nil, errorf("frame %d, the object has %d", i+1, d.Frames)
	}
	return d.frame(i)
}

// frame decodes an existing frame.
func (d *Description) frame(i int) (*Frame, error) {
	f, err := d.decode(i)
	if err != nil {
		return nil, fmt.Errorf("pixel: frame %d of %d: %w", i+1, d.Frames, err)
	}
	if int64(len(f.Data)) != d.FrameBytes() {
		return nil, errorf("frame %d of %d: %d bytes decoded, expected %d", i+1, d.Frames, len(f.Data), d.FrameBytes())
	}
	return f, nil
}

func (d *Description) decode(i int) (*Frame, error) {
	if d.element.Fragments == nil {
		data, err := d.native(i)
		return &Frame{data, d.Photometric}, err
	}
	if d.fragments == nil {
		if err := d.divide(); err != nil {
			return nil, err
		}
	}
	encoded := bytes.Join(d.fragments[i], nil)
	if c, ok := codecs[d.Syntax]; ok {
		return c(encoded, d)
	}
	switch d.Syntax {
	case dicom.RLELossless:
		return d.fromRLE(encoded)
	case dicom.DeflatedFrames:
		return d.fromDeflate(encoded)
	case dicom.EncapsulatedNative:
		data, err := d.arrange(encoded)
		return &Frame{data, d.Photometric}, err
	}
	name := d.Syntax.Name()
	if name == "" {
		name = "unknown"
	}
	return nil, fmt.Errorf("transfer syntax %s (%s): %w", d.Syntax, name, ErrUnsupported)
}

// codec decodes one frame of a compressed transfer syntax.
type codec func(encoded []byte, d *Description) (*Frame, error)

// codecs maps transfer syntaxes to image codecs.
var codecs = map[dicom.UID]codec{
	dicom.JPEGBaseline: fromJPEG, dicom.JPEGExtended: fromJPEG, dicom.JPEGLossless: fromJPEG, dicom.JPEGLosslessSV1: fromJPEG,
	dicom.JPEGLSLossless: fromJPEGLS, dicom.JPEGLSNearLossless: fromJPEGLS,
	dicom.JPEG2000Lossless: fromJPEG2000, dicom.JPEG2000: fromJPEG2000,
	dicom.HTJ2KLossless: fromJPEG2000, dicom.HTJ2KLosslessRPCL: fromJPEG2000, dicom.HTJ2K: fromJPEG2000,
}

// native extracts a frame from uncompressed pixel data.
func (d *Description) native(i int) ([]byte, error) {
	value := d.element.Value
	if d.Allocated == 1 {
		return d.nativeBits(value, i)
	}
	size := d.nativeBytes()
	if have := int64(len(value)); have < size*int64(i+1) {
		return nil, fmt.Errorf("%w: %d bytes of pixel data, expected %d for %d frames", dicom.ErrTruncated, have, size*int64(d.Frames), d.Frames)
	}
	frame := value[size*int64(i) : size*int64(i+1)]
	if d.data.BigEndian() {
		// Bytes in two-byte words were swapped with the words, unless the element's VR says that they are
		// bytes.
		width := d.SampleBytes()
		if d.element.VR == "OW" {
			width = max(width, 2)
		}
		frame = swap(value, size*int64(i), size, width)
	}
	return d.arrange(frame)
}

// nativeBytes returns the bytes of a frame as stored, with subsampled chroma.
func (d *Description) nativeBytes() int64 {
	if d.Photometric == YBRFull422 {
		return int64(d.Rows) * int64(d.Columns) * 2 * int64(d.SampleBytes())
	}
	return d.FrameBytes()
}

// swap returns size bytes from offset at of a value that consists of big-endian numbers with width bytes. If a
// frame has an odd number of bytes, a number may extend over its ends.
func swap(value []byte, at, size int64, width int) []byte {
	out := make([]byte, size)
	if width == 1 {
		copy(out, value[at:])
		return out
	}
	for i := range size {
		from := at + i
		from += int64(width-1) - 2*(from%int64(width))
		if from < int64(len(value)) {
			out[i] = value[from]
		}
	}
	return out
}

// nativeBits unpacks single bits, starting with the lowest bit. Frames follow each other without padding.
func (d *Description) nativeBits(value []byte, i int) ([]byte, error) {
	n := int64(d.Rows) * int64(d.Columns) * int64(d.Samples)
	if have := int64(len(value)) * 8; have < n*int64(i+1) {
		return nil, fmt.Errorf("%w: %d bits of pixel data, expected %d for %d frames", dicom.ErrTruncated, have, n*int64(d.Frames), d.Frames)
	}
	if d.data.BigEndian() && d.element.VR == "OW" {
		value = swap(value, 0, int64(len(value)), 2)
	}
	return unpackBits(value, n*int64(i), n), nil
}

func unpackBits(value []byte, at, n int64) []byte {
	out := make([]byte, n)
	for k := range n {
		bit := at + k
		out[k] = value[bit/8] >> (bit % 8) & 1
	}
	return out
}

// arrange reorders the stored little-endian samples of a frame by pixel.
func (d *Description) arrange(frame []byte) ([]byte, error) {
	if d.Allocated == 1 {
		n := int64(d.Rows) * int64(d.Columns) * int64(d.Samples)
		if int64(len(frame))*8 < n {
			return nil, fmt.Errorf("%w: %d bits, expected %d", dicom.ErrTruncated, len(frame)*8, n)
		}
		return unpackBits(frame, 0, n), nil
	}
	if size := d.nativeBytes(); int64(len(frame)) < size {
		return nil, fmt.Errorf("%w: %d bytes, expected %d", dicom.ErrTruncated, len(frame), size)
	} else {
		frame = frame[:size]
	}
	width := d.SampleBytes()
	switch {
	case d.Photometric == YBRFull422:
		return widen422(frame, d.Rows*d.Columns, width)
	case d.Samples > 1 && d.Planar:
		return interleave(frame, d.Rows*d.Columns, d.Samples, width), nil
	}
	return frame, nil
}

// widen422 assigns the chroma of a pair (Y1 Y2 Cb Cr) to both pixels.
func widen422(frame []byte, pixels, width int) ([]byte, error) {
	if pixels%2 != 0 {
		return nil, fmt.Errorf("YBR_FULL_422 of %d pixels, expected an even number", pixels)
	}
	out := make([]byte, 0, pixels*3*width)
	for pair := range slices.Chunk(frame, 4*width) {
		chroma := pair[2*width:]
		out = append(append(out, pair[:width]...), chroma...)
		out = append(append(out, pair[width:2*width]...), chroma...)
	}
	return out, nil
}

// interleave converts planes to pixels.
func interleave(planes []byte, pixels, samples, width int) []byte {
	out := make([]byte, len(planes))
	for s := range samples {
		for p := range pixels {
			copy(out[(p*samples+s)*width:][:width], planes[(s*pixels+p)*width:])
		}
	}
	return out
}

// fromRLE combines the byte planes of a frame.
func (d *Description) fromRLE(encoded []byte) (*Frame, error) {
	pixels := d.Rows * d.Columns
	width := d.SampleBytes()
	if d.Allocated == 1 {
		bits, err := rle.Decode(encoded, pixels, d.Samples, 0)
		if err != nil {
			return nil, err
		}
		return &Frame{unpackBits(bits, 0, int64(pixels)), d.Photometric}, nil
	}
	planes, err := rle.Decode(encoded, pixels, d.Samples, width)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(planes))
	step := d.Samples * width
	for s := range d.Samples {
		for b := range width {
			plane := planes[(s*width+b)*pixels:][:pixels]
			at := s*width + width - 1 - b
			for p, v := range plane {
				out[p*step+at] = v
			}
		}
	}
	return &Frame{out, d.Photometric}, nil
}

// fromDeflate inflates a frame that was deflated separately (PS3.5, A.4.12).
func (d *Description) fromDeflate(encoded []byte) (*Frame, error) {
	size := d.nativeBytes()
	if d.Allocated == 1 {
		size = (int64(d.Rows)*int64(d.Columns)*int64(d.Samples) + 7) / 8
	}
	r := flate.NewReader(bytes.NewReader(encoded))
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return nil, err
	}
	data, err = d.arrange(data)
	return &Frame{data, d.Photometric}, err
}

// divide assigns fragments to frames: by the offset tables, by their number, or by their first bytes.
func (d *Description) divide() error {
	list := d.element.Fragments
	if len(list) < 2 {
		return fmt.Errorf("%w: no fragment of pixel data", dicom.ErrTruncated)
	}
	table, rest := list[0], list[1:]
	switch {
	case d.Frames == 1:
		d.fragments = [][][]byte{rest}
		return nil
	case len(rest) == d.Frames:
		for _, f := range rest {
			d.fragments = append(d.fragments, [][]byte{f})
		}
		return nil
	case len(rest) < d.Frames:
		return fmt.Errorf("%w: %d fragments for %d frames", dicom.ErrTruncated, len(rest), d.Frames)
	}
	starts := offsets(table, d.Frames)
	if starts == nil {
		starts = wideOffsets(d.data, d.Frames)
	}
	if starts != nil && d.byOffset(rest, starts) {
		return nil
	}
	return d.byBeginning(rest)
}

// offsets reads the basic offset table: a 32-bit offset per frame, relative to the first fragment's item.
func offsets(table []byte, frames int) []int64 {
	if len(table) != 4*frames {
		return nil
	}
	list := make([]int64, frames)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint32(table[4*i:]))
	}
	return list
}

// wideOffsets reads the extended offset table.
func wideOffsets(data *dicom.DataSet, frames int) []int64 {
	list, err := data.Ints(dicom.ExtendedOffsetTable)
	if err != nil {
		b := data.Bytes(dicom.ExtendedOffsetTable)
		for ; len(b) >= 8; b = b[8:] {
			list = append(list, int64(binary.LittleEndian.Uint64(b)))
		}
	}
	if len(list) != frames {
		return nil
	}
	return list
}

// byOffset divides fragments by the offsets of frames. It reports whether each offset is the start of a
// fragment.
func (d *Description) byOffset(rest [][]byte, starts []int64) bool {
	frames := make([][][]byte, 0, len(starts))
	at := int64(0)
	for _, f := range rest {
		if n := len(frames); n < len(starts) && starts[n] == at {
			frames = append(frames, nil)
		}
		if len(frames) == 0 {
			return false
		}
		frames[len(frames)-1] = append(frames[len(frames)-1], f)
		at += 8 + int64(len(f))
	}
	if len(frames) != len(starts) {
		return false
	}
	d.fragments = frames
	return true
}

// byBeginning starts a new frame at each fragment that begins like a JPEG or JPEG 2000 codestream.
func (d *Description) byBeginning(rest [][]byte) error {
	var frames [][][]byte
	for _, f := range rest {
		if bytes.HasPrefix(f, []byte{0xFF, 0xD8}) || bytes.HasPrefix(f, []byte{0xFF, 0x4F}) || len(frames) == 0 {
			frames = append(frames, nil)
		}
		frames[len(frames)-1] = append(frames[len(frames)-1], f)
	}
	if len(frames) != d.Frames {
		return fmt.Errorf("%d fragments begin %d frames, expected %d, and no offset table tells them apart", len(rest), len(frames), d.Frames)
	}
	d.fragments = frames
	return nil
}
