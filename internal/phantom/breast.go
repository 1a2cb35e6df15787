package phantom

import (
	"image"
	"math"
	"slices"
)

var breastLabels = []string{"benign_like", "malignant_like"}

// breast is a mammogram of an imagined patient, drawn with the chest wall on the left and mirrored at the end.
type breast struct {
	r *random
	c *canvas

	wide, high float64 // of the outline, from the chest wall
	nipple     float64 // height of the nipple
	oblique    bool    // the view has the muscle in its upper corner
	slope      float64 // of the muscle's edge
	dense      float64 // share of glandular tissue
	right      bool    // the picture is mirrored: the right breast
}

// drawBreast draws one of the two views of a patient. Both views share anatomy and mass; they differ in
// projection and exposure. Label 1 is a mass as malignant ones are: irregular, with spicules, at times with fine
// calcifications; label 0 a round, well-defined one. The region is that of the mass.
func drawBreast(patient, view *random, oblique bool, size int) (image.Image, int, []bool) {
	r := patient
	label := 0
	if r.chance(0.5) {
		label = 1
	}
	b := &breast{r: r, c: newCanvas(size), wide: r.around(1.38, 0.14), high: r.around(0.86, 0.05), nipple: r.around(0.06, 0.05),
		dense: r.in(0.0, 0.35), right: r.chance(0.5)}
	grade := r.unit() // how plain the signs are: those of a hidden mass are almost alike
	radius := r.in(0.20, 0.34)
	at := point{r.in(0.30, 0.56)*b.wide - 1, b.nipple + r.in(-0.26, 0.26)*b.high}
	shape := newLesion(r, label == 1, grade, radius)

	b.r, b.oblique, b.slope = view, oblique, view.around(0.62, 0.08)
	at.x, at.y = at.x+view.around(0, 0.04), at.y+view.around(0, 0.05)
	b.tissue()
	before := b.c.copy()
	b.lesion(shape, at)
	region := b.c.changed(before)
	b.specks(0.25)
	b.muscle()
	at.x = 0.78
	if b.right {
		mirror(b.c)
		for row := range size {
			slices.Reverse(region[row*size : (row+1)*size])
		}
		at.x = -0.88
	}
	letters(b.c, map[bool]string{false: "L", true: "R"}[b.right], point{at.x + view.around(0, 0.03), view.around(-0.85, 0.04)}, 0.10, 0.95)
	e := newExposure(view, 0.05, 0.98)
	e.noise *= 0.75
	return e.film(view, b.c), label, region
}

// inside is how much a point lies within the outline of the breast, and its depth from the skin: 0 there, 1 at
// the chest wall.
func (b *breast) inside(x, y float64) (in, depth float64) {
	u, v := (x+1)/b.wide, (y-b.nipple)/b.high
	switch {
	case v > 0: // fuller below
		v *= 0.93
	case b.oblique: // up to the armpit
		v *= 0.62 + 0.25*u
	}
	d := math.Sqrt(u*u*math.Sqrt(u+0.02) + v*v)
	return fall(d, 0.97, 1.0), clamp(1-d, 0, 1)
}

// tissue draws fat, skin and glandular tissue, which lies in lobes that point to the nipple.
func (b *breast) tissue() {
	r := b.r
	clouds := newTexture(r, 0.55, 5, 0.55)
	threads := newTexture(r, 0.40, 4, 0.6)
	tip := point{b.wide - 1, b.nipple}
	level := mix(0.9, -0.7, b.dense)
	b.c.all(func(x, y, _ float64) float64 {
		in, depth := b.inside(x, y)
		if in == 0 {
			return 0.015
		}
		// Threads are stretched along the rays from the nipple: polar coordinates around a point before it.
		dx, dy := tip.x+0.5-x, y-tip.y
		far := math.Sqrt(dx*dx + dy*dy)
		t := threads.at(2.2*dy/(far+0.3), 0.9*far)
		ridge := 1 - min(math.Abs(t), 1)
		cone := fall(math.Abs(dy)/(0.20+0.60*dx), 0.5, 1.1) * rise(depth, 0.04, 0.30)
		gland := rise(clouds.at(x, y)+0.45*t, level-1.1, level+1.3) * cone
		d := 0.17 + 0.10*rise(depth, 0, 0.25) + 0.05*clouds.at(y, x) + gland*(0.30+0.08*t) + 0.10*ridge*ridge*rise(depth, 0.03, 0.2)*(0.5+gland)
		d += 0.10 * fall(depth, 0.015, 0.05) // skin
		return d * in * rise(depth, 0, 0.05)
	})
	for range 4 { // veins
		from := point{r.in(-0.9, -0.5), r.in(-0.6, 0.6) * b.high}
		b.clipped(func(on *canvas) {
			on.stroke(wander(r, from, r.in(-0.5, 0.5), 0.12, 0.25, 9), 0.016, 0.008, r.in(0.04, 0.09))
		})
	}
	b.c.blot(ellipse{point{tip.x - 0.05, tip.y}, 0.12, 0.09, 0}, 0.22)
}

// clipped draws on an empty canvas and adds what lies within the outline.
func (b *breast) clipped(draw func(on *canvas)) {
	on := newCanvas(b.c.n)
	draw(on)
	for i, v := range on.v {
		if v != 0 {
			in, depth := b.inside(on.at(i%on.n), on.at(i/on.n))
			b.c.v[i] += v * in * rise(depth, 0, 0.06)
		}
	}
}

// muscle draws the pectoral muscle of an oblique view.
func (b *breast) muscle() {
	if !b.oblique {
		return
	}
	fibres := newTexture(b.r, 0.25, 3, 0.6)
	corner := b.r.around(-0.25, 0.12)
	b.c.all(func(x, y, d float64) float64 {
		edge := (corner - x) - b.slope*(y+1)
		m := rise(edge, -0.03, 0.06)
		if m == 0 {
			return d
		}
		return mix(d, max(d, 0.60+0.12*clamp(edge, 0, 1)+0.03*fibres.at(x+0.5*y, 0.2*y)), m)
	})
}

// specks draws harmless calcifications: few, coarse, far apart.
func (b *breast) specks(chance float64) {
	r := b.r
	for r.chance(chance) {
		at := point{r.in(0.1, 0.7)*b.wide - 1, b.nipple + r.in(-0.5, 0.5)*b.high}
		size := r.in(0.016, 0.035)
		b.clipped(func(on *canvas) { on.disc(ellipse{at, size, size, 0}, r.in(0.2, 0.45), 0.3) })
		chance *= 0.8
	}
}

// lesion is the form of a mass, the same in both views but for its turn.
type lesion struct {
	radius   float64
	oval     float64
	waves    [7]float64 // amplitude of the outline's harmonics 2 to 8
	phases   [7]float64
	rim      float64 // width of the rim, as a share of the radius
	height   float64
	halo     float64
	spicules []spicule
	dots     []point // fine calcifications
}

type spicule struct{ angle, length, width, height float64 }

// newLesion draws the form. The ranges of the two kinds meet where the signs are hidden.
func newLesion(r *random, malignant bool, grade, radius float64) lesion {
	l := lesion{radius: radius, oval: r.in(0.72, 1), height: r.in(0.26, 0.44), rim: r.in(0.14, 0.32)}
	rough := r.in(0.0, 0.035)
	count := 0
	if malignant {
		l.rim = r.in(0.25, 0.5)
		rough = mix(0.08, 0.24, grade)
		count = 10 + int(mix(6, 26, grade))
	} else {
		l.halo = r.in(0, 0.05) * grade
		count = r.n(4)
	}
	for k := range l.waves {
		l.waves[k] = rough * r.normal() / math.Sqrt(float64(k+1))
		l.phases[k] = r.in(0, 2*math.Pi)
	}
	for range count {
		s := spicule{angle: r.in(0, 2*math.Pi), length: r.in(0.6, 1.8), width: r.in(0.014, 0.030), height: r.in(0.14, 0.26)}
		if malignant {
			s.height *= mix(0.8, 1.5, grade)
		}
		l.spicules = append(l.spicules, s)
	}
	if malignant && r.chance(0.3+0.6*grade) {
		for range r.between(8, 22) {
			dx, dy := r.direction()
			far := r.in(0, 1.1)
			l.dots = append(l.dots, point{dx * far, dy * far})
		}
	}
	return l
}

// lesion draws a mass at a place.
func (b *breast) lesion(l lesion, at point) {
	r := b.r
	turn := r.in(-0.4, 0.4)
	inner := newTexture(r, 0.2, 3, 0.6)
	b.clipped(func(on *canvas) {
		reach := 1.8 * l.radius
		on.each(at.x-reach, at.y-reach, at.x+reach, at.y+reach, func(x, y, v float64) float64 {
			dx, dy := x-at.x, (y-at.y)/l.oval
			angle := math.Atan2(dy, dx) + turn
			edge := 1.0
			for k, a := range l.waves {
				if a != 0 {
					edge += a * math.Sin(float64(k+2)*angle+l.phases[k])
				}
			}
			d := math.Sqrt(dx*dx+dy*dy) / (l.radius * edge)
			body := fall(d, 1-l.rim, 1+l.rim)
			ring := hump(math.Abs(d-1.12) / 0.16)
			return v + body*(l.height+0.03*inner.at(x, y)) - l.halo*ring
		})
		for _, s := range l.spicules {
			sin, cos := math.Sincos(s.angle + turn)
			from := point{at.x + 0.75*l.radius*cos, at.y + 0.75*l.radius*sin*l.oval}
			path := wander(r, from, s.angle+turn, l.radius*s.length/4, 0.12, 4)
			on.stroke(path, s.width, 0.004, s.height)
		}
		for _, p := range l.dots {
			q := point{at.x + p.x*l.radius, at.y + p.y*l.radius}
			on.disc(ellipse{q, 0.013, 0.013, 0}, 0.30, 0.4)
		}
	})
}

// mirror turns left and right.
func mirror(c *canvas) {
	for i := range c.n {
		slices.Reverse(c.v[i*c.n : (i+1)*c.n])
	}
}
