package jpegls

import (
	"fmt"
	"math/bits"
)

// coder has the parameters and the state of a scan: what T.87 calls contexts.
type coder struct {
	maxval, near, reset int32
	t1, t2, t3          int32
	rng                 int32 // number of error values
	qbpp, limit         int
	quantised           []int8 // of a gradient from -maxval to maxval, at an offset of maxval

	a, b, c, n [365]int32
	runA, runN [2]int32
	runNN      [2]int32
}

// runLengths is table A.2's J: the logarithm of the run that one bit stands for.
var runLengths = [32]int{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// newCoder settles the parameters (T.87, C.2.4.1.1).
func newCoder(p preset, precision, near int) (*coder, error) {
	c := &coder{maxval: int32(p.maxval), near: int32(near), reset: int32(p.reset)}
	if c.maxval == 0 {
		c.maxval = 1<<precision - 1
	}
	if c.maxval >= 1<<precision || c.near > min(255, c.maxval/2) {
		return nil, fmt.Errorf("greatest value %d and error %d with %d bits", c.maxval, c.near, precision)
	}
	if c.reset == 0 {
		c.reset = 64
	}
	d1, d2, d3 := thresholds(c.maxval, c.near)
	choose := func(set int, usual int32) int32 {
		if set == 0 {
			return usual
		}
		return int32(set)
	}
	c.t1, c.t2, c.t3 = choose(p.t1, d1), choose(p.t2, d2), choose(p.t3, d3)
	if c.reset < 3 || c.t1 <= c.near || c.t2 < c.t1 || c.t3 < c.t2 || c.t3 > c.maxval {
		return nil, fmt.Errorf("thresholds %d, %d, %d and reset %d for values up to %d", c.t1, c.t2, c.t3, c.reset, c.maxval)
	}
	c.rng = c.maxval + 1
	if near > 0 {
		c.rng = (c.maxval+2*c.near)/(2*c.near+1) + 1
	}
	bpp := max(2, bits.Len32(uint32(c.maxval)))
	c.limit = 2 * (bpp + max(8, bpp))
	c.qbpp = bits.Len32(uint32(c.rng - 1))
	c.quantised = make([]int8, 2*c.maxval+1)
	for i := range c.quantised {
		c.quantised[i] = c.quantise(int32(i) - c.maxval)
	}
	c.restartState()
	return c, nil
}

// thresholds are the defaults of C.2.4.1.1.1.
func thresholds(maxval, near int32) (t1, t2, t3 int32) {
	clamp := func(v, low int32) int32 {
		if v > maxval || v < low {
			return low
		}
		return v
	}
	if maxval >= 128 {
		f := (min(maxval, 4095) + 128) / 256
		t1 = clamp(f*(3-2)+2+3*near, near+1)
		t2 = clamp(f*(7-3)+3+5*near, t1)
		return t1, t2, clamp(f*(21-4)+4+7*near, t2)
	}
	f := 256 / (maxval + 1)
	t1 = clamp(max(2, 3/f+3*near), near+1)
	t2 = clamp(max(3, 7/f+5*near), t1)
	return t1, t2, clamp(max(4, 21/f+7*near), t2)
}

// restartState sets the state to that of the beginning of a scan.
func (c *coder) restartState() {
	a := max(2, (c.rng+32)/64)
	for i := range c.a {
		c.a[i], c.b[i], c.c[i], c.n[i] = a, 0, 0, 1
	}
	c.runA, c.runN, c.runNN = [2]int32{a, a}, [2]int32{1, 1}, [2]int32{}
}

// quantise maps a gradient to one of nine regions (A.3.3).
func (c *coder) quantise(d int32) int8 {
	sign := int8(1)
	if d < 0 {
		d, sign = -d, -1
	}
	switch {
	case d <= c.near:
		return 0
	case d < c.t1:
		return sign
	case d < c.t2:
		return 2 * sign
	case d < c.t3:
		return 3 * sign
	}
	return 4 * sign
}

// golomb takes a mapped error value (A.5.3): a prefix of zeros and k bits, or, where the prefix would be too long, the
// value itself.
func (c *coder) golomb(r *reader, k, limit int) (int32, bool) {
	z, ok := r.zeros(limit)
	if !ok {
		return 0, false
	}
	if z < limit-c.qbpp-1 {
		v := int64(z)<<k | int64(r.take(k))
		return int32(v), v <= 2*int64(c.rng) // no error value is larger: what was learned from one would grow without bound
	}
	return r.take(c.qbpp) + 1, true
}

// maxK bounds the parameter of a code, so that a shifted count does not overflow.
const maxK = 24

// regular decodes a sample whose neighbours differ (A.4 to A.6).
func (c *coder) regular(r *reader, ra, rb, rc int32, q int) (int32, bool) {
	sign := int32(1)
	if q < 0 {
		q, sign = -q, -1
	}
	px := predict(ra, rb, rc) + sign*c.c[q]
	px = min(max(px, 0), c.maxval)
	k := 0
	for n, a := c.n[q], c.a[q]; n<<k < a && k < maxK; k++ {
	}
	m, ok := c.golomb(r, k, c.limit)
	if !ok {
		return 0, false
	}
	e := m >> 1
	if m&1 == 1 {
		e = -e - 1
	}
	if k == 0 && c.near == 0 && 2*c.b[q] <= -c.n[q] {
		e = -e - 1
	}
	c.update(q, e)
	return c.reconstruct(px, sign*e), true
}

// predict is the median edge detector (A.4.1).
func predict(a, b, c int32) int32 {
	lo, hi := min(a, b), max(a, b)
	switch {
	case c >= hi:
		return lo
	case c <= lo:
		return hi
	}
	return a + b - c
}

// update learns from an error (A.6).
func (c *coder) update(q int, e int32) {
	c.b[q] += e * (2*c.near + 1)
	c.a[q] += max(e, -e)
	if c.n[q] == c.reset {
		c.a[q] >>= 1
		c.b[q] >>= 1 // toward minus infinity
		c.n[q] >>= 1
	}
	c.n[q]++
	switch {
	case c.b[q] <= -c.n[q]:
		c.b[q] = max(c.b[q]+c.n[q], 1-c.n[q])
		c.c[q] = max(c.c[q]-1, -128)
	case c.b[q] > 0:
		c.b[q] = min(c.b[q]-c.n[q], 0)
		c.c[q] = min(c.c[q]+1, 127)
	}
}

// reconstruct adds a quantised error to a prediction, modulo the range (A.4.4, A.5).
func (c *coder) reconstruct(px, e int32) int32 {
	step := 2*c.near + 1
	x := px + e*step
	if x < -c.near {
		x += c.rng * step
	} else if x > c.maxval+c.near {
		x -= c.rng * step
	}
	return min(max(x, 0), c.maxval)
}

// interruption decodes the sample that ends a run (A.7.2). The kind of its context follows from whether its neighbours are alike.
func (c *coder) interruption(r *reader, ra, rb int32, j int) (int32, bool) {
	if ra-rb <= c.near && rb-ra <= c.near {
		return c.runEnd(r, 1, ra, rb, j)
	}
	return c.runEnd(r, 0, ra, rb, j)
}

// runEnd decodes a sample that ends a run, in a context of kind t.
func (c *coder) runEnd(r *reader, t int, ra, rb int32, j int) (int32, bool) {
	temp := c.runA[t]
	if t == 1 {
		temp += c.runN[t] >> 1
	}
	k := 0
	for n := c.runN[t]; n<<k < temp && k < maxK; k++ {
	}
	m, ok := c.golomb(r, k, c.limit-j-1)
	if !ok {
		return 0, false
	}
	// The mapping is undone (A.22): its lowest bit says on which side the error lies.
	v := m + int32(t)
	side := v & 1
	e := (v + side) >> 1
	positive := (k != 0 || 2*c.runNN[t] >= c.runN[t]) == (side == 1)
	if positive {
		e = -e
	}
	if e < 0 {
		c.runNN[t]++
	}
	c.runA[t] += (m + 1 - int32(t)) >> 1
	if c.runN[t] == c.reset {
		c.runA[t] >>= 1
		c.runN[t] >>= 1
		c.runNN[t] >>= 1
	}
	c.runN[t]++
	if t == 1 {
		return c.reconstruct(ra, e), true
	}
	if rb < ra {
		e = -e
	}
	return c.reconstruct(rb, e), true
}
