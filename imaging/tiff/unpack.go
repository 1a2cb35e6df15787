package tiff

import (
	"encoding/binary"
	"fmt"
	"math"
)

// unpack copies the samples of the chunk in d.raw to the raster.
func (d *decoder) unpack(plane, x, y, rows int) error {
	p := d.p
	per, keep := p.Samples, d.m.N // per: samples per pixel in the chunk; keep: samples that are kept
	if p.planar {
		per, keep = 1, 1
	}
	stride := int(p.rowBytes())
	wide := p.cw * per
	for r := range rows {
		if err := d.checkRow(r); err != nil {
			return err
		}
		line := d.raw[r*stride : (r+1)*stride]
		big := p.bigEndian()
		switch p.predictor {
		case 2:
			undoDifferences(line, p.Bits, per, big)
		case 3:
			line = undoFloat(line, wide, p.Bits/8, per)
			big = true
		}
		w := min(p.cw, p.W-x)
		at := ((y+r)*p.W + x) * d.m.N
		var err error
		switch {
		case p.Bits == 8 && p.format == formatUint:
			d.bytes(d.m.Pix8[at:], line, w, per, keep, plane)
		case p.Bits <= 8 && p.format == formatUint:
			d.few(d.m.Pix8[at:], line, w, per, keep, plane)
		case p.Bits == 16 && p.format == formatUint:
			d.words(d.m.Pix16[at:], line, w, per, keep, plane, big)
		case p.Bits < 16 && p.format == formatUint:
			d.some(d.m.Pix16[at:], line, w, per, keep, plane)
		default:
			err = d.others(at, line, w, per, keep, plane, big)
		}
		if err != nil {
			return err
		}
		if p.Photometric == YCbCr && !p.planar {
			d.colours().convert(d.m.Pix8[at : at+3*w])
		}
	}
	return nil
}

// checkRow checks for cancellation from time to time.
func (d *decoder) checkRow(r int) error {
	if r%64 == 0 {
		return d.goOn()
	}
	return nil
}

func (d *decoder) bytes(dst []uint8, line []byte, w, per, keep, plane int) {
	n := d.m.N
	if per == keep && n == per {
		copy(dst[:w*n], line)
		return
	}
	for k := range w {
		for s := range keep {
			dst[k*n+plane+s] = line[k*per+s]
		}
	}
}

func (d *decoder) words(dst []uint16, line []byte, w, per, keep, plane int, big bool) {
	n := d.m.N
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	for k := range w {
		for s := range keep {
			dst[k*n+plane+s] = order.Uint16(line[2*(k*per+s):])
		}
	}
}

// few stretches samples of 1 to 7 bits to 8, unless they are indices.
func (d *decoder) few(dst []uint8, line []byte, w, per, keep, plane int) {
	n, bits := d.m.N, d.p.Bits
	var table [256]uint8
	for v := range 1 << bits {
		table[v] = uint8(v)
		if d.p.Photometric != Palette {
			table[v] = uint8((v*255 + (1<<bits-1)/2) / (1<<bits - 1))
		}
	}
	for k := range w {
		for s := range keep {
			dst[k*n+plane+s] = table[field16(line, (k*per+s)*bits, bits)]
		}
	}
}

// some stretches samples of 9 to 15 bits to 16.
func (d *decoder) some(dst []uint16, line []byte, w, per, keep, plane int) {
	n, bits := d.m.N, d.p.Bits
	top := uint32(1)<<bits - 1
	for k := range w {
		for s := range keep {
			v := field16(line, (k*per+s)*bits, bits)
			dst[k*n+plane+s] = uint16((v*65535 + top/2) / top)
		}
	}
}

// field16 returns up to 16 bits starting at a bit offset, most significant bit first.
func field16(b []byte, at, bits int) uint32 {
	v, i := uint32(0), at/8
	for k := range 3 {
		v <<= 8
		if i+k < len(b) {
			v |= uint32(b[i+k])
		}
	}
	return v >> (24 - at%8 - bits) & (1<<bits - 1)
}

// others converts signed integers, integers of more than 16 bits, and floating-point numbers.
func (d *decoder) others(at int, line []byte, w, per, keep, plane int, big bool) error {
	p, n, size := d.p, d.m.N, d.p.Bits/8
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	for k := range w {
		for s := range keep {
			b := line[(k*per+s)*size:]
			var raw uint64
			switch size {
			case 2:
				raw = uint64(order.Uint16(b))
			case 4:
				raw = uint64(order.Uint32(b))
			default:
				raw = order.Uint64(b)
			}
			v, err := p.plainNumber(raw)
			if err != nil {
				return err
			}
			d.m.Pix16[at+k*n+plane+s] = v
		}
	}
	return nil
}

// plainNumber converts a sample with the bits raw to 16 bits, or returns an error if that would require a
// choice.
func (p *Page) plainNumber(raw uint64) (uint16, error) {
	const advice = "convert it to 16 bits, with black and white of your choice"
	switch p.format {
	case formatFloat:
		v := 0.0
		switch p.Bits {
		case 16:
			v = halfFloat(uint16(raw))
		case 32:
			v = float64(math.Float32frombits(uint32(raw)))
		default:
			v = math.Float64frombits(raw)
		}
		if !(v >= 0 && v <= 1) {
			return 0, fmt.Errorf("a floating point sample of %g: only 0 to 1 are known as black to white: %w: %s", v, ErrUnsupported, advice)
		}
		return uint16(v*65535 + 0.5), nil
	case formatInt:
		v := int64(raw<<(64-p.Bits)) >> (64 - p.Bits)
		if v < 0 {
			return 0, fmt.Errorf("a signed sample of %d: nothing says which is black: %w: %s", v, ErrUnsupported, advice)
		}
		raw = uint64(v)
	}
	if raw > 65535 {
		return 0, fmt.Errorf("a sample of %d in %d bits: nothing says which is white: %w: %s", raw, p.Bits, ErrUnsupported, advice)
	}
	return uint16(raw), nil
}

// halfFloat converts an IEEE 754 binary16 number.
func halfFloat(v uint16) float64 {
	sign, exp, frac := 1.0, int(v>>10&31), float64(v&1023)
	if v>>15 != 0 {
		sign = -1
	}
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac == 0 {
			return math.Inf(int(sign))
		}
		return math.NaN()
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// undoDifferences adds to each sample the previous one of its channel (predictor 2).
func undoDifferences(line []byte, bits, per int, big bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	switch bits {
	case 8:
		for i := per; i < len(line); i++ {
			line[i] += line[i-per]
		}
	case 16:
		for i := 2 * per; i+1 < len(line); i += 2 {
			order.PutUint16(line[i:], order.Uint16(line[i:])+order.Uint16(line[i-2*per:]))
		}
	case 32:
		for i := 4 * per; i+3 < len(line); i += 4 {
			order.PutUint32(line[i:], order.Uint32(line[i:])+order.Uint32(line[i-4*per:]))
		}
	case 64:
		for i := 8 * per; i+7 < len(line); i += 8 {
			order.PutUint64(line[i:], order.Uint64(line[i:])+order.Uint64(line[i-8*per:]))
		}
	}
}

// undoFloat undoes predictor 3: bytes are differences and are grouped by significance, with the most
// significant bytes of all n numbers first. The result is big-endian.
func undoFloat(line []byte, n, size, per int) []byte {
	for i := per; i < len(line); i++ {
		line[i] += line[i-per]
	}
	out := make([]byte, len(line))
	for i := range n {
		for k := range size {
			out[i*size+k] = line[k*n+i]
		}
	}
	return out
}
