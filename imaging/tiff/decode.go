package tiff

import (
	"errors"
	"fmt"
	"math/bits"

	"melo.example/melo/imaging/jpeg"
)

// Raster holds the samples of a page, W x H pixels of N samples in row-major order.
//
// Samples of up to 8 bits are in Pix8, others in Pix16, at the full range of 8 or 16 bits: 12-bit samples and
// floating-point samples in [0, 1] are stretched. Palette indices are unchanged, and so are integers that are
// signed or have more than 16 bits; negative ones and those above 65535 are an error. YCbCr has been converted
// to RGB.
type Raster struct {
	W, H, N int
	Pix8    []uint8
	Pix16   []uint16
}

// Decode decodes the page. It calls goOn regularly and stops if that returns an error.
func (p *Page) Decode(goOn func() error) (*Raster, error) {
	m := &Raster{W: p.W, H: p.H, N: p.Kept()}
	if n := p.W * p.H * m.N; p.Bits <= 8 {
		m.Pix8 = make([]uint8, n)
	} else {
		m.Pix16 = make([]uint16, n)
	}
	d := &decoder{p: p, m: m, goOn: goOn}
	planes := 1
	if p.planar {
		planes = m.N
	}
	for plane := range planes {
		for row := range p.rows {
			for col := range p.cols {
				if err := goOn(); err != nil {
					return nil, err
				}
				i := (plane*p.rows+row)*p.cols + col
				if err := d.chunk(i, plane, col*p.cw, row*p.ch); err != nil {
					return nil, fmt.Errorf("%s %d of %d: %w", p.kind(), i+1, planes*p.rows*p.cols, err)
				}
			}
		}
	}
	if p.Photometric == YCbCr && p.planar {
		d.colours().convert(m.Pix8)
	}
	return m, nil
}

func (p *Page) kind() string {
	if p.tiled {
		return "tile"
	}
	return "strip"
}

// decoder holds the buffers that chunks share.
type decoder struct {
	p    *Page
	m    *Raster
	goOn func() error
	raw  []byte // a decompressed chunk
	turn []byte // a chunk with reversed bits
	ycc  *ycbcr
}

// chunk decodes chunk i, whose first pixel is (x, y), into the raster.
func (d *decoder) chunk(i, plane, x, y int) error {
	p := d.p
	data, err := p.chunk(i)
	if err != nil {
		return err
	}
	rows := min(p.ch, p.H-y) // rows below the image are ignored
	if p.compression == jpegs {
		return d.jpegChunk(data, plane, x, y, rows)
	}
	if p.reversed {
		d.turn = append(d.turn[:0], data...)
		for k, b := range d.turn {
			d.turn[k] = bits.Reverse8(b)
		}
		data = d.turn
	}
	size := p.chunkBytes(rows)
	if p.compression == plain && int64(len(data)) >= size {
		d.raw = data[:size:size] // only read, unless there is a predictor, which uncompressed data have not
	} else {
		if int64(cap(d.raw)) < size || p.compression == plain {
			d.raw = make([]byte, size)
		}
		d.raw = d.raw[:size]
		if err := p.decompress(d.raw, data, rows, d.goOn); err != nil {
			return err
		}
	}
	if p.subsampled() {
		return d.subsampledChunk(x, y, rows)
	}
	return d.unpack(plane, x, y, rows)
}

// jpegChunk decodes a chunk that is a JPEG.
func (d *decoder) jpegChunk(data []byte, plane, x, y, rows int) error {
	p := d.p
	h, err := jpeg.ReadHeader(data)
	if err != nil {
		return fmt.Errorf("JPEG: %w", err)
	}
	per := p.Samples
	if p.planar {
		per = 1
	}
	if h.W > p.cw || h.H > p.ch || h.W < min(p.cw, p.W-x) || h.H < rows || len(h.Components) != per {
		return fmt.Errorf("JPEG of %d x %d pixels and %d components, expected %d x %d and %d", h.W, h.H, len(h.Components), p.cw, rows, per)
	}
	const visits = 24 // the limit of package imaging for how often scans may process a sample
	if h.Visits > max(visits*h.Samples(), 1<<20) {
		return fmt.Errorf("JPEG: its %d scans go %d times over the image", h.Scans, h.Visits/h.Samples())
	}
	m, err := jpeg.Decode(data, jpeg.Options{Tables: p.jpegTables, GoOn: d.goOn})
	if err != nil {
		return fmt.Errorf("JPEG: %w", err)
	}
	if m.Damaged > 0 {
		return errors.New("JPEG: corrupt data")
	}
	space := jpeg.Raw
	if p.Photometric == YCbCr && per == 3 {
		space = jpeg.YCbCr
	}
	pix, err := m.Colours(space)
	if err != nil {
		return fmt.Errorf("JPEG: %w", err)
	}
	n := d.m.N
	for r := range rows {
		w := min(m.W, p.W-x)
		dst, src := d.m.Pix8[((y+r)*p.W+x)*n:], pix[r*m.W*per:]
		switch {
		case p.planar:
			for k := range w {
				dst[k*n+plane] = src[k]
			}
		case n == per:
			copy(dst[:w*n], src)
		default:
			for k := range w {
				copy(dst[k*n:k*n+n], src[k*per:])
			}
		}
	}
	return nil
}

// subsampledChunk converts units of h x v luma samples and two chroma samples.
func (d *decoder) subsampledChunk(x, y, rows int) error {
	p := d.p
	h, v := p.sampling[0], p.sampling[1]
	unit := h*v + 2
	across := (p.cw-1)/h + 1
	c := d.colours()
	for r := range rows {
		line := d.raw[r/v*across*unit:]
		dst := d.m.Pix8[((y+r)*p.W+x)*3:]
		for k := range min(p.cw, p.W-x) {
			u := line[k/h*unit:]
			c.rgb(dst[3*k:3*k+3], u[r%v*h+k%h], u[h*v], u[h*v+1])
		}
	}
	return nil
}

// ycbcr converts YCbCr with the coefficients in a page's tags, in libtiff's fixed point.
type ycbcr struct {
	y, crR, cbB [256]int32
	crG, cbG    [256]int32 // multiplied by 2^16
}

func (p *Page) newYCbCr() *ycbcr {
	const one = 1 << 16
	fix := func(v float64) int32 { return int32(v*one + 0.5) }
	r, b := 2-2*p.luma[0], 2-2*p.luma[2]
	r, b = min(max(r, 0), 2), min(max(b, 0), 2)
	gr, gb := min(max(r*p.luma[0]/p.luma[1], 0), 2), min(max(b*p.luma[2]/p.luma[1], 0), 2)
	code := func(c, i int, span float64) float64 {
		low, high := p.reference[2*i], p.reference[2*i+1]
		return min(max((float64(c)-low)*span/(high-low), -128*32), 128*32)
	}
	c := &ycbcr{}
	for i := range 256 {
		cb, cr := int32(code(i, 1, 127)), int32(code(i, 2, 127))
		c.y[i] = int32(code(i, 0, 255))
		c.crR[i] = (fix(r)*cr + one/2) >> 16
		c.cbB[i] = (fix(b)*cb + one/2) >> 16
		c.crG[i] = -fix(gr) * cr
		c.cbG[i] = -fix(gb)*cb + one/2
	}
	return c
}

func (c *ycbcr) rgb(dst []uint8, y, cb, cr uint8) {
	l := c.y[y]
	clip := func(v int32) uint8 { return uint8(min(max(v, 0), 255)) }
	dst[0], dst[1], dst[2] = clip(l+c.crR[cr]), clip(l+(c.cbG[cb]+c.crG[cr])>>16), clip(l+c.cbB[cb])
}

// convert converts pixels in place.
func (c *ycbcr) convert(pix []uint8) {
	for i := 0; i+2 < len(pix); i += 3 {
		c.rgb(pix[i:i+3], pix[i], pix[i+1], pix[i+2])
	}
}

// colours returns the page's conversion, computed on first use.
func (d *decoder) colours() *ycbcr {
	if d.ycc == nil {
		d.ycc = d.p.newYCbCr()
	}
	return d.ycc
}
