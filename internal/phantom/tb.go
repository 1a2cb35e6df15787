package phantom

import (
	"image"
	"math"
)

var tbLabels = []string{"normal", "tb_like"}

// drawTB draws a frontal film, in half of the cases with opacities as tuberculosis leaves them: clustered small
// nodules and strands in an upper zone, at times with a cavity, and the hilum pulled up. The region is that of the opacities.
func drawTB(r *random, size int) (image.Image, int, []bool) {
	ill := r.chance(0.5)
	t := newThorax(r, size)
	grade := r.unit() // of the disease, from hardly visible to plain
	s := r.n(2)
	var lift [2]float64
	if ill && r.chance(0.5) {
		lift[s] = r.in(0.02, 0.10) * grade
	}
	t.torso()
	t.lungField(lift)
	var region []bool
	before := t.c.copy()
	if ill {
		t.tubercles(s, grade)
		if r.chance(0.5) {
			t.tubercles(1-s, grade*r.in(0.3, 0.8))
		}
		region = t.c.changed(before)
	} else {
		t.harmless()
	}
	t.bones()
	t.nipples(0.2)
	t.devices(0.12)
	t.marker([]string{"L", "R"}[r.n(2)])
	collimate(r, t.c, 0.3)
	label := 0
	if ill {
		label = 1
	}
	return newExposure(r, 0.10, 1.0).film(r, t.c), label, region
}

// tubercles draws the opacities of one lung.
func (t *thorax) tubercles(s int, grade float64) {
	r := t.r
	height := mix(0.09, 0.30, grade)
	center := t.spot(s, 0.10, 0.45)
	cloud := newTexture(r, 0.12, 4, 0.8)
	t.c.blotWhere(ellipse{center, r.in(0.28, 0.46), r.in(0.26, 0.42), r.in(0, math.Pi)}, height*0.8, func(x, y float64) float64 {
		return t.inLungs(x, y) * clamp(0.8+0.7*cloud.at(x, y), 0, 2)
	})
	for range r.between(10, 18) + int(14*grade) {
		dx, dy := r.direction()
		far := r.in(0, 0.42)
		at := point{center.x + dx*far, center.y + dy*far}
		size := r.in(0.025, 0.06)
		t.c.discWhere(ellipse{at, size, size * r.in(0.7, 1.2), r.in(0, math.Pi)}, height*r.in(0.6, 1.3), 0.5, t.inLungs)
	}
	for range r.between(2, 5) { // strands
		t.strand(center, height)
	}
	if r.chance(0.2 + 0.4*grade) { // a cavity
		at := t.spot(s, 0.08, 0.40)
		ring := ellipse{at, r.in(0.09, 0.15), r.in(0.08, 0.13), r.in(0, math.Pi)}
		t.c.discWhere(ring, height*1.4, 0.25, t.inLungs)
		ring.a *= 0.68
		ring.b *= 0.68
		t.c.discWhere(ring, -height*1.9, 0.25, t.inLungs)
	}
}

func (t *thorax) strand(from point, height float64) {
	on := newCanvas(t.c.n)
	on.stroke(wander(t.r, from, t.r.in(0, 2*math.Pi), 0.05, 0.3, 5), 0.012, 0.006, height)
	for i, v := range on.v {
		if v > 0 {
			t.c.v[i] += v * t.inLungs(on.at(i%on.n), on.at(i/on.n))
		}
	}
}

// harmless draws what a healthy lung may have and a hasty reader stumbles over: an old scar, a calcified spot, a
// vessel seen end on.
func (t *thorax) harmless() {
	r := t.r
	for r.chance(0.30) {
		at := t.spot(r.n(2), 0.05, 0.95)
		switch r.n(3) {
		case 0:
			size := r.in(0.02, 0.035)
			t.c.discWhere(ellipse{at, size, size, 0}, r.in(0.15, 0.3), 0.3, t.inLungs)
		case 1:
			t.strand(at, r.in(0.05, 0.12))
		default:
			t.c.blotWhere(ellipse{at, r.in(0.12, 0.24), r.in(0.1, 0.2), r.in(0, math.Pi)}, r.in(0.03, 0.08), t.inLungs)
		}
	}
}
