package phantom

import (
	"image"
	"math"
)

// findings of the chest task, in the order of its labels.
const (
	cardiomegaly = iota
	effusion
	infiltration
	nodule
	pneumothorax
	chestFindings
)

var chestLabels = []string{"cardiomegaly", "effusion", "infiltration", "nodule", "pneumothorax"}

// chestShare is how many of the films have each finding.
var chestShare = [chestFindings]float64{0.28, 0.28, 0.32, 0.30, 0.22}

// drawChest draws a frontal film with any number of findings, and where each lies: nil where there is none. Of the heart it is all of it.
func drawChest(r *random, size int) (img image.Image, has []bool, regions [][]bool) {
	has, regions = make([]bool, chestFindings), make([][]bool, chestFindings)
	for l := range has {
		has[l] = r.chance(chestShare[l])
	}
	t := newThorax(r, size)
	// Where a heart is called large is a matter of degree, and readers differ: the two ranges meet.
	if has[cardiomegaly] {
		t.heart = t.heart*1.12 + r.in(0.06, 0.20)
	}
	t.torso()
	t.lungField([2]float64{})
	if has[cardiomegaly] {
		regions[cardiomegaly] = t.heartShape()
	}
	for _, finding := range []struct {
		label int
		draw  func()
	}{
		{infiltration, func() { t.infiltrate(r.between(3, 5), 0, 1, r.in(0.14, 0.36)) }},
		{nodule, func() { t.nodules(r.between(3, 8), r.in(0.18, 0.40)) }},
		{effusion, func() { t.fluid(r.n(2), r.in(0.10, 0.60)) }},
		{pneumothorax, func() { t.collapse(r.n(2), r.in(0.08, 0.32)) }},
	} {
		if has[finding.label] {
			before := t.c.copy()
			finding.draw()
			regions[finding.label] = t.c.changed(before)
		}
	}
	t.bones()
	t.nipples(0.25)
	t.devices(0.25)
	if r.chance(0.8) {
		t.marker([]string{"L", "PA", "R", "AP"}[r.n(4)])
	}
	collimate(r, t.c, 0.2)
	return newExposure(r, 0.08, 1.02).film(r, t.c), has, regions
}

// heartShape returns the pixels of the heart's left part, which is most of it; its tilt is the mean one.
func (t *thorax) heartShape() []bool {
	grown := t.heart - 0.33
	in := ellipse{point{0.13 + 0.5*grown, t.lung[1].base - 0.15}, t.heart, 0.25 + 0.45*grown, 0.62}.radius()
	pixels := make([]bool, len(t.c.v))
	for i := range t.c.n {
		for j := range t.c.n {
			u, v := t.body(t.c.at(j), t.c.at(i))
			pixels[i*t.c.n+j] = in(u, v) <= 1
		}
	}
	return pixels
}

// infiltrate draws ill-defined patches of consolidation.
func (t *thorax) infiltrate(patches int, low, high, height float64) {
	r := t.r
	cloud := newTexture(r, 0.16, 4, 0.75)
	for range patches {
		at := t.spot(r.n(2), low, high)
		e := ellipse{at, r.in(0.26, 0.46), r.in(0.24, 0.40), r.in(0, math.Pi)}
		t.c.blotWhere(e, height, func(x, y float64) float64 {
			return t.inLungs(x, y) * clamp(0.95+0.55*cloud.at(x, y), 0, 2)
		})
	}
}

// nodules draws round, well-defined opacities.
func (t *thorax) nodules(n int, height float64) {
	r := t.r
	for range n {
		size := r.in(0.06, 0.13)
		e := ellipse{t.spot(r.n(2), 0.05, 0.95), size, size * r.in(0.85, 1.1), r.in(0, math.Pi)}
		t.c.discWhere(e, height, 0.35, t.inLungs)
	}
}

// fluid fills the bottom of a lung up to a height above the dome; it climbs along the wall.
func (t *thorax) fluid(s int, height float64) {
	l := &t.lung[s]
	cloud := newTexture(t.r, 0.4, 2, 0.5)
	t.c.all(func(x, y, d float64) float64 {
		u, v := t.body(x, y)
		a := u * float64(2*s-1)
		if a <= 0 {
			return d
		}
		surface := l.base + 0.20 - height - 0.55*height*power4(clamp((a-l.inner)/(l.outer-l.inner), 0, 1))
		if a < 0.30 {
			surface += 0.10 * (0.30 - a)
		}
		in := t.inLungs(x, y) * rise(v, surface-0.05, surface+0.05)
		return d + in*(0.29+0.02*cloud.at(x, y))
	})
}

func power4(x float64) float64 { return x * x * x * x }

// collapse takes the lung away from the wall by a gap: beyond a fine line there is air without vessels.
func (t *thorax) collapse(s int, gap float64) {
	l := &t.lung[s]
	// The shrunken lung has the outline of the lung itself, pulled towards the hilum.
	shrunken := *l
	shrunken.apex += 1.3 * gap
	shrunken.outer -= gap
	dark, line := t.r.in(0.08, 0.18), t.r.in(0.07, 0.15)
	clean := newCanvas(t.c.n)
	copy(clean.v, t.c.v)
	for range 4 {
		clean.blur(1)
	}
	t.c.all(func(x, y, d float64) float64 {
		u, v := t.body(x, y)
		out := 0.0
		if (u > 0) == (s == 1) {
			out = t.inLungs(x, y)
		}
		if out == 0 || v > 0.45 {
			return d
		}
		in := shrunken.in(s, u, v)
		i, j := t.c.index(x, y)
		fade := fall(v, 0.15, 0.45)
		beyond := out * (1 - in) * fade
		d = mix(d, min(d, clean.v[i*t.c.n+j])-dark, beyond)
		return d + line*4*in*(1-in)*out*fade
	})
}

// nipples draws the two shadows that are taken for nodules, at a typical place.
func (t *thorax) nipples(chance float64) {
	if !t.r.chance(chance) {
		return
	}
	v := t.r.around(0.30, 0.05)
	for s := range 2 {
		at := t.place(float64(2*s-1)*t.r.around(0.50, 0.02), v)
		t.c.disc(ellipse{at, 0.04, 0.04, 0}, t.r.in(0.06, 0.13), 0.4)
	}
}

// marker puts letters of lead beside a shoulder: L and R on their sides.
func (t *thorax) marker(text string) {
	side := map[string]float64{"L": 1, "R": -1}[text]
	if side == 0 {
		side = t.r.sign()
	}
	letters(t.c, text, point{side*0.80 - 0.08, t.r.around(-0.86, 0.05)}, 0.125, 1.05)
}
