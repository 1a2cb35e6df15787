// Package formula draws images from random numbers alone: noise, waves, fractals, dead leaves, contours, cells,
// vessels and organs, layered on each other, grey or coloured. They serve to pre-train without anybody's data,
// after "Pre-training without Natural Images" (arXiv 2101.08515), "Replacing Labeled Real-image Datasets with
// Auto-generated Contours" (arXiv 2206.09132) and "Learning to See by Looking at Noise" (arXiv 2106.05963).
//
// An image is determined by seed, index and side, independently of images drawn before.
package formula

import "math/rand/v2"

// A Drawer draws images of one size. It has scratch memory and is not safe for concurrent use.
type Drawer struct {
	side  int
	rng   *rand.Rand
	pcg   *rand.PCG
	value plane // the picture so far
	layer plane // the layer to be added
	mask  plane // where the layer is added
	hue   plane // field that shifts its colour
	temp  [3]plane
	facts []float32
}

// plane holds one value per pixel in row-major order.
type plane []float32

// New returns a Drawer of images with side x side pixels.
func New(side int) *Drawer {
	d := &Drawer{side: side, pcg: rand.NewPCG(0, 0)}
	d.rng = rand.New(d.pcg)
	for _, p := range []*plane{&d.value, &d.layer, &d.mask, &d.hue, &d.temp[0], &d.temp[1], &d.temp[2]} {
		*p = make(plane, side*side)
	}
	return d
}

// Facts is the number of values with which Draw describes an image.
const Facts = 2*fieldKinds + 12

// Draw draws image number index of a seed into pix [3, side, side], with values in [0, 1]. facts [Facts]
// receives a description: the kinds of the background and the objects, and the objects' number, size, position,
// roughness of outline and softness of edge, and whether the image is grey.
func (d *Drawer) Draw(pix, facts []float32, seed, index uint64) {
	d.pcg.Seed(mix(seed), mix(index^0x666f726d756c61)) // "formula"
	clear(facts)
	d.facts = facts
	d.ground()
	d.objects()
	d.body()
	d.light()
	d.colour(pix)
}

// mix is the finalizer of splitmix64.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// between returns a uniform random number in [a, b).
func (d *Drawer) between(a, b float64) float64 { return a + (b-a)*d.rng.Float64() }

// chance returns true with probability p.
func (d *Drawer) chance(p float64) bool { return d.rng.Float64() < p }

// ground fills the picture with one field or a mixture of two.
func (d *Drawer) ground() {
	kind := d.rng.IntN(fieldKinds)
	d.facts[kind] = 1
	d.field(d.value, kind)
	low, high := d.levels()
	if d.chance(0.35) {
		d.field(d.layer, d.rng.IntN(fieldKinds))
		share := float32(d.between(0.2, 0.8))
		for i, v := range d.layer {
			d.value[i] += share * (v - d.value[i])
		}
	}
	for i, v := range d.value {
		d.value[i] = low + (high-low)*v
	}
}

// levels returns the darkest and the brightest value of a field, in either order.
func (d *Drawer) levels() (low, high float32) {
	a, span := d.between(0, 1), d.between(0.05, 0.7)
	if d.chance(0.5) {
		span = -span
	}
	return float32(a), float32(min(max(a+span, 0), 1))
}

// objects draws outlined fields on the picture.
func (d *Drawer) objects() {
	n := [...]int{0, 1, 1, 1, 1, 2, 2, 3, 5}[d.rng.IntN(9)]
	f := d.facts[2*fieldKinds:]
	f[0] = float32(n) / 2
	kind := d.rng.IntN(fieldKinds)
	if n > 0 {
		d.facts[fieldKinds+kind] = 1
	}
	for k := range n {
		o := d.outline(n)
		d.fill(d.mask, &o)
		low, high := d.levels()
		flat := d.chance(0.3)
		if !flat {
			d.field(d.layer, kind)
		}
		alpha := float32(d.between(0.35, 1))
		for i, m := range d.mask {
			if m == 0 {
				continue
			}
			v := low
			if !flat {
				v += (high - low) * d.layer[i]
			}
			d.value[i] += alpha * m * (v - d.value[i])
		}
		if d.chance(0.25) {
			d.shadow(&o)
		}
		if k == 0 { // the largest; later outlines are smaller
			f[1], f[2], f[3] = float32(o.x), float32(o.y), float32(2*o.radius)
			f[4], f[5], f[6], f[7] = float32(3*o.rough), float32(5*o.soft), alpha, low
		}
	}
}

// shadow darkens or brightens the area below an object, as in ultrasound.
func (d *Drawer) shadow(o *outline) {
	gain := float32(d.between(-0.5, 0.4))
	for y := range d.side {
		depth := (float64(y)/float64(d.side) - o.y) / 0.3
		if depth < 0 {
			continue
		}
		g := gain * float32(min(depth, 1))
		for x := range d.side {
			if away := (float64(x)/float64(d.side) - o.x) / o.radius; away > -0.8 && away < 0.8 {
				d.value[y*d.side+x] *= 1 + g
			}
		}
	}
}

// body darkens the area outside a fan, a disc or a rounded body, in a third of the pictures.
func (d *Drawer) body() {
	f := d.facts[2*fieldKinds:]
	switch p := d.rng.Float64(); {
	case p < 0.14: // body
		o := outline{x: d.between(0.4, 0.6), y: d.between(0.4, 0.6), radius: d.between(0.3, 0.5), aspect: d.between(0.7, 1.4), rough: d.between(0, 0.04), soft: d.between(0.01, 0.05)}
		d.waves(&o)
		d.fill(d.mask, &o)
		f[8] = 1
	case p < 0.22: // fan
		d.fan()
		f[9] = 1
	case p < 0.30: // round field of view
		o := outline{x: 0.5, y: 0.5, radius: d.between(0.45, 0.65), aspect: 1, soft: d.between(0.005, 0.2)}
		d.waves(&o)
		d.fill(d.mask, &o)
		f[10] = 1
	default:
		return
	}
	outside := float32(d.between(0, 0.15))
	if d.chance(0.15) {
		outside = 1
	}
	rim := float32(0)
	if d.chance(0.5) { // a bright rim like a skull
		rim = float32(d.between(0.1, 0.8))
	}
	for i, m := range d.mask {
		v := outside + m*(d.value[i]-outside)
		d.value[i] = v + rim*4*m*(1-m)*(1-v)
	}
}

// fan draws the sector of an ultrasound probe.
func (d *Drawer) fan() {
	s := float64(d.side)
	top, half, far := d.between(-0.3, 0), d.between(0.4, 1.2), d.between(0.8, 1.3)
	cos := fastCos(half / 2)
	for y := range d.side {
		for x := range d.side {
			dx, dy := float64(x)/s-0.5, float64(y)/s-top
			r := root(dx*dx + dy*dy)
			d.mask[y*d.side+x] = step(min((dy/max(r, 1e-6)-cos)*20, (far-r)*s/2))
		}
	}
}

// light changes gamma, adds a gradient, and blurs.
func (d *Drawer) light() {
	if d.chance(0.4) {
		gx, gy := float32(d.between(-0.4, 0.4)), float32(d.between(-0.4, 0.4))
		for y := range d.side {
			for x := range d.side {
				d.value[y*d.side+x] += gx*(float32(x)/float32(d.side)-0.5) + gy*(float32(y)/float32(d.side)-0.5)
			}
		}
	}
	if d.chance(0.3) { // speckle
		d.speckle(d.layer)
		a := float32(d.between(0.1, 0.8))
		for i, v := range d.layer {
			d.value[i] *= 1 + a*(2*v-1)
		}
	}
	for range [...]int{0, 0, 0, 0, 1, 1, 2, 3}[d.rng.IntN(8)] {
		d.blur(d.value)
	}
	for i, v := range d.value {
		d.value[i] = min(max(v, 0), 1)
	}
}
