package phantom

import "math"

// thorax is a frontal film of an imagined chest: what differs from patient to patient, drawn as the density that
// the rays meet. Coordinates of the body are those of the picture before the patient is placed; the body's left is
// on the right of the picture, as on a film.
type thorax struct {
	r *random
	c *canvas

	air *canvas // where the lungs are seen, 0 to 1

	// placing of the patient
	scale, shiftX, shiftY, sin, cos float64

	lung      [2]lungShape // right lung (left on the film) and left lung
	heart     float64      // half width of the heart
	slim      float64      // width of the chest
	breasts   float64      // density of the breasts' shadow, 0: none
	ribStep   float64      // distance of ribs
	ribFirst  float64
	ribBow    float64
	parenchym *texture
}

// lungShape is the outline of a lung.
type lungShape struct {
	apex, base   float64 // height of the top, and of the dome of the diaphragm
	inner, outer float64 // at the base, from the midline
	angle        float64 // how far the outer corner reaches below the dome
}

func newThorax(r *random, size int) *thorax {
	t := &thorax{r: r, c: newCanvas(size), scale: r.around(1, 0.03), shiftX: r.around(0, 0.025), shiftY: r.around(0, 0.025)}
	t.sin, t.cos = math.Sincos(r.around(0, 0.025))
	t.slim = r.around(1, 0.05)
	breath := r.around(0, 0.05)
	for s := range t.lung {
		t.lung[s] = lungShape{
			apex: r.around(-0.76, 0.02), base: 0.42 + breath - 0.05*float64(1-s) + r.around(0, 0.02),
			inner: r.around(0.13, 0.012), outer: t.slim * r.around(0.80, 0.02), angle: r.around(0.30, 0.03),
		}
	}
	t.heart = r.around(0.33, 0.022)
	if r.chance(0.5) {
		t.breasts = r.in(0.02, 0.10)
	}
	t.ribStep, t.ribFirst, t.ribBow = r.around(0.152, 0.008), r.around(-0.70, 0.03), r.around(0.30, 0.05)
	t.parenchym = newTexture(r, 0.22, 4, 0.7)
	return t
}

// body are the coordinates of the body at a point of the picture.
func (t *thorax) body(x, y float64) (u, v float64) {
	x, y = (x-t.shiftX)/t.scale, (y-t.shiftY)/t.scale
	return x*t.cos + y*t.sin, y*t.cos - x*t.sin
}

// place is the point of the picture where a point of the body is.
func (t *thorax) place(u, v float64) point {
	return point{(u*t.cos-v*t.sin)*t.scale + t.shiftX, (u*t.sin+v*t.cos)*t.scale + t.shiftY}
}

// in is how much a point of the body lies within a lung, 0 to 1.
func (l *lungShape) in(s int, u, v float64) float64 {
	a := u // distance from the midline, towards the side
	if s == 0 {
		a = -u
	}
	if a <= 0 || v < l.apex-0.05 {
		return 0
	}
	t := (v - l.apex) / (l.base - l.apex) // 0 at the top, 1 at the dome
	top := math.Sqrt(clamp(t*2.6, 0, 1))
	inner := mix(0.27, l.inner, top)
	outer := mix(0.36, l.outer-0.10*(1-clamp(t, 0, 1)), top)
	if s == 1 { // the heart's notch is drawn as the heart
		inner += 0.01
	}
	middle, half := 0.5*(l.inner+l.outer)-0.04, 0.5*(l.outer-l.inner)
	d := (a - middle) / half
	dome := l.base + l.angle*d*d
	if d < 0 {
		dome = l.base + 0.12*d*d
	}
	return rise(a, inner-0.015, inner+0.025) * fall(a, outer-0.02, outer+0.02) * fall(v, dome-0.02, dome+0.02) * rise(t, -0.01, 0.05)
}

// inLungs is how much a point of the picture shows lung, 0 to 1.
func (t *thorax) inLungs(x, y float64) float64 {
	i, j := t.c.index(x, y)
	return t.air.v[i*t.c.n+j]
}

// spot is a random place within a lung, at a height between two shares of it (0: apex, 1: dome).
func (t *thorax) spot(s int, low, high float64) point {
	l := &t.lung[s]
	for range 40 {
		v := mix(l.apex, l.base+0.1, t.r.in(low, high))
		a := t.r.in(l.inner+0.06, l.outer-0.10)
		if s == 0 {
			a = -a
		}
		if p := t.place(a, v); t.inLungs(p.x, p.y) > 0.95 {
			return p
		}
	}
	a := 0.45
	if s == 0 {
		a = -a
	}
	return t.place(a, mix(l.apex, l.base, 0.5))
}

// newShadow returns how much of the heart, the great vessels and the mediastinum lies before a point of the body, 0 to 1.
// Their outlines flow into each other.
func (t *thorax) newShadow() func(u, v float64) float64 {
	r := t.r
	v := t.lung[1].base - 0.15
	grown := t.heart - 0.33
	left := ellipse{point{0.13 + 0.5*grown, v}, t.heart, 0.25 + 0.45*grown, 0.62 + r.around(0, 0.08)}.radius()
	right := ellipse{point{-0.06, v - 0.06}, 0.17 + 0.35*grown, 0.26, 0}.radius()
	knob := ellipse{point{0.10, -0.31 + r.around(0, 0.03)}, r.around(0.105, 0.015), 0.11, 0}.radius()
	wide, bend := r.around(0.095, 0.012), r.around(0, 0.01)
	return func(u, v float64) float64 {
		column := math.Abs(u-bend) / (wide + 0.05*rise(v, -0.5, 0.1) + 0.02*rise(-v, 0.5, 0.8))
		d := blend(blend(left(u, v), right(u, v), 0.25), blend(column, knob(u, v), 0.35), 0.35)
		return fall(d, 0.90, 1.10)
	}
}

// blend is the lesser of two distances, rounded where they are about equal.
func blend(a, b, k float64) float64 {
	h := max(k-math.Abs(a-b), 0) / k
	return min(a, b) - h*h*k/4
}

// torso draws the body without what is in the lungs: soft tissue, air, heart, great vessels, spine, abdomen.
func (t *thorax) torso() {
	r := t.r
	shadow := t.newShadow()
	spine, thick := r.in(0.03, 0.08), r.around(0.115, 0.02)
	fat := newTexture(r, 0.5, 2, 0.6)
	side := r.around(0.97, 0.03) * t.slim
	phase := r.unit()
	t.air = newCanvas(t.c.n)
	i := 0
	t.c.all(func(x, y, _ float64) float64 {
		u, v := t.body(x, y)
		a := math.Abs(u)
		k := i
		i++
		width := side + 0.35*rise(-v, 0.45, 0.95) - 0.03*rise(v, 0.2, 1)
		neck := fall(v, -1.02, -0.76) * rise(a, 0.20, 0.40) // above the shoulders
		skin := fall(a, width-0.02, width+0.02) * (1 - neck)
		if skin == 0 {
			return 0
		}
		tissue := 0.54 + 0.05*fat.at(x, y) + 0.13*rise(v, 0.1, 0.9) - 0.20*rise(a, width-0.16, width)
		s := 1
		if u < 0 {
			s = 0
		}
		organ := shadow(u, v)
		air := t.lung[s].in(s, u, v) * (1 - organ)
		t.air.v[k] = air
		vertebra := fall(a, 0.05, 0.09)
		if vertebra > 0 {
			vertebra *= 0.75 + 0.25*math.Sin(2*math.Pi*(v/0.17+phase))
		}
		trachea := fall(math.Abs(u+0.01), 0.025, 0.055) * fall(v, -0.42, -0.30)
		chest := fall(v, 0.45, 0.75) // below, the abdomen is dense by itself
		d := tissue - 0.38*air + organ*(thick*chest*(0.65+0.35*rise(v, -0.5, 0.3))+0.02) + spine*vertebra - 0.10*trachea
		return d * skin
	})
	if t.breasts > 0 {
		for s := range 2 {
			at := t.place(float64(2*s-1)*r.around(0.47, 0.04), 0.36+r.around(0, 0.05))
			t.c.disc(ellipse{at, 0.36, 0.34, 0}, t.breasts, 0.25)
		}
	}
}

// lungField draws what is in healthy lungs: vessels that branch from the hila, and fine structure. A side that is
// pulled up has its hilum higher by lift.
func (t *thorax) lungField(lift [2]float64) {
	r := t.r
	vessels := newCanvas(t.c.n)
	strength := r.around(0.12, 0.02)
	for s := range 2 {
		side := float64(2*s - 1)
		hilum := point{side * r.around(0.19, 0.015), r.around(-0.06, 0.025) - 0.03*float64(s) - lift[s]}
		at := t.place(hilum.x, hilum.y)
		vessels.blot(ellipse{at, 0.12, 0.20, side * 0.3}, r.around(0.17, 0.03))
		for k := range 13 {
			angle := -1.35 + 2.75*float64(k)/12 + r.around(0, 0.07)
			if side < 0 {
				angle = math.Pi - angle
			}
			path := wander(r, point{hilum.x, hilum.y + r.in(-0.06, 0.08)}, angle, 0.085, 0.13, 7)
			t.vessel(vessels, path, 0.026, 0.005, strength)
			for _, from := range []int{2, 3, 4, 5} {
				turned := angle + r.sign()*r.in(0.35, 0.8)
				t.vessel(vessels, wander(r, path[from], turned, 0.06, 0.2, 4), 0.013, 0.004, strength*0.8)
			}
		}
	}
	t.c.all(func(x, y, v float64) float64 {
		i, j := t.c.index(x, y)
		air := t.inLungs(x, y)
		if air == 0 {
			return v
		}
		return v + air*(min(vessels.v[i*t.c.n+j], 0.24)+0.020*t.parenchym.at(x, y))
	})
}

// index is the row and the column that a point lies in.
func (c *canvas) index(x, y float64) (i, j int) {
	half := float64(c.n) / 2
	return min(max(int((y+1)*half), 0), c.n-1), min(max(int((x+1)*half), 0), c.n-1)
}

// vessel draws a path of the body.
func (t *thorax) vessel(on *canvas, path []point, w0, w1, height float64) {
	placed := make([]point, len(path))
	for i, p := range path {
		placed[i] = t.place(p.x, p.y)
	}
	on.stroke(placed, w0, w1, height)
}

// bones draws ribs, clavicles and the edges of the shoulder blades.
func (t *thorax) bones() {
	r := t.r
	back, front := r.around(0.115, 0.02), r.around(0.065, 0.015)
	t.c.all(func(x, y, d float64) float64 {
		u, v := t.body(x, y)
		a := math.Abs(u)
		if a < 0.06 || a > 0.93 || v < -0.85 || v > 0.75 {
			return d
		}
		edge := rise(a, 0.06, 0.14) * fall(a, 0.80*t.slim, 0.88*t.slim) * fall(v, 0.45, 0.72)
		// Ribs at the back rise from the spine and fall towards the side; those in front climb towards it.
		p := (v - t.ribFirst + 0.10*a - t.ribBow*a*a*a) / t.ribStep
		bone := back * rib(p, 0.22, -0.4, 8.5)
		q := (v - t.ribFirst - 0.10 - 0.42*(0.85-a)) / (1.22 * t.ribStep)
		bone += front * rib(q, 0.26, -0.4, 5.5) * rise(a, 0.32, 0.50)
		return d + bone*edge*(0.45+0.55*t.inLungs(x, y))
	})
	for s := range 2 {
		side := float64(2*s - 1)
		tilt := r.around(0.10, 0.03)
		path := []point{{side * 0.09, -0.60}, {side * 0.28, -0.62 - 0.3*tilt}, {side * 0.52, -0.66 - tilt}, {side * 0.86, -0.68 - tilt}}
		t.vessel(t.c, path, 0.045, 0.038, r.around(0.15, 0.02))
		blade := []point{{side * 0.74, -0.62}, {side * r.around(0.70, 0.03), -0.35}, {side * 0.75, -0.05}, {side * 0.86, 0.14}}
		t.vessel(t.c, blade, 0.035, 0.02, r.around(0.06, 0.015))
	}
}

// rib is the density of a row of ribs at a place p, counted in ribs from the first: brighter at both edges.
func rib(p, half, first, last float64) float64 {
	if p < first || p > last {
		return 0
	}
	d := math.Abs(p-math.Floor(p+0.5)) / half
	if d >= 1.15 {
		return 0
	}
	return (0.65 + 0.35*rise(d, 0.4, 0.85)) * fall(d, 0.85, 1.15)
}

// devices draws what lies on the patient: wires with their pads, at times a tube.
func (t *thorax) devices(chance float64) {
	r := t.r
	for r.chance(chance) {
		from := point{r.in(-0.8, 0.8), r.in(-0.6, 0.7)}
		t.c.stroke(wander(r, from, r.in(0, 2*math.Pi), 0.14, 0.25, 9), 0.010, 0.010, r.in(0.12, 0.30))
		if r.chance(0.6) {
			t.c.disc(ellipse{from, 0.035, 0.035, 0}, r.in(0.10, 0.25), 0.2)
		}
		chance *= 0.6
	}
	if r.chance(0.12) {
		t.c.stroke(wander(r, t.place(0.02, -1), math.Pi/2, 0.09, 0.05, r.between(6, 9)), 0.018, 0.018, 0.22)
	}
}
