package jpeg

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors of pictures that are JPEG, but not of a process that is read.
var ErrUnsupported = errors.New("not supported")

// ErrTruncated is wrapped by errors of pictures that end early.
var ErrTruncated = errors.New("ends early")

// Limits bounds what is decoded. A zero field means its default.
type Limits struct {
	MaxSamples int64 // width x height x components; default 1 << 28
}

// Image is a decoded picture.
type Image struct {
	Width, Height int
	Components    int      // 1 to 4
	Precision     int      // bits of a sample
	Samples       []uint16 // row by row, pixel by pixel, Width*Height*Components
	Lossless      bool

	// Transform is the colour transform that an Adobe marker states: 0 none, 1 YCbCr, 2 YCCK; -1 without the marker.
	Transform int
	// JFIF reports the marker of the file format that fixes three components to YCbCr.
	JFIF bool
	// IDs are the identifiers of the components: some encoders write 'R', 'G', 'B'.
	IDs [4]uint8
}

// component is one colour of the picture as it is coded.
type component struct {
	id            uint8
	h, v          int // sampling factors
	quant         int
	width, height int // samples
	stride        int // of plane, in samples: whole blocks
	plane         []uint16
	blocksWide    int // whole blocks with padding, interleaved scans
	blocksHigh    int
	seen          bool

	dc, ac *table // of the scan at hand
	last   int32  // DC predictor
}

// decoder walks over the markers of one picture.
type decoder struct {
	data      []byte
	pos       int
	lim       Limits
	img       *Image
	process   byte // second byte of the SOF marker
	comps     []component
	hmax      int
	vmax      int
	quant     [4]*[64]uint16
	dc, ac    [4]*table
	restart   int
	lossless  bool
	haveFrame bool
}

// Decode decodes a picture. Its errors wrap [ErrUnsupported] or [ErrTruncated], or say what is wrong where.
func Decode(data []byte, lim Limits) (*Image, error) {
	if lim.MaxSamples <= 0 {
		lim.MaxSamples = 1 << 28
	}
	d := &decoder{data: data, lim: lim, img: &Image{Transform: -1}}
	if err := d.run(); err != nil {
		return nil, fmt.Errorf("jpeg: %w", err)
	}
	d.img.Lossless = d.lossless
	if !d.lossless {
		d.assemble()
	}
	return d.img, nil
}

// run reads marker after marker until all components were decoded.
func (d *decoder) run() error {
	if len(d.data) < 4 || d.data[0] != 0xFF || d.data[1] != 0xD8 {
		return errors.New("no start of image: expected FF D8")
	}
	d.pos = 2
	for {
		m, err := d.marker()
		if err != nil {
			if d.complete() {
				return nil // the end of image is missing, nothing else
			}
			return err
		}
		if m == 0xD9 {
			if !d.complete() {
				return fmt.Errorf("%w: end of image before all components", ErrTruncated)
			}
			return nil
		}
		if err := d.segment(m); err != nil {
			return err
		}
	}
}

// complete reports whether every component of the frame had its scan.
func (d *decoder) complete() bool {
	for i := range d.comps {
		if !d.comps[i].seen {
			return false
		}
	}
	return d.haveFrame
}

// marker finds the next marker. Filling bytes and what is left of a scan lie before it.
func (d *decoder) marker() (byte, error) {
	for ; d.pos+1 < len(d.data); d.pos++ {
		if d.data[d.pos] != 0xFF {
			continue
		}
		m := d.data[d.pos+1]
		if m == 0xFF || m == 0 || m >= 0xD0 && m <= 0xD7 {
			continue
		}
		d.pos += 2
		return m, nil
	}
	return 0, fmt.Errorf("%w: no marker after byte %d", ErrTruncated, d.pos)
}

// segment reads one marker segment.
func (d *decoder) segment(m byte) error {
	if m == 0x01 || m == 0xD8 {
		return nil
	}
	if d.pos+2 > len(d.data) {
		return fmt.Errorf("%w: in marker FF %02X", ErrTruncated, m)
	}
	n := int(d.data[d.pos])<<8 | int(d.data[d.pos+1])
	if n < 2 || d.pos+n > len(d.data) {
		return fmt.Errorf("%w: marker FF %02X at byte %d says %d bytes, %d left", ErrTruncated, m, d.pos-2, n, len(d.data)-d.pos)
	}
	body := d.data[d.pos+2 : d.pos+n]
	d.pos += n
	switch {
	case m == 0xC4:
		return d.huffman(body)
	case m == 0xDB:
		return d.quantisation(body)
	case m == 0xDD:
		if len(body) < 2 {
			return errors.New("restart interval without a number")
		}
		d.restart = int(body[0])<<8 | int(body[1])
	case m == 0xDA:
		return d.scan(body)
	case m == 0xC0 || m == 0xC1 || m == 0xC3:
		return d.frame(m, body)
	case m >= 0xC2 && m <= 0xCF && m != 0xC8 && m != 0xCC:
		return fmt.Errorf("%s: %w", processes[m], ErrUnsupported)
	case m == 0xE0 && len(body) >= 5 && string(body[:5]) == "JFIF\x00":
		d.img.JFIF = true
	case m == 0xEE && len(body) >= 12 && string(body[:5]) == "Adobe":
		d.img.Transform = int(body[11])
	}
	return nil
}

// processes names what is not read, by the marker of its frame.
var processes = map[byte]string{
	0xC2: "progressive coding", 0xC5: "hierarchical coding", 0xC6: "hierarchical progressive coding",
	0xC7: "hierarchical lossless coding", 0xC9: "arithmetic coding", 0xCA: "progressive arithmetic coding",
	0xCB: "lossless arithmetic coding", 0xCD: "hierarchical arithmetic coding",
	0xCE: "hierarchical progressive arithmetic coding", 0xCF: "hierarchical lossless arithmetic coding",
}

// huffman reads DHT.
func (d *decoder) huffman(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return errors.New("a Huffman table ends early")
		}
		class, id := b[0]>>4, b[0]&15
		if class > 1 || id > 3 {
			return fmt.Errorf("a Huffman table of class %d and number %d", class, id)
		}
		var counts [16]uint8
		copy(counts[:], b[1:17])
		n := 0
		for _, c := range counts {
			n += int(c)
		}
		if n > 256 || len(b) < 17+n {
			return fmt.Errorf("a Huffman table of %d symbols ends early", n)
		}
		t, ok := newTable(counts, b[17:17+n])
		if !ok {
			return errors.New("a Huffman table has more codes than bits allow")
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		b = b[17+n:]
	}
	return nil
}

// zigzag is the place of each coefficient in its block.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// quantisation reads DQT.
func (d *decoder) quantisation(b []byte) error {
	for len(b) > 0 {
		wide, id := b[0]>>4, b[0]&15
		size := 64 * (1 + int(wide))
		if wide > 1 || id > 3 || len(b) < 1+size {
			return errors.New("a quantisation table is malformed or ends early")
		}
		t := new([64]uint16)
		for i := range 64 {
			if wide == 0 {
				t[zigzag[i]] = uint16(b[1+i])
			} else {
				t[zigzag[i]] = uint16(b[1+2*i])<<8 | uint16(b[2+2*i])
			}
		}
		d.quant[id] = t
		b = b[1+size:]
	}
	return nil
}

// frame reads SOF and makes room for the samples.
func (d *decoder) frame(m byte, b []byte) error {
	if d.haveFrame {
		return errors.New("a second frame")
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return errors.New("the frame header ends early")
	}
	d.process, d.lossless, d.haveFrame = m, m == 0xC3, true
	img := d.img
	img.Precision, img.Height, img.Width = int(b[0]), int(b[1])<<8|int(b[2]), int(b[3])<<8|int(b[4])
	img.Components = int(b[5])
	if img.Height == 0 {
		return fmt.Errorf("a number of lines that follows the picture: %w", ErrUnsupported)
	}
	if img.Width == 0 || img.Components < 1 || img.Components > 4 {
		return fmt.Errorf("%d x %d samples of %d components", img.Width, img.Height, img.Components)
	}
	if n := int64(img.Width) * int64(img.Height) * int64(img.Components); n > d.lim.MaxSamples {
		return fmt.Errorf("%d samples, the limit is %d", n, d.lim.MaxSamples)
	}
	switch {
	case d.lossless && img.Precision >= 2 && img.Precision <= 16, m == 0xC0 && img.Precision == 8,
		m == 0xC1 && (img.Precision == 8 || img.Precision == 12):
	default:
		return fmt.Errorf("%d bits a sample in process FF %02X: %w", img.Precision, m, ErrUnsupported)
	}
	d.comps = make([]component, img.Components)
	for i := range d.comps {
		c := &d.comps[i]
		c.id, c.h, c.v, c.quant = b[6+3*i], int(b[7+3*i]>>4), int(b[7+3*i]&15), int(b[8+3*i])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("component %d: sampling %d x %d, quantisation table %d", i+1, c.h, c.v, c.quant)
		}
		img.IDs[i] = c.id
		d.hmax, d.vmax = max(d.hmax, c.h), max(d.vmax, c.v)
	}
	return d.allocate()
}

// allocate makes the planes of lossy components, in whole blocks, or the samples of lossless ones.
func (d *decoder) allocate() error {
	img := d.img
	if d.lossless {
		for i := range d.comps {
			if c := &d.comps[i]; c.h != d.hmax || c.v != d.vmax {
				return fmt.Errorf("subsampled components in lossless coding: %w", ErrUnsupported)
			}
		}
		img.Samples = make([]uint16, img.Width*img.Height*img.Components)
		return nil
	}
	mcusWide, mcusHigh := ceil(img.Width, 8*d.hmax), ceil(img.Height, 8*d.vmax)
	for i := range d.comps {
		c := &d.comps[i]
		if d.hmax%c.h != 0 || d.vmax%c.v != 0 {
			return fmt.Errorf("sampling %d x %d of %d x %d: %w", c.h, c.v, d.hmax, d.vmax, ErrUnsupported)
		}
		c.width, c.height = ceil(img.Width*c.h, d.hmax), ceil(img.Height*c.v, d.vmax)
		c.blocksWide, c.blocksHigh = mcusWide*c.h, mcusHigh*c.v
		c.stride = c.blocksWide * 8
		c.plane = make([]uint16, c.stride*c.blocksHigh*8)
	}
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// scan reads SOS and decodes what follows.
func (d *decoder) scan(b []byte) error {
	if !d.haveFrame {
		return errors.New("a scan before the frame")
	}
	if len(b) < 1 || len(b) < 4+2*int(b[0]) || b[0] < 1 || b[0] > 4 {
		return errors.New("the scan header is malformed or ends early")
	}
	n := int(b[0])
	var list []*component
	for i := range n {
		c := d.find(b[1+2*i])
		if c == nil || c.seen {
			return fmt.Errorf("a scan of component %d, which the frame does not have or had before", b[1+2*i])
		}
		c.seen, c.last = true, 0
		dc, ac := b[2+2*i]>>4, b[2+2*i]&15
		if dc > 3 || ac > 3 || d.dc[dc] == nil || !d.lossless && (d.ac[ac] == nil || d.quant[c.quant] == nil) {
			return fmt.Errorf("component %d: a table that was not defined", c.id)
		}
		c.dc, c.ac = d.dc[dc], d.ac[ac]
		list = append(list, c)
	}
	start, end, approx := b[1+2*n], b[2+2*n], b[3+2*n]
	r := &bits{data: d.data, pos: d.pos}
	defer func() { d.pos = r.pos }()
	if d.lossless {
		return d.losslessScan(r, list, int(start), int(approx&15))
	}
	if start != 0 || end != 63 && end != 0 || approx != 0 {
		return fmt.Errorf("spectral selection %d to %d in sequential coding", start, end)
	}
	return d.lossyScan(r, list)
}

func (d *decoder) find(id byte) *component {
	for i := range d.comps {
		if d.comps[i].id == id && !d.comps[i].seen {
			return &d.comps[i]
		}
	}
	return nil
}

// next goes over a restart marker.
func (d *decoder) next(r *bits, count int) error {
	if r.missing() {
		return fmt.Errorf("%w: in a scan at byte %d", ErrTruncated, r.pos)
	}
	for r.pos+1 < len(r.data) && (r.data[r.pos] != 0xFF || r.data[r.pos+1] == 0xFF) {
		r.pos++
	}
	if r.pos+1 >= len(r.data) {
		return fmt.Errorf("%w: at restart %d", ErrTruncated, count)
	}
	if m := r.data[r.pos+1]; m != 0xD0+byte(count&7) {
		return fmt.Errorf("marker FF %02X at byte %d, expected restart %d", m, r.pos, count&7)
	}
	r.pos += 2
	r.align()
	return nil
}
