package jpegls

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors of pictures that are JPEG-LS, but use what is not read.
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
	Components    int
	Precision     int      // bits of a sample
	Near          int      // greatest error of a sample that the encoder allowed; 0: lossless
	Samples       []uint16 // row by row, pixel by pixel, Width*Height*Components
}

// decoder walks over the markers of one picture.
type decoder struct {
	data    []byte
	pos     int
	lim     Limits
	img     *Image
	ids     []byte
	seen    []bool
	preset  preset
	restart int
}

// preset are the coding parameters of an LSE segment, 0 where the default holds.
type preset struct{ maxval, t1, t2, t3, reset int }

// Decode decodes a picture. Its errors wrap [ErrUnsupported] or [ErrTruncated], or say what is wrong where.
func Decode(data []byte, lim Limits) (*Image, error) {
	if lim.MaxSamples <= 0 {
		lim.MaxSamples = 1 << 28
	}
	d := &decoder{data: data, lim: lim, img: &Image{}}
	if err := d.run(); err != nil {
		return nil, fmt.Errorf("jpegls: %w", err)
	}
	return d.img, nil
}

func (d *decoder) run() error {
	if len(d.data) < 4 || d.data[0] != 0xFF || d.data[1] != 0xD8 {
		return errors.New("no start of image: expected FF D8")
	}
	d.pos = 2
	for !d.complete() {
		for d.pos+1 < len(d.data) && (d.data[d.pos] != 0xFF || d.data[d.pos+1] == 0xFF || d.data[d.pos+1] < 0x80) {
			d.pos++
		}
		if d.pos+1 >= len(d.data) {
			return fmt.Errorf("%w: no marker after byte %d", ErrTruncated, d.pos)
		}
		m := d.data[d.pos+1]
		d.pos += 2
		if m == 0xD9 {
			return fmt.Errorf("%w: end of image before all components", ErrTruncated)
		}
		if err := d.segment(m); err != nil {
			return err
		}
	}
	return nil
}

// complete reports whether every component of the frame had its scan.
func (d *decoder) complete() bool {
	for _, s := range d.seen {
		if !s {
			return false
		}
	}
	return len(d.seen) > 0
}

// segment reads one marker segment.
func (d *decoder) segment(m byte) error {
	if m == 0xD8 || m >= 0xD0 && m <= 0xD7 {
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
	case m == 0xF7:
		return d.frame(body)
	case m == 0xF8:
		return d.parameters(body)
	case m == 0xDA:
		return d.scan(body)
	case m == 0xDD:
		for _, b := range body {
			d.restart = d.restart<<8 | int(b)
		}
		if len(body) > 4 {
			return errors.New("restart interval of more than four bytes")
		}
	case m >= 0xC0 && m <= 0xCF && m != 0xC4 && m != 0xC8 && m != 0xCC:
		return errors.New("a frame of JPEG, not of JPEG-LS")
	case m == 0xE8 && len(body) >= 5 && string(body[:4]) == "mrfx" && body[4] != 0:
		return fmt.Errorf("a colour transform of the encoder's own: %w", ErrUnsupported)
	}
	return nil
}

// frame reads SOF55.
func (d *decoder) frame(b []byte) error {
	if d.seen != nil {
		return errors.New("a second frame")
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return errors.New("the frame header ends early")
	}
	img := d.img
	img.Precision, img.Height, img.Width = int(b[0]), int(b[1])<<8|int(b[2]), int(b[3])<<8|int(b[4])
	img.Components = int(b[5])
	if img.Precision < 2 || img.Precision > 16 || img.Width == 0 || img.Components < 1 || img.Components > 4 {
		return fmt.Errorf("%d x %d samples of %d components and %d bits", img.Width, img.Height, img.Components, img.Precision)
	}
	if img.Height == 0 {
		return fmt.Errorf("a height that follows elsewhere: %w", ErrUnsupported)
	}
	for i := range img.Components {
		if b[7+3*i] != 0x11 {
			return fmt.Errorf("subsampled components: %w", ErrUnsupported)
		}
		d.ids = append(d.ids, b[6+3*i])
	}
	if n := int64(img.Width) * int64(img.Height) * int64(img.Components); n > d.lim.MaxSamples {
		return fmt.Errorf("%d samples, the limit is %d", n, d.lim.MaxSamples)
	}
	d.seen = make([]bool, img.Components)
	return nil
}

// parameters reads LSE.
func (d *decoder) parameters(b []byte) error {
	if len(b) < 1 {
		return errors.New("an LSE segment without a kind")
	}
	if b[0] != 1 {
		return fmt.Errorf("an LSE segment of kind %d (mapping tables, sizes): %w", b[0], ErrUnsupported)
	}
	if len(b) < 11 {
		return errors.New("the coding parameters end early")
	}
	word := func(i int) int { return int(b[i])<<8 | int(b[i+1]) }
	d.preset = preset{word(1), word(3), word(5), word(7), word(9)}
	return nil
}

// scan reads SOS and decodes what follows.
func (d *decoder) scan(b []byte) error {
	if d.seen == nil {
		return errors.New("a scan before the frame")
	}
	if len(b) < 1 || len(b) < 4+2*int(b[0]) || b[0] < 1 || b[0] > 4 {
		return errors.New("the scan header is malformed or ends early")
	}
	n := int(b[0])
	var places []int
	for i := range n {
		at := -1
		for k, id := range d.ids {
			if id == b[1+2*i] && !d.seen[k] {
				at = k
				break
			}
		}
		if at < 0 {
			return fmt.Errorf("a scan of component %d, which the frame does not have or had before", b[1+2*i])
		}
		if b[2+2*i] != 0 {
			return fmt.Errorf("a mapping table: %w", ErrUnsupported)
		}
		d.seen[at] = true
		places = append(places, at)
	}
	near, interleave, point := int(b[1+2*n]), b[2+2*n], b[3+2*n]&15
	if point != 0 {
		return fmt.Errorf("a point transform: %w", ErrUnsupported)
	}
	if interleave > 2 || interleave == 0 && n != 1 {
		return fmt.Errorf("interleave mode %d of %d components", interleave, n)
	}
	c, err := newCoder(d.preset, d.img.Precision, near)
	if err != nil {
		return err
	}
	// A bit stands for one run of at most 2^15 samples at best; far more than real pictures reach.
	if total := int64(d.img.Width) * int64(d.img.Height); total/(1<<15) > 8*int64(len(d.data)) {
		return fmt.Errorf("%w: %d bytes for %d samples", ErrTruncated, len(d.data), total)
	}
	d.img.Near = max(d.img.Near, near)
	if d.img.Samples == nil {
		d.img.Samples = make([]uint16, d.img.Width*d.img.Height*d.img.Components)
	}
	s := &scan{r: reader{data: d.data, pos: d.pos}, coder: c, img: d.img, places: places, restart: d.restart}
	if interleave == 2 && n > 1 {
		err = s.bySample()
	} else {
		err = s.byLine()
	}
	d.pos = s.r.pos
	return err
}
