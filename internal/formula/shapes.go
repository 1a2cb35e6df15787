package formula

import "math"

// outline is a closed curve around a point. Lengths are fractions of the side.
type outline struct {
	x, y, radius float64
	aspect       float64 // height / width
	rough        float64 // variation of the radius, as a fraction of it
	soft         float64 // width of the edge
	table        [angles]float32
}

// angles is the number of directions of an outline.
const angles = 256

// outline returns a random outline for one of n objects.
func (d *Drawer) outline(n int) outline {
	o := outline{x: d.between(0.2, 0.8), y: d.between(0.2, 0.8), aspect: math.Exp(d.between(-0.6, 0.6)), soft: 0.01}
	o.radius = d.between(0.06, 0.42) / math.Sqrt(float64(n))
	if d.chance(0.7) {
		o.rough = d.between(0, 0.35)
	}
	if d.chance(0.5) {
		o.soft = d.between(0.01, 0.15)
	}
	d.waves(&o)
	return o
}

// waves sets the outline's radius in each direction.
func (d *Drawer) waves(o *outline) {
	for a := range o.table {
		o.table[a] = 1
	}
	fall := d.between(0.2, 1.5) // rough outlines have strong high harmonics
	for k := 2; k < 14; k++ {
		a, phase := o.rough*d.rng.NormFloat64()*math.Pow(float64(k-1), -fall), d.between(0, 2*math.Pi)
		if a == 0 {
			continue
		}
		for i := range o.table {
			o.table[i] += float32(a * fastCos(2*math.Pi*float64(k*i)/angles+phase))
		}
	}
	for i, v := range o.table {
		o.table[i] = max(v, 0.1)
	}
}

// reach returns the outline's radius in a direction, as a fraction of its mean.
func (o *outline) reach(angle float64) float64 {
	return float64(o.table[int(angle/(2*math.Pi)*angles)&(angles-1)])
}

// fill sets dst to 1 within the outline and to 0 outside.
func (d *Drawer) fill(dst plane, o *outline) {
	s := float64(d.side)
	for y := range d.side {
		dy := ((float64(y)+0.5)/s - o.y) / o.aspect
		for x := range d.side {
			dx := (float64(x)+0.5)/s - o.x
			r := root(dx*dx + dy*dy)
			far := 1.3*o.radius*(1+3*o.rough) + o.soft
			if r > far {
				dst[y*d.side+x] = 0
				continue
			}
			edge := o.radius * float64(o.table[direction(dx, dy)])
			dst[y*d.side+x] = step(0.5 + (edge-r)/o.soft)
		}
	}
}

// direction returns the index of the angle of a vector.
func direction(x, y float64) int {
	ax, ay := math.Abs(x), math.Abs(y)
	t := min(ax, ay) / max(ax, ay, 1e-12)
	a := t * (1.0584 - 0.273*t) // approximates atan(t) within 0.004
	if ay > ax {
		a = math.Pi/2 - a
	}
	if x < 0 {
		a = math.Pi - a
	}
	if y < 0 {
		a = 2*math.Pi - a
	}
	return int(a*angles/(2*math.Pi)) & (angles - 1)
}

// spot is an ellipse.
type spot struct{ x, y, rx, ry, sin, cos float64 }

// spot returns a random ellipse of about radius r.
func (d *Drawer) spot(r float64) spot {
	k := math.Exp(d.between(-0.35, 0.35))
	s := spot{x: d.rng.Float64(), y: d.rng.Float64(), rx: r * k, ry: r / k}
	s.sin, s.cos = math.Sincos(d.between(0, math.Pi))
	return s
}

// window returns the bounds of the pixels that a spot may touch.
func (d *Drawer) window(s *spot, margin float64) (x0, x1, y0, y1 int) {
	n, r := float64(d.side), max(s.rx, s.ry)*1.42+margin
	low := func(v float64) int { return min(max(int(v), 0), d.side) }
	return low((s.x - r) * n), low((s.x+r)*n + 1), low((s.y - r) * n), low((s.y+r)*n + 1)
}

// stamp sets a spot to v, with a soft edge in pixels.
func (d *Drawer) stamp(dst plane, s *spot, v, edge float32) {
	n := float64(d.side)
	r := min(s.rx, s.ry) * n
	x0, x1, y0, y1 := d.window(s, float64(edge)/n)
	for y := y0; y < y1; y++ {
		dy := (float64(y)+0.5)/n - s.y
		for x := x0; x < x1; x++ {
			dx := (float64(x)+0.5)/n - s.x
			u, w := (dx*s.cos+dy*s.sin)/s.rx, (dy*s.cos-dx*s.sin)/s.ry
			if m := step(0.5 + (1-root(u*u+w*w))*r/float64(edge)); m > 0 {
				p := &dst[y*d.side+x]
				*p += m * (v - *p)
			}
		}
	}
}

// stampBox sets a rotated rectangle to v.
func (d *Drawer) stampBox(dst plane, s *spot, v float32) {
	n := float64(d.side)
	x0, x1, y0, y1 := d.window(s, 0)
	for y := y0; y < y1; y++ {
		dy := (float64(y)+0.5)/n - s.y
		for x := x0; x < x1; x++ {
			dx := (float64(x)+0.5)/n - s.x
			if math.Abs(dx*s.cos+dy*s.sin) < s.rx && math.Abs(dy*s.cos-dx*s.sin) < s.ry {
				dst[y*d.side+x] = v
			}
		}
	}
}

// line adds a line with a width in pixels.
func (d *Drawer) line(dst plane, x0, y0, x1, y1, width float64) {
	n := float64(d.side)
	dx, dy := (x1-x0)*n, (y1-y0)*n
	steps := int(root(dx*dx+dy*dy)) + 1
	w := int(width / 2)
	for k := range steps {
		t := float64(k) / float64(steps)
		px, py := int(x0*n+t*dx), int(y0*n+t*dy)
		for y := max(py-w, 0); y <= min(py+w, d.side-1); y++ {
			for x := max(px-w, 0); x <= min(px+w, d.side-1); x++ {
				dst[y*d.side+x] = min(dst[y*d.side+x]+0.5, 1)
			}
		}
	}
}

// blur replaces each value by a weighted mean of its neighbours, with weights 1 2 1 in both directions.
func (d *Drawer) blur(p plane) {
	s := d.side
	t := d.temp[0]
	for y := range s {
		row, out := p[y*s:][:s], t[y*s:][:s]
		out[0], out[s-1] = row[0], row[s-1]
		for x := 1; x < s-1; x++ {
			out[x] = 0.25*(row[x-1]+row[x+1]) + 0.5*row[x]
		}
	}
	for y := range s {
		above, at, below := t[max(y-1, 0)*s:][:s], t[y*s:][:s], t[min(y+1, s-1)*s:][:s]
		out := p[y*s:][:s]
		for x := range out {
			out[x] = 0.25*(above[x]+below[x]) + 0.5*at[x]
		}
	}
}

// step rises from 0 to 1 as t does.
func step(t float64) float32 {
	if t <= 0 {
		return 0
	}
	if t >= 1 {
		return 1
	}
	return float32(t)
}

func abs(v float32) float32 { return max(v, -v) }

func root(v float64) float64 { return math.Sqrt(v) }

// fastCos is the cosine from a table of some thousand values.
func fastCos(t float64) float64 {
	const scale, offset = float64(cosSteps) / (2 * math.Pi), 1 << 30 // whole periods, so that the index is positive
	return float64(cosTable[int(t*scale+offset)&(cosSteps-1)])
}

const cosSteps = 4096

var cosTable = makeCosTable()

func makeCosTable() (t [cosSteps]float32) {
	for i := range t {
		t[i] = float32(math.Cos(2 * math.Pi * (float64(i) + 0.5) / float64(len(t))))
	}
	return t
}
