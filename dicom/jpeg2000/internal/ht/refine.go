package ht

const (
	significant = 1 << iota // in the cleanup pass
	appeared                // in the significance propagation pass
)

// refine decodes the refinement passes: both are in one segment, one from its beginning and the other from its end.
func (d *Decoder[M]) refine(b *Block) {
	w := b.W + 2
	d.flags = zeroed(d.flags, w*(b.H+2))
	for y := range b.H {
		for x := range b.W {
			if d.data[y*d.stride+x] != 0 {
				d.flags[(y+1)*w+x+1] = significant
			}
		}
	}
	d.propagate(b)
	if b.Refinements > 1 {
		d.sharpen(b)
	}
}

// propagate is the significance propagation pass: of four columns of a stripe first the bits that say which samples become
// significant, then their signs.
func (d *Decoder[M]) propagate(b *Block) {
	w := b.W + 2
	s := forward{data: b.Refinement}
	value := M(3) << (b.Plane - 1)
	top := signBit[M]()
	var fresh [16]int
	for y0 := 0; y0 < b.H; y0 += 4 {
		y1 := min(y0+4, b.H)
		for x0 := 0; x0 < b.W; x0 += 4 {
			n := 0
			for x := x0; x < min(x0+4, b.W); x++ {
				for y := y0; y < y1; y++ {
					at := (y+1)*w + x + 1
					if d.flags[at] != 0 || !d.near(at, w, b.Causal && y == y0+3) || s.bit() == 0 {
						continue
					}
					d.flags[at] = appeared
					fresh[n] = y*d.stride + x
					n++
				}
			}
			for _, at := range fresh[:n] {
				d.data[at] = value
				if s.bit() != 0 {
					d.data[at] |= top
				}
			}
		}
	}
}

// near reports whether one of the eight samples around is significant; the three below do not count where that is said.
func (d *Decoder[M]) near(at, w int, causal bool) bool {
	f := d.flags
	v := f[at-1] | f[at+1] | f[at-w-1] | f[at-w] | f[at-w+1]
	if !causal {
		v |= f[at+w-1] | f[at+w] | f[at+w+1]
	}
	return v != 0
}

// sharpen is the magnitude refinement pass: a bit for each sample of the cleanup pass.
func (d *Decoder[M]) sharpen(b *Block) {
	w := b.W + 2
	s := backward{data: b.Refinement, last: 0xFF}
	step := M(1) << (b.Plane - 1)
	for y0 := 0; y0 < b.H; y0 += 4 {
		for x := range b.W {
			for y := y0; y < min(y0+4, b.H); y++ {
				if d.flags[(y+1)*w+x+1] != significant {
					continue
				}
				if s.bit() != 0 {
					d.data[y*d.stride+x] += step
				} else {
					d.data[y*d.stride+x] -= step
				}
			}
		}
	}
}
