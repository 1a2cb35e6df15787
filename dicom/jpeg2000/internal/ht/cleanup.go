package ht

import "math/bits"

// codeword is a row of a table: which samples of a quad are significant, whether an excess of the exponent follows, which
// samples have their highest bit implied and what it is, and the code, whose first bit is the lowest.
type codeword struct{ sig, more, known, one, bits, code uint8 }

// lookup has for a context and the next seven bits: the significant samples in bits 0 to 3, the codeword's length in bits 4 to
// 6, whether more follows in bit 7, and the implied bits: which in bits 8 to 11, what in bits 12 to 15.
type lookup [8 << 7]uint16

var firstCodes, otherCodes = makeLookup(0), makeLookup(1)

func makeLookup(table int) *lookup {
	t := &lookup{}
	for ctx, words := range codewords[table] {
		for _, w := range words {
			v := uint16(w.sig) | uint16(w.bits)<<4 | uint16(w.more)<<7 | uint16(w.known)<<8 | uint16(w.one)<<12
			for i := int(w.code); i < 1<<7; i += 1 << w.bits {
				t[ctx<<7|i] = v
			}
		}
	}
	return t
}

// code decodes the codeword of a quad in a context. In context 0 an event says first whether there is one.
func (d *Decoder[M]) code(t *lookup, ctx uint8) uint16 {
	if ctx == 0 && !d.mel.event() {
		return 0
	}
	v := t[uint64(ctx&7)<<7|d.vlc.acc&0x7F]
	d.vlc.take(uint(v >> 4 & 7))
	return v
}

func (q *quad) set(v uint16, u uint8) {
	q.sig, q.known, q.one, q.u = uint8(v&15), uint8(v>>8&15), uint8(v>>12), u
}

// A pair of quads has at most 14 bits of codewords and 24 of excesses.
const pairBits = 40

// firstRow decodes the codes of the first row of quads. A quad's context is the significance of the quad before it.
func (d *Decoder[M]) firstRow(across int) {
	ctx := uint8(0)
	next := func(v uint16) uint8 {
		return uint8(v&1|v>>1&1) | uint8(v>>2&1)<<1 | uint8(v>>3&1)<<2
	}
	for q := 0; q < across; q += 2 {
		d.vlc.need(pairBits)
		a := d.code(firstCodes, ctx)
		ctx = next(a)
		b := uint16(0)
		if q+1 < across {
			b = d.code(firstCodes, ctx)
			ctx = next(b)
		}
		var u, v uint8
		switch {
		case a>>7&1 == 0 || b>>7&1 == 0:
			u, v = d.excess(a>>7&1 != 0, b>>7&1 != 0)
		case d.mel.event(): // both are greater than two
			u, v = d.excess(true, true)
			u, v = u+2, v+2
		default:
			u, v = d.excessOfBoth()
		}
		d.quads[q].set(a, u)
		d.quads[q+1].set(b, v)
	}
}

// nextRow decodes the codes of another row. A quad's context is the significance of the samples above it, with one more on
// either side, and of those of the quad before it.
func (d *Decoder[M]) nextRow(across int) {
	sig := d.sig[:across+3]
	left := uint8(0) // of the quad before
	for q := 0; q < across; q += 2 {
		d.vlc.need(pairBits)
		// The lower samples of the quads above are bits 1 and 3; sig begins one quad to the left.
		n0 := (sig[q]>>3 | sig[q+1]>>1) & 1
		n1 := (sig[q+1]>>3 | sig[q+2]>>1) & 1
		a := d.code(otherCodes, n0|(left>>2|left>>3)&1<<1|n1<<2)
		left = uint8(a & 15)
		b := uint16(0)
		if q+1 < across {
			n2 := (sig[q+2]>>3 | sig[q+3]>>1) & 1
			b = d.code(otherCodes, n1|(left>>2|left>>3)&1<<1|n2<<2)
			left = uint8(b & 15)
		}
		u, v := d.excess(a>>7&1 != 0, b>>7&1 != 0)
		d.quads[q].set(a, u)
		d.quads[q+1].set(b, v)
	}
}

// prefixes has for the next three bits: the length of the prefix of an excess, its value, and the length of the suffix.
var prefixes = [8]struct{ bits, value, suffix uint8 }{
	{3, 5, 5}, {1, 1, 0}, {2, 2, 0}, {1, 1, 0}, {3, 3, 1}, {1, 1, 0}, {2, 2, 0}, {1, 1, 0},
}

// excess decodes the excesses of a pair of quads: both prefixes, both suffixes, both extensions.
func (d *Decoder[M]) excess(first, second bool) (u, v uint8) {
	var s, t uint8 // lengths of suffixes
	if first {
		p := &prefixes[d.vlc.acc&7]
		d.vlc.take(uint(p.bits))
		u, s = p.value, p.suffix
	}
	if second {
		p := &prefixes[d.vlc.acc&7]
		d.vlc.take(uint(p.bits))
		v, t = p.value, p.suffix
	}
	if s|t == 0 {
		return u, v
	}
	a, b := d.suffix(s), d.suffix(t)
	return u + a + d.extension(a), v + b + d.extension(b)
}

// excessOfBoth decodes the excesses of a pair in the first row, one of which is at most two: after a long prefix of the
// first, the second is one bit.
func (d *Decoder[M]) excessOfBoth() (u, v uint8) {
	p := &prefixes[d.vlc.acc&7]
	if p.value <= 2 {
		return d.excess(true, true)
	}
	d.vlc.take(uint(p.bits))
	v = 1 + uint8(d.vlc.acc&1)
	d.vlc.take(1)
	a := d.suffix(p.suffix)
	return p.value + a + d.extension(a), v
}

func (d *Decoder[M]) suffix(n uint8) uint8 {
	v := uint8(d.vlc.acc & (1<<n - 1))
	d.vlc.take(uint(n))
	return v
}

// extension decodes what follows a suffix of 28 or more: four bits, times four.
func (d *Decoder[M]) extension(suffix uint8) uint8 {
	if suffix < 28 {
		return 0
	}
	v := uint8(d.vlc.acc & 15)
	d.vlc.take(4)
	return 4 * v
}

// magnitudes decodes magnitudes and signs of a row of quads.
func (d *Decoder[M]) magnitudes(row, across int, blk *Block) error {
	limit := uint8(blk.Above + 2)
	if limit > 56 {
		return damaged("%d bit-planes", limit)
	}
	upper := d.data[2*row*d.stride:][:d.stride]
	lower := d.data[(2*row+1)*d.stride:][:d.stride]
	plane, top := uint(blk.Plane), signBit[M]()
	exp := d.exp[:across+2]
	// exp[q] is of sample 3 of quad q-1 and sample 1 of quad q; it is overwritten as soon as it was used.
	carried := uint8(0) // exponent of sample 3 of the quad before, in this row
	for q := range across {
		k := &d.quads[q]
		above := max(exp[q], exp[q+1])
		exp[q] = carried
		carried = 0
		if k.sig == 0 {
			continue
		}
		u := k.u + 1
		if k.sig&(k.sig-1) != 0 && above > 2 {
			u = k.u + above - 1
		}
		if u > limit {
			return damaged("an exponent of %d, at most %d is possible", u, limit)
		}
		n := uint(bits.OnesCount8(k.sig)) * uint(u)
		if n > 56 {
			e1, e3 := d.sampleByOne(k, q, u, upper, lower, plane)
			exp[q], carried = max(exp[q], e1), e3
			continue
		}
		if d.mag.n < n {
			d.mag.need(n)
		}
		acc, left := d.mag.acc, d.mag.n
		known, one := uint(k.known), uint64(k.one)
		if k.sig&1 != 0 {
			m := (uint(u) - known&1) & 63
			v := acc&(1<<m-1) | one&1<<m
			acc >>= m
			left -= m
			upper[2*q] = M((v|1)+2)<<(plane&63)&^top | -M(v&1)&top
		}
		if k.sig&2 != 0 {
			m := (uint(u) - known>>1&1) & 63
			v := acc&(1<<m-1) | one>>1&1<<m
			acc >>= m
			left -= m
			lower[2*q] = M((v|1)+2)<<(plane&63)&^top | -M(v&1)&top
			exp[q] = max(exp[q], uint8(bits.Len64(v|1)))
		}
		if k.sig&4 != 0 {
			m := (uint(u) - known>>2&1) & 63
			v := acc&(1<<m-1) | one>>2&1<<m
			acc >>= m
			left -= m
			upper[2*q+1] = M((v|1)+2)<<(plane&63)&^top | -M(v&1)&top
		}
		if k.sig&8 != 0 {
			m := (uint(u) - known>>3) & 63
			v := acc&(1<<m-1) | one>>3<<m
			acc >>= m
			left -= m
			lower[2*q+1] = M((v|1)+2)<<(plane&63)&^top | -M(v&1)&top
			carried = uint8(bits.Len64(v | 1))
		}
		d.mag.acc, d.mag.n = acc, left
	}
	exp[across] = carried
	return nil
}

// sampleByOne decodes the samples of a quad that has more bits than fit into a register, and returns the exponents of the
// lower two.
func (d *Decoder[M]) sampleByOne(k *quad, q int, u uint8, upper, lower []M, plane uint) (e1, e3 uint8) {
	top := signBit[M]()
	var e [4]uint8
	for n, row := range [4][]M{upper, lower, upper, lower} {
		if k.sig>>n&1 == 0 {
			continue
		}
		m := uint(u - k.known>>n&1)
		d.mag.need(m)
		v := d.mag.acc&(1<<m-1) | uint64(k.one>>n&1)<<m
		d.mag.acc >>= m
		d.mag.n -= m
		row[2*q+n/2] = M((v|1)+2)<<plane&^top | -M(v&1)&top
		e[n] = uint8(bits.Len64(v | 1))
	}
	return e[1], e[3]
}
