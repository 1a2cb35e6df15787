package formula

import "math"

// The kinds of fields.
const (
	smooth  = iota // noise with decreasing octaves
	ridged         // folded noise
	banded         // level lines of noise
	warped         // noise warped by noise
	wavy           // a few plane waves
	grainy         // speckle
	leaves         // dead leaves
	cells          // round cells with nuclei
	fractal        // an iterated function system
	strokes        // nested radial contours
	vessels        // branching lines
	organs         // soft ellipses
	fieldKinds
)

// field fills dst with values from 0 to 1.
func (d *Drawer) field(dst plane, kind int) {
	switch kind {
	case smooth:
		d.noise(dst)
	case ridged:
		d.noise(dst)
		for i, v := range dst {
			dst[i] = abs(2*v - 1)
		}
	case banded:
		d.noise(dst)
		f := d.between(1.5, 8)
		for i, v := range dst {
			dst[i] = 0.5 + 0.5*float32(fastCos(2*math.Pi*f*float64(v)))
		}
	case warped:
		d.warp(dst)
	case wavy:
		d.planeWaves(dst)
	case grainy:
		d.speckle(dst)
	case leaves:
		d.deadLeaves(dst)
	case cells:
		d.cells(dst)
	case fractal:
		d.fractal(dst)
	case strokes:
		d.strokes(dst)
	case vessels:
		d.vessels(dst)
	default:
		d.organs(dst)
	}
}

// noise is a sum of random grids, each twice as fine as the previous one and weaker, rescaled to [0, 1].
func (d *Drawer) noise(dst plane) {
	clear(dst)
	base := math.Exp(d.between(0, 2.8)) // 1 to 16 cells per side
	aspect := 1.0
	if d.chance(0.3) {
		aspect = math.Exp(d.between(-1.5, 1.5))
	}
	keep := d.between(0.35, 0.85)
	amp := 1.0
	for fx, fy := base*aspect, base/aspect; amp > 0.05 && max(fx, fy) < float64(d.side); fx, fy, amp = 2*fx, 2*fy, amp*keep {
		d.grid(dst, max(fx, 0.5), max(fy, 0.5), float32(amp))
	}
	stretch(dst)
}

// grid adds a random grid of fx x fy cells with smooth interpolation.
func (d *Drawer) grid(dst plane, fx, fy float64, amp float32) {
	nx, ny := int(fx)+3, int(fy)+3
	knots := d.temp[0][:0]
	for range nx * ny {
		knots = append(knots, amp*d.rng.Float32())
	}
	ox, oy := d.rng.Float64(), d.rng.Float64()
	at, part := make([]int, d.side), make([]float32, d.side)
	for x := range d.side {
		at[x], part[x] = cell(float64(x)/float64(d.side)*fx + ox)
	}
	for y := range d.side {
		j, b := cell(float64(y)/float64(d.side)*fy + oy)
		upper, lower := knots[j*nx:(j+1)*nx], knots[(j+1)*nx:(j+2)*nx]
		row := dst[y*d.side:][:d.side]
		for x := range row {
			i, a := at[x], part[x]
			u := upper[i] + a*(upper[i+1]-upper[i])
			l := lower[i] + a*(lower[i+1]-lower[i])
			row[x] += u + b*(l-u)
		}
	}
}

// cell returns the index of the cell that contains t, and the smoothed position within it, with slope 0 at both
// ends.
func cell(t float64) (int, float32) {
	i := int(t)
	a := float32(t - float64(i))
	return i, a * a * (3 - 2*a)
}

// stretch rescales the values of p to [0, 1].
func stretch(p plane) {
	low, high := p[0], p[0]
	for _, v := range p {
		low, high = min(low, v), max(high, v)
	}
	s := 1 / max(high-low, 1e-6)
	for i, v := range p {
		p[i] = (v - low) * s
	}
}
