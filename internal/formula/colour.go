package formula

// colour converts the picture to red, green and blue: grey, along a ramp of three colours, or along a ramp that
// another field shifts.
func (d *Drawer) colour(pix []float32) {
	n := d.side * d.side
	r, g, b := pix[:n], pix[n:2*n], pix[2*n:3*n]
	if d.chance(0.5) {
		d.facts[2*fieldKinds+11] = 1
		copy(r, d.value)
		copy(g, d.value)
		copy(b, d.value)
		return
	}
	var ramp [3][3]float32
	tone := [3]float32{d.rng.Float32(), d.rng.Float32(), d.rng.Float32()}
	near := float32(d.between(0.1, 1)) // distance between the colours of a picture
	for k := range ramp {
		for c := range ramp[k] {
			ramp[k][c] = tone[c] + near*(d.rng.Float32()-tone[c])
		}
	}
	if d.chance(0.6) { // from dark to bright
		for c := range 3 {
			ramp[0][c] *= 0.3
			ramp[2][c] = 1 - 0.4*(1-ramp[2][c])
		}
	}
	shift := float32(0)
	if d.chance(0.4) {
		shift = float32(d.between(0.1, 0.6))
		d.field(d.layer, d.rng.IntN(fieldKinds))
	}
	for i, v := range d.value {
		if shift > 0 {
			v = min(max(v+shift*(d.layer[i]-0.5), 0), 1)
		}
		k, t := 0, 2*v
		if t >= 1 {
			k, t = 1, t-1
		}
		lo, hi := &ramp[k], &ramp[k+1]
		r[i] = lo[0] + t*(hi[0]-lo[0])
		g[i] = lo[1] + t*(hi[1]-lo[1])
		b[i] = lo[2] + t*(hi[2]-lo[2])
	}
}
