package ebcot

// Contexts of T.800 table D.1 and D.3 to D.5.
const (
	ctxZero    = 0  // to 8: significance
	ctxSign    = 9  // to 13
	ctxRefine  = 14 // to 16
	ctxRun     = 17
	ctxUniform = 18
	contexts   = 19
)

// The state of four samples of a column, a stripe high, is one word. For row j, moved right by 3j bits:
//
//	bits 0 to 8   significance of the 3 x 3 samples around it, row by row; bit 4 is its own
//	bit 18        it was visited in this bit-plane
//	bit 19        its magnitude was refined before
//	bit 20        its sign
//
// Bit 30 is the sign of the sample above the four, bit 31 that of the one below.
const (
	own       = 1 << 4
	around    = 0x1EF
	window    = 0x1FF
	visited   = 1 << 18
	refined   = 1 << 19
	negative  = 1 << 20
	signAbove = 1 << 30
	signBelow = 1 << 31

	significance = 1<<18 - 1
	ownAll       = own | own<<3 | own<<6 | own<<9
	visitedAll   = ownAll << 14
)

// Band is what the significance context depends on.
type Band int

// Subbands by their filters, the horizontal one first.
const (
	LL Band = iota
	HL
	LH
	HH
)

// zeroContexts gives the significance context of a sample by the 3 x 3 samples around it.
var zeroContexts = [4][512]uint8{
	makeZero(zeroLow),
	makeZero(func(h, v, d int) uint8 { return zeroLow(v, h, d) }),
	makeZero(zeroLow),
	makeZero(zeroDiagonal),
}

func makeZero(f func(h, v, d int) uint8) (t [512]uint8) {
	for i := range t {
		bit := func(n int) int { return i >> n & 1 }
		t[i] = f(bit(3)+bit(5), bit(1)+bit(7), bit(0)+bit(2)+bit(6)+bit(8))
	}
	return t
}

// zeroLow is table D.1 for LL and LH; HL exchanges the first two.
func zeroLow(h, v, d int) uint8 {
	switch {
	case h == 2:
		return 8
	case h == 1 && v >= 1:
		return 7
	case h == 1 && d >= 1:
		return 6
	case h == 1:
		return 5
	case v == 2:
		return 4
	case v == 1:
		return 3
	}
	return uint8(min(d, 2))
}

func zeroDiagonal(h, v, d int) uint8 {
	hv := h + v
	switch {
	case d >= 3:
		return 8
	case d == 2:
		return uint8(6 + min(hv, 1))
	case d == 1:
		return uint8(3 + min(hv, 2))
	}
	return uint8(min(hv, 2))
}

// signContexts gives the sign context in the lower bits and the bit to exchange with in bit 7. The index has significance of
// the samples above, left, right and below in bits 1, 3, 5, 7, as window has them, and their signs in bits 0, 2, 4, 6.
var signContexts = makeSigns()

func makeSigns() (t [256]uint8) {
	for i := range t {
		part := func(n int) int { // contribution of the neighbour whose significance is bit n
			return (i >> n & 1) * (1 - 2*(i>>(n-1)&1))
		}
		h := min(max(part(3)+part(5), -1), 1)
		v := min(max(part(1)+part(7), -1), 1)
		flip := uint8(0)
		if h < 0 || (h == 0 && v < 0) {
			h, v, flip = -h, -v, 0x80
		}
		ctx := ctxSign + v // h == 0: 9 or 10
		if h == 1 {
			ctx = 12 + v
		}
		t[i] = uint8(ctx) | flip
	}
	return t
}
