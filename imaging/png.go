package imaging

import (
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The colour types of a PNG.
const (
	pngGrey      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGreyAlpha = 4
	pngRGBAlpha  = 6
)

// pngFile is the content of a PNG's chunks.
type pngFile struct {
	w, h, depth, colour int
	interlaced          bool
	palette             []byte
	frames              int
	coded               [][]byte // bodies of the IDAT chunks
}

// readPNG parses the chunks (PNG specification, third edition) and verifies their checksums. If it returns an
// error it also returns what was read before.
func readPNG(data []byte) (*pngFile, error) {
	f := &pngFile{frames: 1}
	control, ended := false, false
	pos := 8
	for !ended {
		if pos+12 > len(data) {
			return f, errEnd
		}
		n := int64(binary.BigEndian.Uint32(data[pos:]))
		if n > int64(len(data)-pos-12) {
			return f, fmt.Errorf("chunk %q: %w", data[pos+4:pos+8], errEnd)
		}
		kind, body := string(data[pos+4:pos+8]), data[pos+8:pos+8+int(n)]
		sum := binary.BigEndian.Uint32(data[pos+8+int(n):])
		if crc32.ChecksumIEEE(data[pos+4:pos+8+int(n)]) != sum {
			return f, fmt.Errorf("chunk %q is damaged: its checksum differs", kind)
		}
		if (pos == 8) != (kind == "IHDR") {
			return f, errors.New("a PNG begins with one header")
		}
		pos += 12 + int(n)
		switch kind {
		case "IHDR":
			if err := f.header(body); err != nil {
				return f, err
			}
		case "PLTE":
			if n == 0 || n%3 != 0 || n > 768 || f.coded != nil {
				return f, fmt.Errorf("palette of %d bytes", n)
			}
			f.palette = body
		case "acTL":
			if n >= 8 && f.coded == nil {
				f.frames = int(min(max(binary.BigEndian.Uint32(body), 1), 1<<30))
			}
		case "fcTL":
			control = control || f.coded == nil
		case "IDAT":
			f.coded = append(f.coded, body)
		case "IEND":
			ended = true
		default:
			if kind[0]&0x20 == 0 {
				return f, fmt.Errorf("chunk %q is critical, and unknown", kind)
			}
		}
	}
	if f.coded == nil {
		return f, fmt.Errorf("no pixels: %w", errEnd)
	}
	if f.colour == pngPalette && f.palette == nil {
		return f, errors.New("no palette")
	}
	if f.frames > 1 && !control {
		f.frames++ // the still image is not part of the animation
	}
	return f, nil
}

func (f *pngFile) header(b []byte) error {
	if len(b) != 13 {
		return fmt.Errorf("header of %d bytes", len(b))
	}
	w, h := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if w < 1 || h < 1 || w > 1<<31-1 || h > 1<<31-1 {
		return fmt.Errorf("%d x %d pixels", w, h)
	}
	f.w, f.h, f.depth, f.colour, f.interlaced = int(w), int(h), int(b[8]), int(b[9]), b[12] == 1
	few := f.depth == 1 || f.depth == 2 || f.depth == 4
	ok := f.depth == 8 || f.depth == 16
	switch f.colour {
	case pngGrey:
		ok = ok || few
	case pngPalette:
		ok = f.depth == 8 || few
	case pngRGB, pngGreyAlpha, pngRGBAlpha:
	default:
		ok = false
	}
	if !ok || b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return fmt.Errorf("colour type %d of %d bits, methods %d, %d, %d", f.colour, f.depth, b[10], b[11], b[12])
	}
	return nil
}

// channels returns the samples per pixel in the file.
func (f *pngFile) channels() int {
	return [7]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngGreyAlpha: 2, pngRGBAlpha: 4}[f.colour]
}

// kept returns the channels of the decoded image.
func (f *pngFile) kept() int {
	switch f.colour {
	case pngGrey, pngGreyAlpha:
		return 1
	case pngPalette:
		return newPalette(f.palette).channels()
	}
	return 3
}

// rowBytes returns the length of a row of w pixels, without its filter byte.
func (f *pngFile) rowBytes(w int) int64 {
	return (int64(w)*int64(f.channels()*f.depth) + 7) / 8
}

// pngBuffers is the memory for inflating besides rows.
const pngBuffers = 64 << 10

func inspectPNG(data []byte, _ Options) (Info, error) {
	f, err := readPNG(data)
	if err != nil && !(errors.Is(err, errEnd) && f.w > 0) { // the limits are checked on the claimed size first
		return Info{}, err
	}
	info := Info{W: f.w, H: f.h, C: f.kept(), Bits: max(f.depth, 1), Pages: f.frames}
	if f.colour == pngPalette {
		info.Bits = 8
	}
	pixels := saturated(int64(f.w), int64(f.h))
	info.Work = saturated(pixels, int64(f.channels()))
	info.Bytes = saturated(pixels, int64(info.C)*int64(max(f.depth, 8)/8))
	info.Bytes = max(info.Bytes, info.Bytes+2*f.rowBytes(f.w)+pngBuffers)
	return info, nil
}

// segments reads the bodies of chunks one after the other.
type segments struct{ list [][]byte }

func (s *segments) next() error {
	for len(s.list) > 0 && len(s.list[0]) == 0 {
		s.list = s.list[1:]
	}
	if len(s.list) == 0 {
		return io.EOF
	}
	return nil
}

func (s *segments) Read(p []byte) (int, error) {
	if err := s.next(); err != nil {
		return 0, err
	}
	n := copy(p, s.list[0])
	s.list[0] = s.list[0][n:]
	return n, nil
}

func (s *segments) ReadByte() (byte, error) {
	if len(s.list) == 0 || len(s.list[0]) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	c := s.list[0][0]
	s.list[0] = s.list[0][1:]
	return c, nil
}

func decodePNG(ctx context.Context, data []byte, _ Options) (*Image, error) {
	f, err := readPNG(data)
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(&segments{f.coded})
	if err != nil {
		return nil, early(err)
	}
	defer z.Close()
	bits := 8
	if f.depth == 16 {
		bits = 16
	}
	d := &pngDecoder{f: f, z: z, dst: newImage(f.w, f.h, f.kept(), bits)}
	if f.colour == pngPalette {
		d.palette = newPalette(f.palette)
	}
	if err := d.passes(ctx); err != nil {
		return nil, early(err)
	}
	// The checksum of the pixels is at the end.
	if _, err := z.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return nil, early(err)
	}
	return d.dst, nil
}

func early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnd
	}
	return err
}

// pngDecoder converts rows to pixels.
type pngDecoder struct {
	f       *pngFile
	z       io.Reader
	dst     *Image
	palette *palette
	index   []uint8
}

// adam7 lists the first pixel and the steps of each pass: x, y, x step, y step.
var adam7 = [7][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

func (d *pngDecoder) passes(ctx context.Context) error {
	if !d.f.interlaced {
		return d.pass(ctx, [4]int{0, 0, 1, 1})
	}
	for _, p := range adam7 {
		if err := d.pass(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *pngDecoder) pass(ctx context.Context, p [4]int) error {
	f := d.f
	w, h := (f.w-p[0]+p[2]-1)/p[2], (f.h-p[1]+p[3]-1)/p[3]
	if w < 1 || h < 1 {
		return nil
	}
	n := int(f.rowBytes(w))
	distance := max(f.channels()*f.depth/8, 1) // distance to the previous pixel in bytes
	// Rows whose bytes are samples are read directly into the image.
	inPlace := !f.interlaced && f.depth == 8 && (f.colour == pngGrey || f.colour == pngRGB)
	previous, row := make([]byte, n), []byte(nil)
	if !inPlace {
		row = make([]byte, n)
	}
	filter := make([]byte, 1)
	for y := range h {
		if y%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if inPlace {
			row = d.dst.Pix8[y*n : (y+1)*n]
		}
		if _, err := io.ReadFull(d.z, filter); err != nil {
			return err
		}
		if _, err := io.ReadFull(d.z, row); err != nil {
			return err
		}
		if err := unfilter(filter[0], row, previous, distance); err != nil {
			return err
		}
		if inPlace {
			previous = row
			continue
		}
		d.put(row, w, p[0], p[1]+y*p[3], p[2])
		previous, row = row, previous
	}
	return nil
}

// unfilter undoes a filter (PNG specification, 9).
func unfilter(kind byte, row, above []byte, distance int) error {
	above = above[:len(row)]
	switch kind {
	case 0:
	case 1:
		for i := distance; i < len(row); i++ {
			row[i] += row[i-distance]
		}
	case 2:
		for i, v := range above {
			row[i] += v
		}
	case 3:
		for i := range min(distance, len(row)) {
			row[i] += above[i] / 2
		}
		for i := distance; i < len(row); i++ {
			row[i] += uint8((int(row[i-distance]) + int(above[i])) / 2)
		}
	case 4:
		for k := range min(distance, len(row)) {
			left, corner := 0, 0
			for i := k; i < len(row); i += distance {
				up := int(above[i])
				left = int(uint8(paeth(left, up, corner) + int(row[i])))
				row[i] = uint8(left)
				corner = up
			}
		}
	default:
		return fmt.Errorf("filter %d", kind)
	}
	return nil
}

// paeth returns the neighbour nearest to left + up - corner.
func paeth(left, up, corner int) int {
	a, b := up-corner, left-corner
	c := a + b
	a, b, c = max(a, -a), max(b, -b), max(c, -c)
	switch {
	case a <= b && a <= c:
		return left
	case b <= c:
		return up
	}
	return corner
}

// put stores w pixels of a row at (x, y), step apart.
func (d *pngDecoder) put(row []byte, w, x, y, step int) {
	f, c := d.f, d.dst.C
	at := (y*f.w + x) * c
	switch {
	case f.depth == 16:
		per := 2 * f.channels()
		for i := range w {
			for k := range c {
				d.dst.Pix16[at+k] = binary.BigEndian.Uint16(row[i*per+2*k:])
			}
			at += step * c
		}
		return
	case f.depth < 8 || f.colour == pngPalette:
		d.few(row, w, at, step)
		return
	}
	per := f.channels()
	if step == 1 && per == 4 {
		out := d.dst.Pix8[at : at+3*w]
		for len(row) >= 4 && len(out) >= 3 {
			out[0], out[1], out[2] = row[0], row[1], row[2]
			row, out = row[4:], out[3:]
		}
		return
	}
	for i := range w {
		copy(d.dst.Pix8[at:at+c], row[i*per:])
		at += step * c
	}
}

// few unpacks samples of up to 8 bits: indices, or greys, which are stretched.
func (d *pngDecoder) few(row []byte, w, at, step int) {
	depth := d.f.depth
	d.index = resized(d.index, w)
	if depth == 8 {
		copy(d.index, row)
	} else {
		for i := range d.index {
			d.index[i] = row[i*depth/8] << (i * depth % 8) >> (8 - depth)
		}
	}
	c := d.dst.C
	if d.palette != nil && step == 1 {
		d.palette.look(d.dst.Pix8[at:at+w*c], d.index)
		return
	}
	scale := 255 / (1<<depth - 1)
	for _, v := range d.index {
		if d.palette != nil {
			copy(d.dst.Pix8[at:at+c], d.palette.colours[v][:])
		} else {
			d.dst.Pix8[at] = v * uint8(scale)
		}
		at += step * c
	}
}
