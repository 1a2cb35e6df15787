package jpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Plane holds the samples of one component, W x H of them, rows Stride apart. Samples beyond W or H fill up blocks.
type Plane struct {
	Pix          []uint8
	Stride, W, H int
}

// Image is a decoded image: its header, and a plane for each component.
type Image struct {
	Header
	Planes []Plane
	// Damaged counts restart intervals that could not be decoded whole, at most one: their rest is grey, as with
	// libjpeg.
	Damaged int
	// Extra counts bytes that were left over behind the last unit of a scan: where there are some, others may have been lost.
	Extra int
}

// Options says how to decode.
type Options struct {
	// Tables is a stream that only defines tables, for images without their own (TIFF's JPEGTables).
	Tables []byte
	// GoOn is asked once for each row of blocks; its error ends decoding. Nil never does.
	GoOn func() error
}

// maxDamaged is the number of restart intervals that may be damaged before an image is refused.
const maxDamaged = 1

// decoder is the state between segments.
type decoder struct {
	Image
	opt      Options
	m        markers
	quant    [4]*[64]int32 // in natural order
	used     [maxComponents]*[64]int32
	huff     [2][4]*huffman // DC, AC
	interval int            // MCUs between restart markers, 0 for none
	coded    [maxComponents]bool

	coeffs [maxComponents][]int16 // of progressive images, blocks of 64 in natural order
	// missing[i][k] is the number of low bits of coefficient k (in zigzag order) that are still to come; -1 before its
	// first scan.
	missing [maxComponents][64]int8
}

// Decode decodes an image. The caller has looked at its [Header] and found the size and the cost acceptable.
func Decode(data []byte, opt Options) (*Image, error) {
	if len(data) < 2 || data[0] != 0xff || data[1] != soi {
		return nil, errors.New("no start of image")
	}
	d := &decoder{opt: opt}
	d.Adobe = -1
	if err := d.tables(); err != nil {
		return nil, err
	}
	d.m = markers{data: data, pos: 2}
	for {
		marker, body, err := d.m.next()
		if err != nil {
			return nil, err
		}
		switch marker {
		case eoi:
			return d.finish()
		case sos:
			err = d.scan(body)
		default:
			err = d.define(marker, body)
		}
		if err != nil {
			return nil, err
		}
	}
}

// tables reads the definitions that come from outside.
func (d *decoder) tables() error {
	if len(d.opt.Tables) < 2 {
		return nil
	}
	d.m = markers{data: d.opt.Tables, pos: 2}
	for {
		marker, body, err := d.m.next()
		if errors.Is(err, errEnd) || err == nil && marker == eoi {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tables: %w", err)
		}
		if marker == dqt || marker == dht || marker == dri {
			if err := d.define(marker, body); err != nil {
				return fmt.Errorf("tables: %w", err)
			}
		}
	}
}

func (d *decoder) define(marker byte, body []byte) error {
	switch marker {
	case dqt:
		return d.quantisation(body)
	case dht:
		return d.huffman(body)
	case dri:
		if len(body) < 2 {
			return errors.New("restart interval: too short")
		}
		d.interval = int(binary.BigEndian.Uint16(body))
		return nil
	case dac:
		return nil // conditioning of arithmetic coding, which the frame refuses
	}
	had := d.Components != nil
	if err := d.segment(marker, body); err != nil || had || d.Components == nil {
		return err
	}
	d.Planes = make([]Plane, len(d.Components))
	for i := range d.Components {
		across, down := d.blocks(i)
		w, h := d.PlaneSize(i)
		d.Planes[i] = Plane{Pix: make([]uint8, 64*across*down), Stride: 8 * across, W: w, H: h}
		if d.Progressive {
			d.coeffs[i] = make([]int16, 64*across*down)
			for k := range d.missing[i] {
				d.missing[i][k] = -1
			}
		}
	}
	return nil
}

// quantisation reads DQT (T.81, B.2.4.1).
func (d *decoder) quantisation(b []byte) error {
	for len(b) > 0 {
		wide, id := b[0]>>4, b[0]&15
		size := 64 << min(wide, 1)
		if wide > 1 || id > 3 || len(b) < 1+size {
			return errors.New("quantisation table: malformed")
		}
		q := &[64]int32{}
		for k := range 64 {
			if wide == 1 {
				q[natural[k]] = int32(binary.BigEndian.Uint16(b[1+2*k:]))
			} else {
				q[natural[k]] = int32(b[1+k])
			}
		}
		d.quant[id] = q
		b = b[1+size:]
	}
	return nil
}

// scanHeader is what a scan is about.
type scanHeader struct {
	comps          []int // indices of components
	dc, ac         [maxComponents]*huffman
	first, last    int // the band of coefficients, in zigzag order
	high, low      int // bits that are known already, and that stay unknown
	across, down   int // MCUs
	interleaved    bool
	sinceRestart   int
	restarts       int
	eobRun         int
	dcOf           [maxComponents]int32
	insufficient   bool // the interval's data have ended: what is left of it stays as it is
	intervalBroken bool
}

// scan reads a scan header (T.81, B.2.3) and decodes what follows.
func (d *decoder) scan(b []byte) error {
	if d.Components == nil {
		return errors.New("a scan before the frame")
	}
	if len(b) < 1 || b[0] < 1 || int(b[0]) > len(d.Components) || len(b) < 4+2*int(b[0]) {
		return errors.New("scan header: malformed")
	}
	n := int(b[0])
	s := &scanHeader{last: 63, interleaved: n > 1}
	tail := b[1+2*n:]
	if d.Progressive {
		s.first, s.last, s.high, s.low = int(tail[0]), int(tail[1]), int(tail[2]>>4), int(tail[2]&15)
		if s.first > s.last || s.last > 63 || s.first == 0 && s.last != 0 || s.first != 0 && n > 1 || s.low > 13 ||
			s.high != 0 && s.high != s.low+1 {
			return fmt.Errorf("scan header: coefficients %d to %d, bits %d to %d", s.first, s.last, s.high, s.low)
		}
	}
	units := 0
	for k := range n {
		i, err := d.componentOf(b[1+2*k], s.comps)
		if err != nil {
			return err
		}
		s.comps = append(s.comps, i)
		units += d.Components[i].H * d.Components[i].V
		if err := d.useTables(s, i, b[2+2*k]>>4, b[2+2*k]&15); err != nil {
			return err
		}
		if err := d.progress(s, i); err != nil {
			return err
		}
	}
	if s.interleaved {
		if units > 10 {
			return fmt.Errorf("scan header: %d blocks in a unit, the limit is 10", units)
		}
		s.across, s.down = d.mcus()
	} else {
		p := &d.Planes[s.comps[0]]
		s.across, s.down = ceilDiv(p.W, 8), ceilDiv(p.H, 8)
	}
	return d.decodeScan(s)
}

func (d *decoder) componentOf(id byte, taken []int) (int, error) {
	for i, c := range d.Components {
		if c.ID != id {
			continue
		}
		for _, t := range taken {
			if t == i {
				return 0, fmt.Errorf("scan header: component %d twice", id)
			}
		}
		return i, nil
	}
	return 0, fmt.Errorf("scan header: unknown component %d", id)
}

// useTables finds the tables of component i. Its quantisation table is that of its first scan.
func (d *decoder) useTables(s *scanHeader, i int, dc, ac byte) error {
	if dc > 3 || ac > 3 {
		return fmt.Errorf("scan header: Huffman tables %d and %d", dc, ac)
	}
	if d.used[i] == nil {
		q := d.quant[d.Components[i].tq]
		if q == nil {
			return fmt.Errorf("quantisation table %d is missing", d.Components[i].tq)
		}
		d.used[i] = q
	}
	d.coded[i] = true
	table := func(class int, id byte) *huffman {
		if h := d.huff[class][id]; h != nil {
			return h
		}
		return standardTable(class, id) // as in the frames of motion JPEG
	}
	if s.first == 0 && s.high == 0 {
		if s.dc[i] = table(0, dc); s.dc[i] == nil {
			return fmt.Errorf("huffman table %d for DC is missing", dc)
		}
	}
	if s.last > 0 {
		if s.ac[i] = table(1, ac); s.ac[i] == nil {
			return fmt.Errorf("huffman table %d for AC is missing", ac)
		}
	}
	return nil
}

// progress notes which bits of component i the scan brings.
func (d *decoder) progress(s *scanHeader, i int) error {
	if !d.Progressive {
		return nil
	}
	if s.first > 0 && d.missing[i][0] < 0 {
		return fmt.Errorf("component %d: the scan of its means is missing", d.Components[i].ID)
	}
	for k := s.first; k <= s.last; k++ {
		d.missing[i][k] = int8(s.low)
	}
	return nil
}

// smoothed is the number of coefficients that libjpeg guesses at while their bits are missing.
const smoothed = 10

// finish makes the planes of a progressive image.
func (d *decoder) finish() (*Image, error) {
	if d.Components == nil {
		return nil, errors.New("no frame")
	}
	for i := range d.Components {
		if !d.coded[i] {
			return nil, fmt.Errorf("component %d has no data: %w", d.Components[i].ID, errEnd)
		}
		if !d.Progressive {
			continue
		}
		for k := range smoothed {
			if d.missing[i][k] != 0 {
				return nil, fmt.Errorf("the last scans are missing: %w", errEnd)
			}
		}
		if err := d.reconstruct(i); err != nil {
			return nil, err
		}
	}
	return &d.Image, nil
}

func (d *decoder) reconstruct(i int) error {
	across, _ := d.blocks(i)
	p, q := &d.Planes[i], d.used[i]
	var b [64]int32
	for by := range ceilDiv(p.H, 8) {
		if err := d.goOn(); err != nil {
			return err
		}
		for bx := range ceilDiv(p.W, 8) {
			c := (*[64]int16)(d.coeffs[i][64*(by*across+bx):])
			for k := range b {
				b[k] = int32(c[k]) * q[k]
			}
			idct(p.Pix[8*(by*p.Stride+bx):], p.Stride, &b)
		}
	}
	return nil
}

func (d *decoder) goOn() error {
	if d.opt.GoOn == nil {
		return nil
	}
	return d.opt.GoOn()
}
