package phantom

import (
	"image"
	"image/color"
	"math"
)

// cells of the blood task, in the order of its labels.
const (
	eosinophil = iota
	lymphocyte
	monocyte
	neutrophil
)

var bloodLabels = []string{"eosinophil", "lymphocyte", "monocyte", "neutrophil"}

// smear is a stained blood film under the microscope: light that passes three colour filters, each dimmed by what
// lies in its way.
type smear struct {
	r       *random
	n       int
	depth   [3]*canvas // absorbance of red, green and blue light
	purple  dye        // of nuclei
	blue    dye        // of cytoplasm
	pink    dye        // of red cells
	granule dye
}

// dye is how much of each colour a unit of it takes away.
type dye [3]float64

// drawBlood draws a field with one white cell near the middle, and says where it lies.
func drawBlood(r *random, size int) (img image.Image, label int, region []bool) {
	cell := r.n(len(bloodLabels))
	s := &smear{r: r, n: size}
	for i := range s.depth {
		s.depth[i] = newCanvas(size)
	}
	vary := func(d dye, share float64) dye {
		strength := r.around(1, 0.12)
		for i := range d {
			d[i] *= strength * r.around(1, share)
		}
		return d
	}
	s.purple = vary(dye{0.78, 1.25, 0.30}, 0.10)
	s.blue = vary(dye{0.34, 0.30, 0.10}, 0.15)
	s.pink = vary(dye{0.10, 0.36, 0.26}, 0.12)
	s.granule = vary(dye{0.08, 0.60, 0.42}, 0.15)
	at := point{r.around(0, 0.13), r.around(0, 0.13)}
	big := r.around(1, 0.07)
	s.redCells(at, 0.50*big)
	s.platelets()
	var before [3]*canvas
	for c := range before {
		before[c] = s.depth[c].copy()
	}
	switch cell {
	case neutrophil:
		s.neutrophil(at, big)
	case eosinophil:
		s.eosinophil(at, big)
	case monocyte:
		s.monocyte(at, big)
	default:
		s.lymphocyte(at, big)
	}
	region = s.depth[0].changed(before[0])
	for c := 1; c < len(before); c++ {
		for i, changed := range s.depth[c].changed(before[c]) {
			region[i] = region[i] || changed
		}
	}
	return s.develop(), cell, region
}

// put adds a dye where a shape is; the shape is given as its density at a point.
func (s *smear) put(d dye, x0, y0, x1, y1 float64, shape func(x, y float64) float64) {
	i0, i1 := s.depth[0].span(y0, y1)
	j0, j1 := s.depth[0].span(x0, x1)
	for i := i0; i < i1; i++ {
		for j := j0; j < j1; j++ {
			v := shape(s.depth[0].at(j), s.depth[0].at(i))
			if v == 0 {
				continue
			}
			for c := range s.depth {
				s.depth[c].v[i*s.n+j] += d[c] * v
			}
		}
	}
}

// clear takes away what lies under a shape: cells push others aside.
func (s *smear) clear(x0, y0, x1, y1 float64, shape func(x, y float64) float64) {
	for c := range s.depth {
		s.depth[c].each(x0, y0, x1, y1, func(x, y, v float64) float64 { return v * (1 - shape(x, y)) })
	}
}

// redCells draws pale discs with a paler middle, not where the white cell will be.
func (s *smear) redCells(keep point, radius float64) {
	r := s.r
	size := r.around(0.30, 0.025)
	count := r.between(6, 15)
	pallor := r.in(0.25, 0.65)
	for range count {
		e := ellipse{point{r.in(-1.15, 1.15), r.in(-1.15, 1.15)}, size * r.around(1, 0.06), 0, r.in(0, math.Pi)}
		e.b = e.a * r.around(0.94, 0.05)
		dx, dy := e.x-keep.x, e.y-keep.y
		if math.Sqrt(dx*dx+dy*dy) < radius+0.62*e.a {
			continue
		}
		d := e.radius()
		hole := r.in(0.45, 0.65)
		strength := r.around(1, 0.08)
		s.put(s.pink, e.x-e.a*1.1, e.y-e.a*1.1, e.x+e.a*1.1, e.y+e.a*1.1, func(x, y float64) float64 {
			q := d(x, y)
			return strength * fall(q, 0.92, 1.04) * (1 - pallor*fall(q, 0.15, hole+0.2) + 0.12*hump(math.Abs(q-0.88)/0.14))
		})
	}
}

func (s *smear) platelets() {
	r := s.r
	for range r.n(4) {
		at := point{r.in(-0.95, 0.95), r.in(-0.95, 0.95)}
		size := r.in(0.04, 0.07)
		d := ellipse{at, size, size * r.in(0.6, 1), r.in(0, math.Pi)}.radius()
		s.put(s.purple, at.x-size, at.y-size, at.x+size, at.y+size, func(x, y float64) float64 { return 0.45 * hump(d(x, y)) })
	}
}

// outline is a round shape with a wavy edge: its distance is 1 on the edge.
func (s *smear) outline(at point, radius, rough float64) func(x, y float64) float64 {
	r := s.r
	var amp, phase [4]float64
	for k := range amp {
		amp[k], phase[k] = rough*r.normal(), r.in(0, 2*math.Pi)
	}
	oval, turn := r.in(0.86, 1), r.in(0, math.Pi)
	sin, cos := math.Sincos(turn)
	return func(x, y float64) float64 {
		dx, dy := x-at.x, y-at.y
		u, v := (dx*cos+dy*sin)/radius, (dy*cos-dx*sin)/(radius*oval)
		d := math.Sqrt(u*u + v*v)
		if d > 1.5 || d < 0.4 {
			return d
		}
		angle := math.Atan2(v, u)
		edge := 1.0
		for k := range amp {
			edge += amp[k] * math.Sin(float64(k+2)*angle+phase[k])
		}
		return d / edge
	}
}

// body draws cytoplasm in a dye of a given strength, with fine grain.
func (s *smear) body(at point, radius, rough float64, d dye, strength, grain float64) (inside func(x, y float64) float64) {
	edge := s.outline(at, radius, rough)
	noise := newTexture(s.r, 0.09, 3, 0.8)
	far := radius * 1.3
	inside = func(x, y float64) float64 { return fall(edge(x, y), 0.95, 1.05) }
	s.clear(at.x-far, at.y-far, at.x+far, at.y+far, inside)
	s.put(d, at.x-far, at.y-far, at.x+far, at.y+far, func(x, y float64) float64 {
		in := inside(x, y)
		if in == 0 {
			return 0
		}
		return in * strength * max(1+grain*noise.at(x, y), 0.1)
	})
	return inside
}

// lobe is a part of a nucleus.
type lobe struct {
	ellipse
	weight float64
}

// nucleus draws lobes that flow into each other, with lumps of chromatin; chromatin is the contrast of these.
func (s *smear) nucleus(lobes []lobe, join, strength, chromatin float64) {
	noise := newTexture(s.r, 0.11, 3, 0.8)
	var radius []func(x, y float64) float64
	x0, y0, x1, y1 := 2.0, 2.0, -2.0, -2.0
	for _, l := range lobes {
		radius = append(radius, l.radius())
		x0, y0 = min(x0, l.x-1.3*l.reach()), min(y0, l.y-1.3*l.reach())
		x1, y1 = max(x1, l.x+1.3*l.reach()), max(y1, l.y+1.3*l.reach())
	}
	s.put(s.purple, x0, y0, x1, y1, func(x, y float64) float64 {
		d := 3.0
		for _, f := range radius {
			d = blend(d, f(x, y), join)
		}
		in := fall(d, 0.90, 1.06)
		if in == 0 {
			return 0
		}
		return in * strength * max(1+chromatin*noise.at(x, y), 0.2)
	})
}

// granules scatters spots in a cell's body.
func (s *smear) granules(at point, radius float64, inside func(x, y float64) float64, d dye, count int, size, strength float64) {
	r := s.r
	for range count {
		dx, dy := r.direction()
		far := radius * math.Sqrt(r.unit())
		p := point{at.x + far*dx, at.y + far*dy}
		if inside(p.x, p.y) < 0.9 {
			continue
		}
		g := size * r.in(0.75, 1.25)
		s.put(d, p.x-g, p.y-g, p.x+g, p.y+g, func(x, y float64) float64 {
			dx, dy := (x-p.x)/g, (y-p.y)/g
			return strength * hump(math.Sqrt(dx*dx+dy*dy))
		})
	}
}

// chain places lobes along an arc around a point.
func (s *smear) chain(at point, count int, bend, step, size float64) []lobe {
	r := s.r
	angle := r.in(0, 2*math.Pi)
	way := r.sign() * bend
	p := point{}
	var lobes []lobe
	var sum point
	for range count {
		lobes = append(lobes, lobe{ellipse{p, size * r.in(0.85, 1.2), size * r.in(0.7, 0.95), angle + r.in(-0.5, 0.5)}, 1})
		sum.x, sum.y = sum.x+p.x, sum.y+p.y
		angle += way * r.in(0.6, 1.4)
		sin, cos := math.Sincos(angle)
		p = point{p.x + step*cos, p.y + step*sin}
	}
	for i := range lobes { // around the middle of the cell
		lobes[i].x += at.x - sum.x/float64(count)
		lobes[i].y += at.y - sum.y/float64(count)
	}
	return lobes
}

// neutrophil has a nucleus of two to five lobes and faint granules. Of young ones the lobes hardly part.
func (s *smear) neutrophil(at point, big float64) {
	r := s.r
	radius := 0.47 * big
	pale := s.pink
	pale[0] += 0.08
	inside := s.body(at, radius, 0.02, pale, r.in(0.36, 0.58), 0.35)
	s.granules(at, radius, inside, s.granule, r.between(30, 90), r.in(0.022, 0.034), r.in(0.12, 0.55))
	young := r.chance(0.15)
	count, step, join := r.between(3, 5), 0.19*big, r.in(0.15, 0.45)
	if young {
		count, step, join = 4, 0.13*big, 0.9
	} else if r.chance(0.30) {
		count = 2
	}
	s.nucleus(s.chain(at, count, 0.9, step, 0.135*big), join, 0.95, 0.22)
}

// eosinophil has two or three lobes and coarse red granules, whose stain may be weak.
func (s *smear) eosinophil(at point, big float64) {
	r := s.r
	radius := 0.48 * big
	stain := r.in(0.12, 0.9)
	inside := s.body(at, radius, 0.02, s.pink, r.in(0.38, 0.5)+0.2*stain, 0.3)
	s.granules(at, radius*1.02, inside, s.granule, r.between(50, 120), r.in(0.026, 0.038), stain*0.85)
	count, step := 2, 0.26*big
	if r.chance(0.4) {
		count, step = 3, 0.20*big
	}
	s.nucleus(s.chain(at, count, 0.7, step, 0.165*big), r.in(0.2, 0.5), 0.9, 0.2)
}

// lymphocyte is small, a round dense nucleus almost filling it; large ones come near to monocytes.
func (s *smear) lymphocyte(at point, big float64) {
	r := s.r
	large := r.unit()
	if r.chance(0.45) {
		large *= 0.35
	}
	radius := mix(0.33, 0.48, large) * big
	s.body(at, radius, 0.03, s.blue, r.in(0.8, 1.3), 0.15)
	fill := mix(0.88, 0.70, large)
	shift := radius * (1 - fill) * 0.6
	dx, dy := r.direction()
	center := point{at.x + dx*shift, at.y + dy*shift}
	lobes := []lobe{{ellipse{center, radius * fill, radius * fill * r.in(0.86, 1), r.in(0, math.Pi)}, 1}}
	if r.chance(0.25) { // a dent
		lobes[0].a *= 0.8
		lobes[0].b *= 0.8
		dx, dy := r.direction()
		lobes = append(lobes, lobe{ellipse{point{center.x + dx*0.09, center.y + dy*0.09}, radius * fill * 0.75, radius * fill * 0.75, 0}, 1})
	}
	s.nucleus(lobes, 0.3, r.in(0.85, 1.05), 0.14)
}

// monocyte is large, its nucleus folded like a kidney, its body grey-blue with bubbles.
func (s *smear) monocyte(at point, big float64) {
	r := s.r
	radius := r.in(0.42, 0.56) * big
	grey := s.blue
	grey[1] += 0.08
	grey[2] += 0.05
	inside := s.body(at, radius, 0.05, grey, r.in(0.85, 1.25), 0.2)
	for range r.n(7) { // bubbles
		dx, dy := r.direction()
		far := radius * r.in(0.3, 0.95)
		p, g := point{at.x + dx*far, at.y + dy*far}, r.in(0.02, 0.045)
		s.clear(p.x-g, p.y-g, p.x+g, p.y+g, func(x, y float64) float64 {
			dx, dy := (x-p.x)/g, (y-p.y)/g
			return 0.7 * hump(math.Sqrt(dx*dx+dy*dy))
		})
	}
	s.granules(at, radius, inside, s.granule, r.n(25), 0.02, 0.2)
	s.nucleus(s.chain(at, r.between(3, 4), r.in(0.5, 1.1), 0.15*big, r.in(0.19, 0.23)*big), 0.8, r.in(0.68, 0.9), 0.22)
}

// develop turns absorbance into a picture under a lamp of varying colour, with focus and noise.
func (s *smear) develop() image.Image {
	r := s.r
	lamp := [3]float64{r.around(0.95, 0.025), r.around(0.925, 0.025), r.around(0.90, 0.035)}
	soft := r.unit()
	passes := 1
	if r.chance(0.3) {
		passes = r.between(4, 9) // out of focus
	}
	noise := r.in(0.010, 0.045)
	dirX, dirY := r.direction()
	uneven := r.in(0, 0.06)
	ground := newTexture(r, 0.6, 2, 0.5)
	out := image.NewRGBA(image.Rect(0, 0, s.n, s.n))
	for c := range s.depth {
		for range passes {
			s.depth[c].blur(soft)
		}
	}
	for i := range s.n {
		y := s.depth[0].at(i)
		for j := range s.n {
			x := s.depth[0].at(j)
			light := 1 + uneven*(x*dirX+y*dirY) + 0.008*ground.at(x, y)
			var rgb [3]uint8
			for c := range s.depth {
				rgb[c] = level(lamp[c]*light*dim(s.depth[c].v[i*s.n+j]) + noise*r.normal())
			}
			out.SetRGBA(j, i, color.RGBA{rgb[0], rgb[1], rgb[2], 255})
		}
	}
	return out
}

// dim is near exp(-d) for d from 0 to about 3: what is left of the light. A power of a fraction is the same on
// every machine.
func dim(d float64) float64 {
	t := 1 / (1 + max(d, 0)/8)
	t *= t
	t *= t
	return t * t
}
