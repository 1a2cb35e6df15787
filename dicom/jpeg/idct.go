package jpeg

// The inverse discrete cosine transform after Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in fixed point: eleven
// multiplications a row, constants of 13 bits, two extra bits kept between the passes (one for 12-bit samples). Results
// equal the accurate integer method of the Independent JPEG Group's library.
const constBits = 13

// fixed constants: round(x * 2^13).
const (
	c0298631336 = 2446
	c0390180644 = 3196
	c0541196100 = 4433
	c0765366865 = 6270
	c0899976223 = 7373
	c1175875602 = 9633
	c1501321110 = 12299
	c1847759065 = 15137
	c1961570560 = 16069
	c2053119869 = 16819
	c2562915447 = 20995
	c3072711026 = 25172
)

// butterfly transforms eight values. Results carry constBits fractional bits.
func butterfly(x0, x1, x2, x3, x4, x5, x6, x7 int64) (y [8]int64) {
	// Even part.
	z := (x2 + x6) * c0541196100
	t2, t3 := z-x6*c1847759065, z+x2*c0765366865
	t0, t1 := (x0+x4)<<constBits, (x0-x4)<<constBits
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
	// Odd part.
	z1, z2, z3, z4 := x7+x1, x5+x3, x7+x3, x5+x1
	z5 := (z3 + z4) * c1175875602
	o0, o1, o2, o3 := x7*c0298631336, x5*c2053119869, x3*c3072711026, x1*c1501321110
	z1, z2 = -z1*c0899976223, -z2*c2562915447
	z3, z4 = z5-z3*c1961570560, z5-z4*c0390180644
	o0, o1, o2, o3 = o0+z1+z3, o1+z2+z4, o2+z2+z3, o3+z1+z4
	return [8]int64{e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3}
}

// inverse transforms a block into samples of the precision.
func inverse(c *[64]int32, out []uint16, stride, precision int) {
	extra := uint(2)
	if precision > 8 {
		extra = 1
	}
	var work [64]int64
	for x := range 8 {
		if c[8+x]|c[16+x]|c[24+x]|c[32+x]|c[40+x]|c[48+x]|c[56+x] == 0 {
			v := int64(c[x]) << extra
			for y := range 8 {
				work[8*y+x] = v
			}
			continue
		}
		y := butterfly(int64(c[x]), int64(c[8+x]), int64(c[16+x]), int64(c[24+x]), int64(c[32+x]), int64(c[40+x]), int64(c[48+x]), int64(c[56+x]))
		shift := constBits - extra
		for k, v := range y {
			work[8*k+x] = (v + 1<<(shift-1)) >> shift
		}
	}
	shift := constBits + extra + 3
	middle, top := int64(1)<<(precision-1), int64(1)<<precision-1
	for r := range 8 {
		w := work[8*r : 8*r+8]
		y := butterfly(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		o := out[r*stride : r*stride+8]
		for k, v := range y {
			o[k] = uint16(min(max((v+1<<(shift-1))>>shift+middle, 0), top))
		}
	}
}

// flatBlock is inverse where only the first coefficient is not zero.
func flatBlock(dc int32, out []uint16, stride, precision int) {
	middle, top := int64(1)<<(precision-1), int64(1)<<precision-1
	extra := uint(2)
	if precision > 8 {
		extra = 1
	}
	// Both passes round, as in inverse.
	v := uint16(min(max((int64(dc)<<extra+1<<(extra+2))>>(extra+3)+middle, 0), top))
	for r := range 8 {
		o := out[r*stride : r*stride+8]
		for k := range o {
			o[k] = v
		}
	}
}
