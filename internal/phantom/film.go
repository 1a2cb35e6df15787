package phantom

import (
	"image"
	"math"
)

// exposure is how density becomes grey: what differs from one machine and operator to the next.
type exposure struct {
	black, white float64 // densities that become 0 and 1
	gamma        float64
	noise        float64 // deviation at full density, of a full scale
	soft         float64 // share of a pass of blur
}

// newExposure is a usual exposure of densities between two numbers, varied.
func newExposure(r *random, black, white float64) exposure {
	span := white - black
	return exposure{
		black: black + span*r.around(0, 0.03), white: white + span*r.around(0, 0.05),
		gamma: r.around(1, 0.08), noise: r.in(0.010, 0.030), soft: r.in(0, 0.9),
	}
}

// film makes a picture of densities: dense is bright. Noise is that of counting rays: where few come through it
// is stronger.
func (e exposure) film(r *random, c *canvas) *image.Gray {
	grain := newCanvas(c.n)
	for i := range grain.v {
		grain.v[i] = r.normal()
	}
	grain.blur(0.55)
	c.blur(e.soft)
	out := image.NewGray(image.Rect(0, 0, c.n, c.n))
	for i, d := range c.v {
		v := clamp((d-e.black)/(e.white-e.black), 0, 1.08)
		v = power(v, e.gamma)
		v += e.noise * 1.6 * (0.35 + 0.65*v) * grain.v[i]
		out.Pix[i] = level(v)
	}
	return out
}

// level is a sample of eight bits.
func level(v float64) uint8 { return uint8(clamp(v, 0, 1)*255 + 0.5) }

// power is x to a power near 1, for x from 0 to about 1. It is a polynomial, because library functions differ
// between processors in the last bit: x^(1+e) = x (1 + e ln x + ...), with x ln x by its own approximation.
func power(x, p float64) float64 {
	if x <= 0 {
		return 0
	}
	// sqrt(x) is exact everywhere; between x^0.5, x and x^2 a parabola in p comes within 0.01 of x^p.
	s := math.Sqrt(x)
	return s*(p-1)*(p-2)/0.75 - x*(p-0.5)*(p-2)*2 + x*x*(p-0.5)*(p-1)/1.5
}

// glyphs are letters of lead in five rows of five dots.
var glyphs = map[byte][5]string{
	'L': {"#....", "#....", "#....", "#....", "####."},
	'R': {"###..", "#..#.", "###..", "#.#..", "#..#."},
	'P': {"###..", "#..#.", "###..", "#....", "#...."},
	'A': {".##..", "#..#.", "####.", "#..#.", "#..#."},
}

// letters puts a marker on a film, its top left corner at a place.
func letters(c *canvas, text string, at point, size, density float64) {
	dot := size / 5
	for k := range len(text) {
		for row, line := range glyphs[text[k]] {
			for col := range len(line) {
				if line[col] != '#' {
					continue
				}
				x, y := at.x+float64(col)*dot+float64(k)*size*1.1, at.y+float64(row)*dot
				c.each(x, y, x+dot, y+dot, func(_, _, v float64) float64 { return max(v, density) })
			}
		}
	}
}

// collimate darkens what the beam did not reach: up to three borders.
func collimate(r *random, c *canvas, chance float64) {
	edge := func() float64 {
		if r.chance(chance) {
			return 1 - r.in(0.01, 0.09)
		}
		return 2
	}
	left, right, top := edge(), edge(), edge()
	c.all(func(x, y, v float64) float64 {
		if x < -left || x > right || y < -top {
			return v * 0.12
		}
		return v
	})
}
