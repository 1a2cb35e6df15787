package imaging

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// bmpFile holds the headers of a BMP, and its pixel data.
type bmpFile struct {
	w, h    int
	topDown bool
	bits    int
	rle     bool
	masks   [3]uint32 // bit masks of red, green and blue in pixels of 16 and 32 bits
	palette []byte    // red, green, blue per entry
	pixels  []byte
}

// The compressions of a BMP.
const (
	bmpRGB       = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpFields    = 3
	bmpAlphaMask = 6
)

// readBMP reads Windows and OS/2 headers.
func readBMP(data []byte) (*bmpFile, error) {
	if len(data) < 26 {
		return nil, errEnd
	}
	le := binary.LittleEndian
	size := int64(le.Uint32(data[14:]))
	if size != 12 && (size < 16 || size > 1024) {
		return nil, fmt.Errorf("header of %d bytes", size)
	}
	header := make([]byte, max(size, 40)) // fields that a short header lacks are zero
	if 14+size > int64(len(data)) {
		return nil, errEnd
	}
	copy(header, data[14:14+size])
	f := &bmpFile{}
	compression, colours, entry := uint32(bmpRGB), 0, 4
	if size == 12 {
		f.w, f.h, f.bits, entry = int(le.Uint16(header[4:])), int(le.Uint16(header[6:])), int(le.Uint16(header[10:])), 3
	} else {
		w, h := int32(le.Uint32(header[4:])), int32(le.Uint32(header[8:]))
		f.w, f.h, f.topDown = int(w), int(h), h < 0
		if h < 0 {
			f.h = -int(h)
		}
		f.bits, compression, colours = int(le.Uint16(header[14:])), le.Uint32(header[16:]), int(le.Uint32(header[32:]))
	}
	if f.w < 1 || f.h < 1 {
		return nil, fmt.Errorf("%d x %d pixels", f.w, f.h)
	}
	at := 14 + int(size)
	if err := f.coding(compression, header, data, size, &at); err != nil {
		return nil, err
	}
	if f.bits <= 8 {
		if colours < 1 || colours > 1<<f.bits {
			colours = 1 << f.bits
		}
		for i := range colours {
			e := at + i*entry
			if e+3 > len(data) {
				break
			}
			f.palette = append(f.palette, data[e+2], data[e+1], data[e])
		}
	} else {
		colours = 0
	}
	start := int64(le.Uint32(data[10:]))
	if start <= int64(at) { // some programs ignore the palette here
		start = int64(at + entry*colours)
	}
	if start > int64(len(data)) {
		return nil, errEnd
	}
	f.pixels = data[start:]
	return f, nil
}

// coding reads the encoding of pixels.
func (f *bmpFile) coding(compression uint32, header, data []byte, size int64, at *int) error {
	le := binary.LittleEndian
	switch f.bits {
	case 1, 2, 4, 8, 24:
	case 16:
		f.masks = [3]uint32{0x7c00, 0x3e0, 0x1f}
	case 32:
		f.masks = [3]uint32{0xff0000, 0xff00, 0xff}
	default:
		return fmt.Errorf("BMP of %d bits a pixel is not read: save it as PNG", f.bits)
	}
	switch {
	case compression == bmpRGB:
	case compression == bmpRLE8 && f.bits == 8, compression == bmpRLE4 && f.bits == 4:
		f.rle = true
	case (compression == bmpFields || compression == bmpAlphaMask) && (f.bits == 16 || f.bits == 32 || f.bits == 24) && size != 64:
		masks := header[min(40, len(header)):]
		if size == 40 {
			n := 12
			if compression == bmpAlphaMask {
				n = 16
			}
			if *at+n > len(data) {
				return errEnd
			}
			masks = data[*at : *at+n]
			*at += n
		}
		if len(masks) < 12 {
			return errEnd
		}
		m := [3]uint32{le.Uint32(masks), le.Uint32(masks[4:]), le.Uint32(masks[8:])}
		if m != [3]uint32{} {
			f.masks = m
		}
	default:
		return fmt.Errorf("BMP with compression %d is not read: save it as PNG", compression)
	}
	return nil
}

// stride returns the length of a row in bytes.
func (f *bmpFile) stride() int64 { return (int64(f.w)*int64(f.bits) + 31) / 32 * 4 }

func inspectBMP(data []byte, _ Options) (Info, error) {
	f, err := readBMP(data)
	if err != nil {
		return Info{}, err
	}
	n := saturated(int64(f.w), int64(f.h))
	missing := f.stride() - (int64(f.w)*int64(f.bits)+7)/8 // the last row may lack its padding
	if !f.rle && int64(f.h) > (int64(len(f.pixels))+missing)/f.stride() {
		return Info{}, fmt.Errorf("%w: %d bytes for %d rows of %d", errEnd, len(f.pixels), f.h, f.stride())
	}
	return Info{W: f.w, H: f.h, Bits: 8, Pages: 1, Bytes: saturated(n, 4), Work: saturated(n, 3)}, nil
}

func decodeBMP(ctx context.Context, data []byte, _ Options) (*Image, error) {
	f, err := readBMP(data)
	if err != nil {
		return nil, err
	}
	if f.rle {
		index := make([]uint8, f.w*f.h)
		if err := f.runs(ctx, index); err != nil {
			return nil, err
		}
		return newPalette(f.palette).image(index, f.w, f.h), nil
	}
	var p *palette
	channels := 3
	if f.bits <= 8 {
		p = newPalette(f.palette)
		channels = p.channels()
	}
	dst := newImage(f.w, f.h, channels, 8)
	index := make([]uint8, f.w)
	stride := int(f.stride())
	n := channels * f.w
	for y := range f.h {
		if y%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		row := f.pixels[y*stride : min((y+1)*stride, len(f.pixels))]
		out := dst.Pix8[f.line(y)*n:][:n]
		switch {
		case f.bits == 24:
			for x := range f.w {
				out[3*x], out[3*x+1], out[3*x+2] = row[3*x+2], row[3*x+1], row[3*x]
			}
		case f.bits <= 8:
			for x := range index {
				index[x] = row[x*f.bits/8] << (x * f.bits % 8) >> (8 - f.bits)
			}
			p.look(out, index)
		default:
			f.fields(out, row)
		}
	}
	return dst, nil
}

// line returns the image row of row y in the file.
func (f *bmpFile) line(y int) int {
	if f.topDown {
		return y
	}
	return f.h - 1 - y
}

// fields extracts the colour bits of 16- or 32-bit pixels and stretches them to 8 bits, rounded down as in
// Pillow.
func (f *bmpFile) fields(out []uint8, row []byte) {
	var shift [3]int
	var top [3]uint64
	for c, m := range f.masks {
		shift[c] = bits.TrailingZeros32(m) & 31
		top[c] = max(uint64(m>>shift[c]), 1)
	}
	for x := range f.w {
		var v uint32
		if f.bits == 16 {
			v = uint32(binary.LittleEndian.Uint16(row[2*x:]))
		} else {
			v = binary.LittleEndian.Uint32(row[4*x:])
		}
		for c, m := range f.masks {
			out[3*x+c] = uint8(uint64(v&m>>shift[c]) * 255 / top[c])
		}
	}
}

// runs decodes run lengths. Skipped pixels have index 0.
func (f *bmpFile) runs(ctx context.Context, index []uint8) error {
	b := f.pixels
	x, y := 0, 0
	put := func(v uint8) {
		if x < f.w && y < f.h {
			index[f.line(y)*f.w+x] = v
		}
		x++
	}
	nibble := func(v byte, k int) uint8 {
		if f.bits == 8 {
			return v
		}
		return v >> (4 - 4*(k%2)) & 15
	}
	for y < f.h {
		if len(b) < 2 {
			if y == f.h-1 && x >= f.w {
				return nil // complete except for the end mark
			}
			return errEnd
		}
		n, v := int(b[0]), b[1]
		b = b[2:]
		switch {
		case n > 0:
			for k := range n {
				put(nibble(v, k))
			}
		case v == 0:
			x, y = 0, y+1
			if y%64 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		case v == 1:
			return nil
		case v == 2:
			if len(b) < 2 {
				return errEnd
			}
			x, y = x+int(b[0]), y+int(b[1])
			b = b[2:]
			if x > f.w {
				return errors.New("corrupt data: a run leaves its row")
			}
		default:
			size := int(v)
			if f.bits == 4 {
				size = (size + 1) / 2
			}
			if len(b) < size {
				return errEnd
			}
			for k := range int(v) {
				put(nibble(b[k*f.bits/8], k))
			}
			if x > f.w {
				return errors.New("corrupt data: a run leaves its row")
			}
			b = b[min(size+size%2, len(b)):]
		}
	}
	return nil
}
