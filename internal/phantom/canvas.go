package phantom

import (
	"math"
	"slices"
)

// canvas is a square picture of real numbers. Points on it are given in units of half its side around its centre:
// (-1, -1) is the top left corner and (1, 1) the bottom right one; y points down.
type canvas struct {
	n int
	v []float64 // n rows of n
}

func newCanvas(n int) *canvas { return &canvas{n: n, v: make([]float64, n*n)} }

func (c *canvas) copy() *canvas { return &canvas{n: c.n, v: slices.Clone(c.v)} }

// plain is a change of density that shows.
const plain = 0.05

// changed returns the pixels that have changed plainly since an earlier copy.
func (c *canvas) changed(before *canvas) []bool {
	pixels := make([]bool, len(c.v))
	for i, v := range c.v {
		pixels[i] = math.Abs(v-before.v[i]) > plain
	}
	return pixels
}

// at is the coordinate of the centre of row or column i.
func (c *canvas) at(i int) float64 { return (float64(i)+0.5)*2/float64(c.n) - 1 }

// pixel is the size of a pixel in the canvas's units.
func (c *canvas) pixel() float64 { return 2 / float64(c.n) }

// span is the range of rows or columns whose centres lie in [low, high].
func (c *canvas) span(low, high float64) (from, to int) {
	half := float64(c.n) / 2
	from = int(math.Ceil((clamp(low, -2, 2)+1)*half - 0.5))
	to = int(math.Floor((clamp(high, -2, 2)+1)*half-0.5)) + 1
	return min(max(from, 0), c.n), min(max(to, 0), c.n)
}

// each calls f for every pixel in a rectangle and keeps what it returns.
func (c *canvas) each(x0, y0, x1, y1 float64, f func(x, y, v float64) float64) {
	i0, i1 := c.span(y0, y1)
	j0, j1 := c.span(x0, x1)
	for i := i0; i < i1; i++ {
		y := c.at(i)
		row := c.v[i*c.n : (i+1)*c.n]
		for j := j0; j < j1; j++ {
			row[j] = f(c.at(j), y, row[j])
		}
	}
}

// all is each for the whole canvas.
func (c *canvas) all(f func(x, y, v float64) float64) { c.each(-1, -1, 1, 1, f) }

// point is a place on a canvas.
type point struct{ x, y float64 }

// ellipse is a place, two radii, and an angle of the first radius against the x axis.
type ellipse struct {
	point
	a, b  float64
	angle float64
}

// radius returns a function of a point that is 0 at the centre, 1 on the rim and grows linearly outwards.
func (e ellipse) radius() func(x, y float64) float64 {
	sin, cos := math.Sincos(e.angle)
	return func(x, y float64) float64 {
		dx, dy := x-e.x, y-e.y
		u, w := (dx*cos+dy*sin)/e.a, (dy*cos-dx*sin)/e.b
		return math.Sqrt(u*u + w*w)
	}
}

// reach is a radius of a circle that holds the ellipse.
func (e ellipse) reach() float64 { return max(e.a, e.b) }

// blot adds a soft hump of a given height: full at the centre, nothing at the rim.
func (c *canvas) blot(e ellipse, height float64) { c.blotWhere(e, height, nil) }

// blotWhere is blot times a weight of each point; nil is 1.
func (c *canvas) blotWhere(e ellipse, height float64, weight func(x, y float64) float64) {
	d, r := e.radius(), e.reach()
	c.each(e.x-r, e.y-r, e.x+r, e.y+r, func(x, y, v float64) float64 {
		h := height * hump(d(x, y))
		if h != 0 && weight != nil {
			h *= weight(x, y)
		}
		return v + h
	})
}

// disc adds a plateau of a given height with a rim that is soft over a share of the radius.
func (c *canvas) disc(e ellipse, height, soft float64) { c.discWhere(e, height, soft, nil) }

// discWhere is disc times a weight of each point; nil is 1.
func (c *canvas) discWhere(e ellipse, height, soft float64, weight func(x, y float64) float64) {
	d, r := e.radius(), e.reach()*(1+soft)
	c.each(e.x-r, e.y-r, e.x+r, e.y+r, func(x, y, v float64) float64 {
		h := height * fall(d(x, y), 1-soft, 1+soft)
		if h != 0 && weight != nil {
			h *= weight(x, y)
		}
		return v + h
	})
}

// stroke adds a tapering line with a soft edge through points: w0 and w1 are its half widths at the ends.
func (c *canvas) stroke(path []point, w0, w1, height float64) {
	n := float64(len(path) - 1)
	for k := 1; k < len(path); k++ {
		a, b := path[k-1], path[k]
		from := w0 + (w1-w0)*float64(k-1)/n
		to := w0 + (w1-w0)*float64(k)/n
		c.segment(a, b, from, to, height)
	}
}

// segment adds one straight piece: crosswise a hump, lengthwise even, ending where the next one begins.
func (c *canvas) segment(a, b point, w0, w1, height float64) {
	w := max(w0, w1, 0.6*c.pixel())
	dx, dy := b.x-a.x, b.y-a.y
	long := dx*dx + dy*dy
	if long == 0 {
		return
	}
	c.each(min(a.x, b.x)-w, min(a.y, b.y)-w, max(a.x, b.x)+w, max(a.y, b.y)+w, func(x, y, v float64) float64 {
		t := ((x-a.x)*dx + (y-a.y)*dy) / long
		if t < 0 || t >= 1 {
			return v
		}
		ex, ey := x-a.x-t*dx, y-a.y-t*dy
		half := w0 + (w1-w0)*t
		thin := 1.0 // a line below a pixel's width is fainter, not thinner
		if least := 0.9 * c.pixel(); half < least {
			thin, half = half/least, least
		}
		return v + height*thin*hump(math.Sqrt(ex*ex+ey*ey)/half)
	})
}

// wander is a path of n steps from a start in a direction (radians) that changes at random.
func wander(r *random, from point, angle, step, turn float64, n int) []point {
	path := []point{from}
	for range n {
		angle += turn * r.normal()
		sin, cos := math.Sincos(angle)
		from = point{from.x + step*cos, from.y + step*sin}
		path = append(path, from)
	}
	return path
}

// blur is one pass of a binomial filter of 1 2 1 both ways, mixed in by a share.
func (c *canvas) blur(share float64) {
	n := c.n
	side := share / 4
	for i := range n {
		row := c.v[i*n : (i+1)*n]
		before := row[0]
		for j, v := range row {
			row[j] += side * (before + row[min(j+1, n-1)] - 2*v)
			before = v
		}
	}
	above := slices.Clone(c.v[:n])
	for i := range n {
		row, below := c.v[i*n:(i+1)*n], c.v[min(i+1, n-1)*n:]
		for j, v := range row {
			row[j] += side * (above[j] + below[j] - 2*v)
			above[j] = v
		}
	}
}

// hump falls from 1 at 0 to 0 at 1, smoothly at both ends.
func hump(d float64) float64 {
	if d >= 1 {
		return 0
	}
	t := 1 - d*d
	return t * t
}

// rise goes smoothly from 0 at low to 1 at high.
func rise(x, low, high float64) float64 {
	if x <= low {
		return 0
	}
	if x >= high {
		return 1
	}
	t := (x - low) / (high - low)
	return t * t * (3 - 2*t)
}

// fall goes smoothly from 1 at low to 0 at high.
func fall(x, low, high float64) float64 { return 1 - rise(x, low, high) }

func clamp(x, low, high float64) float64 {
	if x < low {
		return low
	}
	if x > high {
		return high
	}
	return x
}

// mix is a at 0 and b at 1.
func mix(a, b, t float64) float64 { return a + (b-a)*t }
