package formula

import "math"

// warp distorts noise by other noise.
func (d *Drawer) warp(dst plane) {
	dx, dy, src := d.temp[1], d.temp[2], d.hue
	d.noise(dx)
	d.noise(dy)
	d.noise(src)
	reach := float32(d.between(0.1, 0.5)) * float32(d.side)
	for y := range d.side {
		for x := range d.side {
			i := y*d.side + x
			sx := d.inside(float32(x) + reach*(dx[i]-0.5))
			sy := d.inside(float32(y) + reach*(dy[i]-0.5))
			dst[i] = src[sy*d.side+sx]
		}
	}
}

// inside returns the nearest pixel coordinate within the picture.
func (d *Drawer) inside(v float32) int { return min(max(int(v+0.5), 0), d.side-1) }

// planeWaves adds plane or circular waves of random direction and wavelength.
func (d *Drawer) planeWaves(dst plane) {
	clear(dst)
	n := 1 + d.rng.IntN(4)
	sharp := d.chance(0.3)
	for range n {
		angle, f, phase := d.between(0, math.Pi), math.Exp(d.between(0.3, 3.4)), d.between(0, 2*math.Pi)
		sin, cos := math.Sincos(angle)
		round := d.chance(0.2)
		cx, cy := d.rng.Float64(), d.rng.Float64()
		for y := range d.side {
			v := float64(y)/float64(d.side) - cy
			for x := range d.side {
				u := float64(x)/float64(d.side) - cx
				t := u*cos + v*sin
				if round {
					t = root(u*u + v*v)
				}
				dst[y*d.side+x] += float32(fastCos(2*math.Pi*f*t + phase))
			}
		}
	}
	if sharp {
		for i, v := range dst {
			dst[i] = min(max(3*v, -1), 1)
		}
	}
	stretch(dst)
}

// speckle is white noise with a skewed distribution, smoothed by a random amount.
func (d *Drawer) speckle(dst plane) {
	for i := range dst {
		v := d.rng.Float32()
		dst[i] = v * v
	}
	for range d.rng.IntN(4) {
		d.blur(dst)
	}
	stretch(dst)
}

// deadLeaves covers the plane with shapes, the most recent on top.
func (d *Drawer) deadLeaves(dst plane) {
	base := d.rng.Float32()
	for i := range dst {
		dst[i] = base
	}
	small, n := d.between(0.02, 0.08), 15+d.rng.IntN(90)
	edge, boxes := d.between(0.5, 2), d.chance(0.3)
	for range n {
		r := min(small/(1-d.rng.Float64()*0.9)*1.5, 0.35) // few are large
		s, v := d.spot(r), d.rng.Float32()
		if boxes {
			d.stampBox(dst, &s, v)
		} else {
			d.stamp(dst, &s, v, float32(edge))
		}
	}
}

// cells draws discs with a rim and a nucleus on a uniform background.
func (d *Drawer) cells(dst plane) {
	ground, inner, nucleus := d.rng.Float32(), d.rng.Float32(), d.rng.Float32()
	for i := range dst {
		dst[i] = ground
	}
	r, n := d.between(0.03, 0.16), 3+d.rng.IntN(40)
	share, hollow := d.between(0.2, 0.7), d.chance(0.3)
	for range n {
		s := d.spot(r * d.between(0.7, 1.3))
		d.stamp(dst, &s, inner+0.15*(d.rng.Float32()-0.5), 1)
		s.rx, s.ry = s.rx*share, s.ry*share
		if hollow {
			d.stamp(dst, &s, ground, 1.5)
		} else if d.chance(0.8) {
			s.x, s.y = s.x+d.between(-0.2, 0.2)*s.rx, s.y+d.between(-0.2, 0.2)*s.ry
			d.stamp(dst, &s, nucleus, 1)
		}
	}
}

// organs adds a few large soft ellipses, and sometimes a row of curved bars like ribs.
func (d *Drawer) organs(dst plane) {
	base := d.rng.Float32()
	for i := range dst {
		dst[i] = base
	}
	mirrored := d.chance(0.5)
	for range 2 + d.rng.IntN(5) {
		s := d.spot(d.between(0.08, 0.4))
		v, soft := d.rng.Float32(), float32(d.between(1, 12))
		d.stamp(dst, &s, v, soft)
		if mirrored {
			s.x, s.sin = 1-s.x, -s.sin
			d.stamp(dst, &s, v, soft)
		}
	}
	if !d.chance(0.4) {
		return
	}
	f, bend, phase, a := d.between(4, 12), d.between(-1.2, 1.2), d.between(0, 6), float32(d.between(0.05, 0.3))
	for y := range d.side {
		for x := range d.side {
			u, v := float64(x)/float64(d.side)-0.5, float64(y)/float64(d.side)
			w := float32(fastCos(2*math.Pi*f*(v+bend*u*u) + phase))
			dst[y*d.side+x] += a * max(w, 0) * max(w, 0)
		}
	}
}

// fractal draws the density of an iterated function system on a logarithmic scale.
func (d *Drawer) fractal(dst plane) {
	clear(dst)
	var maps [6][6]float64
	n := 2 + d.rng.IntN(4)
	for k := range n {
		maps[k] = d.affine()
	}
	x, y := 0.0, 0.0
	scale := float64(d.side) / d.between(2.5, 5)
	half := float64(d.side) / 2
	for k := range 9000 {
		m := &maps[d.rng.IntN(n)]
		x, y = m[0]*x+m[1]*y+m[2], m[3]*x+m[4]*y+m[5]
		px, py := int(half+scale*x), int(half+scale*y)
		if k > 20 && px >= 0 && py >= 0 && px < d.side && py < d.side {
			dst[py*d.side+px]++
		}
	}
	d.blur(dst)
	for i, v := range dst {
		dst[i] = float32(math.Log1p(float64(v)))
	}
	stretch(dst)
}

// affine returns a random contraction: two rotations, two scales below 1 (arXiv 2110.03091), and a shift.
func (d *Drawer) affine() [6]float64 {
	s1, c1 := math.Sincos(d.between(0, 2*math.Pi))
	s2, c2 := math.Sincos(d.between(0, 2*math.Pi))
	a, b := d.between(0.3, 0.9), d.between(0.2, 0.7)
	return [6]float64{a*c1*c2 - b*s1*s2, -a*c1*s2 - b*s1*c2, d.between(-1, 1), a*s1*c2 + b*c1*s2, -a*s1*s2 + b*c1*c2, d.between(-1, 1)}
}

// strokes draws an outline repeatedly, each time larger and slightly rotated.
func (d *Drawer) strokes(dst plane) {
	clear(dst)
	o := d.outline(1)
	o.rough = d.between(0.05, 0.5)
	d.waves(&o)
	n, grow, turn := 1+d.rng.IntN(8), d.between(0.05, 0.15), d.between(-0.3, 0.3)
	corners := 3 + d.rng.IntN(60)
	for k := range n {
		r, shift := o.radius*0.3+grow*float64(k), turn*float64(k)
		var px, py float64
		for c := range corners + 1 {
			a := 2 * math.Pi * float64(c%corners) / float64(corners)
			sin, cos := math.Sincos(a + shift)
			rr := r * o.reach(a)
			x, y := o.x+rr*cos, o.y+rr*sin*o.aspect
			if c > 0 {
				d.line(dst, px, py, x, y, 1)
			}
			px, py = x, y
		}
	}
	for range d.rng.IntN(3) {
		d.blur(dst)
	}
	stretch(dst)
}

// vessels draws random lines that branch and become thinner.
func (d *Drawer) vessels(dst plane) {
	clear(dst)
	wander := d.between(0.05, 0.5)
	for range 1 + d.rng.IntN(6) {
		d.vessel(dst, d.rng.Float64(), d.rng.Float64(), d.between(0, 2*math.Pi), d.between(1, 4), wander, 0)
	}
	for range d.rng.IntN(3) {
		d.blur(dst)
	}
	stretch(dst)
}

func (d *Drawer) vessel(dst plane, x, y, angle, width, wander float64, depth int) {
	for range 12 {
		angle += wander * d.rng.NormFloat64()
		sin, cos := math.Sincos(angle)
		nx, ny := x+0.05*cos, y+0.05*sin
		d.line(dst, x, y, nx, ny, width)
		x, y, width = nx, ny, width*0.95
		if depth < 2 && d.chance(0.12) {
			d.vessel(dst, x, y, angle+d.between(-1, 1), width*0.7, wander, depth+1)
		}
	}
}
