package jpeg

// natural gives the place in a block, row by row, of a coefficient in zigzag order (T.81, figure A.6).
var natural = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// The inverse DCT is the algorithm of Loeffler, Ligtenberg and Moschytz with 11 multiplications (1989), in libjpeg's
// fixed point ("islow"): constants of 13 bits, 2 more bits between the passes. Its results equal libjpeg's.
const (
	fixBits  = 13
	passBits = 2

	c0298 = 2446  // 0.298631336
	c0390 = 3196  // 0.390180644
	c0541 = 4433  // 0.541196100
	c0765 = 6270  // 0.765366865
	c0899 = 7373  // 0.899976223
	c1175 = 9633  // 1.175875602
	c1501 = 12299 // 1.501321110
	c1847 = 15137 // 1.847759065
	c1961 = 16069 // 1.961570560
	c2053 = 16819 // 2.053119869
	c2562 = 20995 // 2.562915447
	c3072 = 25172 // 3.072711026
)

// butterfly is the one-dimensional transform of eight coefficients: sums and differences of its results are the
// samples, times 2^13.
func butterfly(x0, x1, x2, x3, x4, x5, x6, x7 int32) (e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	z := (x2 + x6) * c0541
	t2, t3 := z-x6*c1847, z+x2*c0765
	t0, t1 := (x0+x4)<<fixBits, (x0-x4)<<fixBits
	e0, e3, e1, e2 = t0+t3, t0-t3, t1+t2, t1-t2

	z1, z2, z3, z4 := x7+x1, x5+x3, x7+x3, x5+x1
	z5 := (z3 + z4) * c1175
	z1, z2 = -z1*c0899, -z2*c2562
	z3, z4 = z5-z3*c1961, z5-z4*c0390
	o3 = x7*c0298 + z1 + z3
	o2 = x5*c2053 + z2 + z4
	o1 = x3*c3072 + z2 + z3
	o0 = x1*c1501 + z1 + z4
	return
}

// idct transforms a block of dequantised coefficients, which it spoils, into 8 x 8 samples at dst.
func idct(dst []uint8, stride int, b *[64]int32) {
	const down, half = fixBits - passBits, 1 << (fixBits - passBits - 1)
	for x := range 8 {
		if b[8+x]|b[16+x]|b[24+x]|b[32+x]|b[40+x]|b[48+x]|b[56+x] == 0 {
			v := b[x] << passBits
			b[x], b[8+x], b[16+x], b[24+x], b[32+x], b[40+x], b[48+x], b[56+x] = v, v, v, v, v, v, v, v
			continue
		}
		e0, e1, e2, e3, o0, o1, o2, o3 := butterfly(b[x], b[8+x], b[16+x], b[24+x], b[32+x], b[40+x], b[48+x], b[56+x])
		b[x], b[56+x] = (e0+o0+half)>>down, (e0-o0+half)>>down
		b[8+x], b[48+x] = (e1+o1+half)>>down, (e1-o1+half)>>down
		b[16+x], b[40+x] = (e2+o2+half)>>down, (e2-o2+half)>>down
		b[24+x], b[32+x] = (e3+o3+half)>>down, (e3-o3+half)>>down
	}
	const down2, half2 = fixBits + passBits + 3, 1 << (fixBits + passBits + 2)
	for y := range 8 {
		r := b[8*y : 8*y+8 : 8*y+8]
		out := dst[y*stride : y*stride+8 : y*stride+8]
		e0, e1, e2, e3, o0, o1, o2, o3 := butterfly(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
		out[0], out[7] = sample((e0+o0+half2)>>down2), sample((e0-o0+half2)>>down2)
		out[1], out[6] = sample((e1+o1+half2)>>down2), sample((e1-o1+half2)>>down2)
		out[2], out[5] = sample((e2+o2+half2)>>down2), sample((e2-o2+half2)>>down2)
		out[3], out[4] = sample((e3+o3+half2)>>down2), sample((e3-o3+half2)>>down2)
	}
}

// sample shifts by 128, and clips.
func sample(v int32) uint8 {
	if v += 128; uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// flat fills 8 x 8 samples.
func flat(dst []uint8, stride int, v uint8) {
	row := uint64(v) * 0x0101010101010101
	for y := range 8 {
		out := dst[y*stride : y*stride+8 : y*stride+8]
		for x := range out {
			out[x] = uint8(row)
		}
	}
}
