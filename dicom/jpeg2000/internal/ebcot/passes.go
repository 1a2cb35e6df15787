package ebcot

import "math/bits"

// Each pass processes stripes of four rows, column by column (T.800 figure D.1). It receives the arithmetic
// decoder's register and returns it, so that it stays in a machine register.

// significance decodes the significance propagation pass.
func (d *Decoder[M]) significance(plane uint, reg int32) int32 {
	cx, zero := &d.cx, d.zero
	for y := 0; y < d.h; y += 4 {
		rows := min(d.h-y, 4)
		base := (y/4+1)*d.stride + 1
		flags := d.flags[base : base+d.w]
		for x := range flags {
			f := flags[x]
			if f&significance == 0 || f&ownAll == ownAll {
				continue
			}
			for j := range rows {
				g := f >> (3 * uint(j) & 31)
				if g&own != 0 || g&around == 0 {
					continue
				}
				c := &cx[zero[g&window]&31]
				reg -= int32(*c &^ 0xFFFF)
				bit := uint32(*c & 1)
				if reg < 0 {
					bit, reg = d.mq.renew(c, reg)
				}
				if bit != 0 {
					reg = d.appear(base+x, (y+j)*d.w+x, uint(j), plane, reg)
				}
				flags[x] |= visited << (3 * uint(j) & 31)
				f = flags[x]
			}
		}
	}
	return reg
}

// appear decodes the sign of a sample that becomes significant, and updates its neighbours.
func (d *Decoder[M]) appear(at, sample int, j, plane uint, reg int32) int32 {
	e := signContexts[d.signIndex(at, j)]
	c := &d.cx[e&31]
	reg -= int32(*c &^ 0xFFFF)
	sign := uint32(*c & 1)
	if reg < 0 {
		sign, reg = d.mq.renew(c, reg)
	}
	d.mark(at, sample, j, plane, sign^uint32(e>>7))
	return reg
}

// signIndex returns the index into signContexts of row j of the word at.
func (d *Decoder[M]) signIndex(at int, j uint) uint8 {
	s := 3 * j & 31
	f := d.flags[at]
	idx := f >> s & 0xAA
	idx |= d.flags[at-1] >> s >> 20 & 1 << 2
	idx |= d.flags[at+1] >> s >> 20 & 1 << 4
	if j == 0 {
		idx |= f >> 30 & 1
	} else {
		idx |= f << 3 >> s >> 20 & 1
	}
	if j == 3 {
		idx |= f >> 31 << 6
	} else {
		idx |= f >> 3 >> s >> 20 & 1 << 6
	}
	return uint8(idx)
}

// mark makes a sample significant.
func (d *Decoder[M]) mark(at, sample int, j, plane uint, sign uint32) {
	d.data[sample] = M(3)<<plane | M(sign)<<(MaxPlanes[M]()+1)
	s := 3 * j & 31
	w := d.flags[at-1 : at+2 : at+2]
	w[0] |= own << 1 << s
	w[1] |= own<<s | sign<<20<<s
	w[2] |= own >> 1 << s
	if j == 0 && !d.style.Causal {
		up := d.flags[at-d.stride-1:][:3]
		up[0] |= 1 << 17
		up[1] |= 1<<16 | sign<<31
		up[2] |= 1 << 15
	}
	if j == 3 {
		down := d.flags[at+d.stride-1:][:3]
		down[0] |= 1 << 2
		down[1] |= 1<<1 | sign<<30
		down[2] |= 1 << 0
	}
}

// refine decodes the magnitude refinement pass.
func (d *Decoder[M]) refine(plane uint, reg int32) int32 {
	cx := &d.cx
	step := M(1) << plane
	for y := 0; y < d.h; y += 4 {
		base := (y/4+1)*d.stride + 1
		flags := d.flags[base : base+d.w]
		data := d.data[y*d.w:]
		for x := range flags {
			f := flags[x]
			todo := f & ownAll &^ (f >> 14)
			if todo == 0 {
				continue
			}
			flags[x] = f | todo<<15
			for ; todo != 0; todo &= todo - 1 {
				t := uint(bits.TrailingZeros32(todo)) // 4, 7, 10 or 13
				g := f >> ((t - 4) & 31)
				n := ctxRefine
				if g&around != 0 {
					n++
				}
				if g&refined != 0 {
					n = ctxRefine + 2
				}
				c := &cx[n]
				reg -= int32(*c &^ 0xFFFF)
				bit := uint32(*c & 1)
				if reg < 0 {
					bit, reg = d.mq.renew(c, reg)
				}
				p := &data[int(t*86>>8-1)*d.w+x]
				*p += (step ^ (M(bit) - 1)) - (M(bit) - 1) // plus or minus
			}
		}
	}
	return reg
}

// cleanup decodes the cleanup pass.
func (d *Decoder[M]) cleanup(plane uint, reg int32) int32 {
	cx, zero := &d.cx, d.zero
	for y := 0; y < d.h; y += 4 {
		rows := min(d.h-y, 4)
		base := (y/4+1)*d.stride + 1
		flags := d.flags[base : base+d.w]
		for x := range flags {
			f := flags[x]
			if (f|f>>14)&ownAll == ownAll {
				flags[x] = f &^ visitedAll
				continue
			}
			j := 0
			if f == 0 && rows == 4 {
				c := &cx[ctxRun]
				reg -= int32(*c &^ 0xFFFF)
				bit := uint32(*c & 1)
				if reg < 0 {
					bit, reg = d.mq.renew(c, reg)
				}
				if bit == 0 {
					continue
				}
				var hi, lo uint32
				hi, reg = d.mq.symbol(&cx[ctxUniform], reg)
				lo, reg = d.mq.symbol(&cx[ctxUniform], reg)
				j = int(hi<<1 | lo)
				reg = d.appear(base+x, (y+j)*d.w+x, uint(j), plane, reg)
				f = flags[x]
				j++
			}
			for ; j < rows; j++ {
				g := f >> (3 * uint(j) & 31)
				if g&(own|visited) != 0 {
					continue
				}
				c := &cx[zero[g&window]&31]
				reg -= int32(*c &^ 0xFFFF)
				bit := uint32(*c & 1)
				if reg < 0 {
					bit, reg = d.mq.renew(c, reg)
				}
				if bit != 0 {
					reg = d.appear(base+x, (y+j)*d.w+x, uint(j), plane, reg)
					f = flags[x]
				}
			}
			flags[x] = f &^ visitedAll
		}
	}
	return reg
}

// significanceRaw is significance with raw bits.
func (d *Decoder[M]) significanceRaw(plane uint) {
	for y := 0; y < d.h; y += 4 {
		rows := min(d.h-y, 4)
		base := (y/4+1)*d.stride + 1
		for x := range d.w {
			at := base + x
			if d.flags[at]&significance == 0 {
				continue
			}
			for j := range uint(rows) {
				g := d.flags[at] >> (3 * j & 31)
				if g&own != 0 || g&around == 0 {
					continue
				}
				if d.raw.bit() != 0 {
					d.mark(at, (y+int(j))*d.w+x, j, plane, d.raw.bit())
				}
				d.flags[at] |= visited << (3 * j & 31)
			}
		}
	}
}

// refineRaw is refine with raw bits.
func (d *Decoder[M]) refineRaw(plane uint) {
	step := M(1) << plane
	for y := 0; y < d.h; y += 4 {
		base := (y/4+1)*d.stride + 1
		for x := range d.w {
			f := d.flags[base+x]
			todo := f & ownAll &^ (f >> 14)
			d.flags[base+x] |= todo << 15
			for ; todo != 0; todo &= todo - 1 {
				row := (bits.TrailingZeros32(todo) - 4) / 3
				p := &d.data[(y+row)*d.w+x]
				if d.raw.bit() != 0 {
					*p += step
				} else {
					*p -= step
				}
			}
		}
	}
}
