package pixel

import (
	"encoding/binary"
	"fmt"
	"math"

	"melo.example/melo/dicom"
)

// View is a rendered frame: grey values from black to white, or colours.
type View struct {
	Width, Height int
	Channels      int // 1 (grey) or 3 (RGB)
	Bits          int // per sample: 8 or 16; the largest value is white
	Pix8          []uint8
	Pix16         []uint16

	// How describes how grey values were chosen: "window 40,400", "VOI LUT", "no window: range of the image".
	How string
}

// View decodes frame i, counted from 0, and renders it through the window. Colour images have no window: asking
// for one by values or by name is an error.
func (d *Description) View(i int, w Window) (*View, error) {
	f, err := d.Frame(i)
	if err != nil {
		return nil, err
	}
	v := &View{Width: d.Columns, Height: d.Rows, Channels: 1}
	switch f.Photometric {
	case Monochrome1, Monochrome2:
		return v, d.grey(v, f, i, w)
	}
	v.Channels, v.How = 3, "colour"
	if w.Mode == WindowNamed || w.Mode == WindowValues {
		return nil, errorf("a window (%s) for a colour image (%s)", w, f.Photometric)
	}
	if d.Float || d.Allocated == 64 || d.Allocated == 1 && f.Photometric != Palette {
		return nil, errorf("%s of %d bits: %w", f.Photometric, d.Allocated, ErrUnsupported)
	}
	if f.Photometric == Palette {
		return v, d.palette(v, f)
	}
	return v, d.colour(v, f)
}

// stored reads sample k of a frame as an integer: only the stored bits, with their sign.
func (d *Description) stored(data []byte, k int) int64 {
	var raw uint64
	switch d.SampleBytes() {
	case 1:
		raw = uint64(data[k])
	case 2:
		raw = uint64(binary.LittleEndian.Uint16(data[2*k:]))
	case 4:
		raw = uint64(binary.LittleEndian.Uint32(data[4*k:]))
	default:
		raw = binary.LittleEndian.Uint64(data[8*k:])
	}
	return d.value(raw)
}

// value extracts the stored bits from an allocated word.
func (d *Description) value(raw uint64) int64 {
	raw <<= 63 - d.High
	if d.Signed {
		return int64(raw) >> (64 - d.Stored)
	}
	return int64(raw >> (64 - d.Stored))
}

// measured returns a function that returns sample k after the modality LUT.
func (d *Description) measured(f *Frame, i int) (func(k int) float64, error) {
	m, err := d.modalityOf(i)
	if err != nil {
		return nil, err
	}
	if !d.Float {
		return func(k int) float64 { return m.at(d.stored(f.Data, k)) }, nil
	}
	return func(k int) float64 {
		x := 0.0
		if d.Allocated == 32 {
			x = float64(math.Float32frombits(binary.LittleEndian.Uint32(f.Data[4*k:])))
		} else {
			x = math.Float64frombits(binary.LittleEndian.Uint64(f.Data[8*k:]))
		}
		return x*m.slope + m.intercept
	}, nil
}

// Measured decodes frame i and returns its values after the modality LUT in row-major order, such as Hounsfield
// units of a CT. It returns an error for colour images.
func (d *Description) Measured(i int) ([]float64, error) {
	f, err := d.Frame(i)
	if err != nil {
		return nil, err
	}
	if f.Photometric != Monochrome1 && f.Photometric != Monochrome2 {
		return nil, errorf("%s has no measured values", f.Photometric)
	}
	at, err := d.measured(f, i)
	if err != nil {
		return nil, err
	}
	out := make([]float64, d.Rows*d.Columns)
	for k := range out {
		out[k] = at(k)
	}
	return out, nil
}

// grey fills v with grey values.
func (d *Description) grey(v *View, f *Frame, i int, w Window) error {
	at, err := d.measured(f, i)
	if err != nil {
		return err
	}
	n := d.Rows * d.Columns
	c, err := d.curveOf(w, i, func() (lo, hi float64) { return d.limitsOf(f, i, at, n) })
	if err != nil {
		return err
	}
	v.How = c.what
	inverse := d.inverse(f)
	top := 255.0
	if v.Bits = 8; d.Stored > 8 {
		v.Bits, top = 16, 65535
	}
	level := func(x float64) uint16 {
		y := c.at(x)
		if math.IsNaN(x) || math.IsNaN(y) {
			y = 0
		}
		if inverse {
			y = 1 - y
		}
		return uint16(math.Floor(y*top + 0.5))
	}
	if d.Float || d.Allocated > 16 {
		v.Pix16 = make([]uint16, n)
		v.Bits = 16
		for k := range v.Pix16 {
			v.Pix16[k] = level(at(k))
		}
		return nil
	}
	return d.greyByTable(v, f, i, level)
}

// greyByTable computes each of the at most 65,536 levels only once.
func (d *Description) greyByTable(v *View, f *Frame, i int, level func(float64) uint16) error {
	m, err := d.modalityOf(i)
	if err != nil {
		return err
	}
	var done [1 << 16]bool
	var levels [1 << 16]uint16
	n := d.Rows * d.Columns
	width := d.SampleBytes()
	if v.Bits == 8 {
		v.Pix8 = make([]uint8, n)
	} else {
		v.Pix16 = make([]uint16, n)
	}
	for k := range n {
		raw := uint16(f.Data[k*width])
		if width == 2 {
			raw |= uint16(f.Data[k*2+1]) << 8
		}
		if !done[raw] {
			done[raw], levels[raw] = true, level(m.at(d.value(uint64(raw))))
		}
		if v.Bits == 8 {
			v.Pix8[k] = uint8(levels[raw])
		} else {
			v.Pix16[k] = levels[raw]
		}
	}
	return nil
}

// inverse reports whether the lowest value is white.
func (d *Description) inverse(f *Frame) bool {
	shape := d.data.Text(dicom.PresentationLUTShape)
	if f.Photometric == Monochrome2 && shape == "INVERSE" {
		d.note("MONOCHROME2 with an inverse presentation LUT shape: shown inverted")
		return true
	}
	return f.Photometric == Monochrome1
}

// limitsOf returns the lowest and the highest measured value that is not padding.
func (d *Description) limitsOf(f *Frame, i int, at func(int) float64, n int) (lo, hi float64) {
	padding := d.padding()
	lo, hi = math.Inf(1), math.Inf(-1)
	for k := range n {
		if !d.Float && padding(d.stored(f.Data, k)) {
			continue
		}
		if x := at(k); !math.IsNaN(x) && !math.IsInf(x, 0) {
			lo, hi = min(lo, x), max(hi, x)
		}
	}
	if lo > hi {
		return 0, 0
	}
	return lo, hi
}

// padding returns a function that reports whether a stored value is padding, not a measurement (PS3.3,
// C.7.5.1.1.2).
func (d *Description) padding() func(int64) bool {
	v, err := d.data.Int(dicom.PixelPaddingValue)
	if err != nil {
		return func(int64) bool { return false }
	}
	v = d.reread(v)
	to := v
	if limit, err := d.data.Int(dicom.PixelPaddingRangeLimit); err == nil {
		to = d.reread(limit)
	}
	lo, hi := min(v, to), max(v, to)
	return func(x int64) bool { return x >= lo && x <= hi }
}

// reread gives a 16-bit number the signedness of the pixels, because some writers confuse US and SS.
func (d *Description) reread(v int64) int64 {
	if d.Signed && v > math.MaxInt16 && d.Allocated <= 16 {
		return int64(int16(v))
	}
	if !d.Signed && v < 0 {
		return int64(uint16(v))
	}
	return v
}

// colour fills v from RGB or YBR_FULL samples.
func (d *Description) colour(v *View, f *Frame) error {
	n := d.Rows * d.Columns * 3
	ybr := f.Photometric == YBRFull || f.Photometric == YBRFull422
	if f.Photometric != RGB && !ybr {
		return errorf("%s that its codec did not turn into RGB: %w", f.Photometric, ErrUnsupported)
	}
	if d.Signed {
		return errorf("signed colours: %w", ErrUnsupported)
	}
	if d.Stored <= 8 {
		v.Bits = 8
		v.Pix8 = make([]uint8, n)
		scale := 255 / float64(int(1)<<d.Stored-1)
		for k := range n {
			x := d.stored(f.Data, k)
			if d.Stored < 8 {
				x = int64(float64(x)*scale + 0.5)
			}
			v.Pix8[k] = uint8(x)
		}
		if ybr {
			toRGB(v.Pix8, 128, 255)
		}
		return nil
	}
	v.Bits = 16
	v.Pix16 = make([]uint16, n)
	top := uint64(1)<<d.Stored - 1 // at most 32 bits, so that products fit 64
	for k := range n {
		v.Pix16[k] = uint16((uint64(d.stored(f.Data, k))*65535 + top/2) / top)
	}
	if ybr {
		toRGB(v.Pix16, 1<<15, 65535)
	}
	return nil
}

// toRGB converts YBR_FULL in place (PS3.3, C.7.6.3.1.2), rounded to nearest. middle is the chroma value of
// grey.
func toRGB[T uint8 | uint16](pix []T, middle, top float64) {
	clip := func(x float64) T { return T(min(max(math.Floor(x+0.5), 0), top)) }
	for k := 0; k+2 < len(pix); k += 3 {
		y, cb, cr := float64(pix[k]), float64(pix[k+1])-middle, float64(pix[k+2])-middle
		pix[k] = clip(y + 1.402*cr)
		pix[k+1] = clip(y - (0.114*1.772/0.587)*cb - (0.299*1.402/0.587)*cr)
		pix[k+2] = clip(y + 1.772*cb)
	}
}

// Digest returns the first 16 hexadecimal digits of the SHA-256 of all decoded samples as stored, frame by
// frame and row by row, in the form of [Description.EachFrame]. Samples of more than one byte are hashed in the
// byte order of the object.
func (d *Description) Digest() (string, error) {
	return d.digest()
}

// Picture describes the view for messages.
func (v *View) Picture() string {
	return fmt.Sprintf("%d x %d, %d bits, %s", v.Width, v.Height, v.Bits, v.How)
}
