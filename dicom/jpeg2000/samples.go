package jpeg2000

import (
	"math"

	"melo.example/melo/dicom/jpeg2000/internal/codestream"
)

// finish undoes the colour transform of a tile and writes its samples, clipped to their range, to the image.
func (d *decoder) finish(t *codestream.Tile) {
	if t.Coding.Colour {
		a, b, c := &d.planes[0], &d.planes[1], &d.planes[2]
		switch {
		case a.float.coefs != nil:
			ict(a.float.samples, b.float.samples, c.float.samples)
		case a.wide.coefs != nil:
			rct(a.wide.samples, b.wide.samples, c.wide.samples)
		default:
			for y := range a.h {
				rct(a.out[y*a.outW:][:a.w], b.out[y*b.outW:], c.out[y*c.outW:])
			}
		}
	}
	for c := range t.Comps {
		d.planes[c].write(&d.img.Components[c])
	}
}

// rct undoes the reversible colour transform, T.800 G.2.
func rct[T int32 | int64](a, b, c []T) {
	b, c = b[:len(a)], c[:len(a)]
	for i, y := range a {
		u, v := b[i], c[i]
		g := y - (u+v)>>2
		a[i], b[i], c[i] = v+g, g, u+g
	}
}

// ict undoes the irreversible colour transform, T.800 G.3.
func ict(a, b, c []float32) {
	b, c = b[:len(a)], c[:len(a)]
	for i, y := range a {
		u, v := b[i], c[i]
		a[i] = y + float32(1.402*v)
		b[i] = y - float32(0.34413*u) - float32(0.71414*v)
		c[i] = y + float32(1.772*u)
	}
}

// write shifts the samples of a plane to their range and clips them.
func (p *plane) write(c *Component) {
	low, high := int64(0), int64(1)<<c.Precision-1
	shift := int64(1) << (c.Precision - 1)
	if c.Signed {
		low, high, shift = -shift, shift-1, 0
	}
	for y := range p.h {
		out := p.out[y*p.outW:][:p.w]
		switch {
		case p.float.coefs != nil && c.Precision <= 16:
			roundRow(out, p.float.samples[y*p.w:][:p.w], float32(low-shift), float32(high-shift), int32(shift))
		case p.float.coefs != nil:
			for x, v := range p.float.samples[y*p.w:][:p.w] {
				out[x] = int32(min(max(round(v)+shift, low), high))
			}
		case p.wide.coefs != nil && c.Precision == 32:
			// Lossless 32-bit samples cannot exceed their range. But an encoder in use (OpenJPH) treats
			// unsigned samples as signed before it shifts them. Modulo 2^32 both cases give the right result.
			for x, v := range p.wide.samples[y*p.w:][:p.w] {
				out[x] = int32(v + shift)
			}
		case p.wide.coefs != nil:
			for x, v := range p.wide.samples[y*p.w:][:p.w] {
				out[x] = int32(min(max(v+shift, low), high))
			}
		case c.Precision < 30:
			l, h, s := int32(low), int32(high), int32(shift)
			for x, v := range out {
				out[x] = min(max(v+s, l), h)
			}
		default:
			for x, v := range out {
				out[x] = int32(min(max(int64(v)+shift, low), high))
			}
		}
	}
}

// roundRow clips samples to [low, high], rounds them to nearest even, and shifts them. The bounds must be below
// 2^16, so that adding 1.5 * 2^23 leaves no fraction.
func roundRow(out []int32, in []float32, low, high float32, shift int32) {
	const magic = 3 << 22
	in = in[:len(out)]
	for x := range out {
		v := in[x]
		if !(v > low) { // true for NaN, too
			v = low
		} else if v > high {
			v = high
		}
		out[x] = int32(v+magic) - magic + shift
	}
}

// round rounds any value as roundRow does. NaN and values beyond all samples map far outside every range.
func round(v float32) int64 {
	const far = 1 << 40
	if !(v > -far) {
		return -far
	}
	if v > far {
		return far
	}
	return int64(math.RoundToEven(float64(v)))
}

// grey fills a tile without data.
func (d *decoder) grey(i int) error {
	d.img.Truncated = true
	s := d.cs.Size
	for c := range d.img.Components {
		comp := &d.img.Components[c]
		if comp.Signed {
			continue
		}
		area, bounds := s.TileArea(i, c), s.Bounds(c)
		if area.Empty() {
			continue
		}
		for y := area.Y0; y < area.Y1; y++ {
			row := comp.Samples[(y-bounds.Y0)*int64(comp.Width)+area.X0-bounds.X0:][:area.W()]
			for x := range row {
				row[x] = int32(uint32(1) << (comp.Precision - 1))
			}
		}
	}
	return nil
}
