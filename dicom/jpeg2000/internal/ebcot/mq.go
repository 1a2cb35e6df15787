package ebcot

import "math/bits"

// A context is one word: the probability estimate Qe in the upper 16 bits, and in the lower ones the number of its state
// times two, plus the symbol that is more probable.
type context uint32

const stateMask = 0x7F

// estimates is T.800 table C.2: Qe, the next state after the more and the less probable symbol, and whether the latter
// exchanges the two.
var estimates = [47]struct {
	qe       uint16
	mps, lps uint8
	exchange bool
}{
	{0x5601, 1, 1, true}, {0x3401, 2, 6, false}, {0x1801, 3, 9, false}, {0x0AC1, 4, 12, false}, {0x0521, 5, 29, false},
	{0x0221, 38, 33, false}, {0x5601, 7, 6, true}, {0x5401, 8, 14, false}, {0x4801, 9, 14, false}, {0x3801, 10, 14, false},
	{0x3001, 11, 17, false}, {0x2401, 12, 18, false}, {0x1C01, 13, 20, false}, {0x1601, 29, 21, false},
	{0x5601, 15, 14, true}, {0x5401, 16, 14, false}, {0x5101, 17, 15, false}, {0x4801, 18, 16, false},
	{0x3801, 19, 17, false}, {0x3401, 20, 18, false}, {0x3001, 21, 19, false}, {0x2801, 22, 19, false},
	{0x2401, 23, 20, false}, {0x2201, 24, 21, false}, {0x1C01, 25, 22, false}, {0x1801, 26, 23, false},
	{0x1601, 27, 24, false}, {0x1401, 28, 25, false}, {0x1201, 29, 26, false}, {0x1101, 30, 27, false},
	{0x0AC1, 31, 28, false}, {0x09C1, 32, 29, false}, {0x08A1, 33, 30, false}, {0x0521, 34, 31, false},
	{0x0441, 35, 32, false}, {0x02A1, 36, 33, false}, {0x0221, 37, 34, false}, {0x0141, 38, 35, false},
	{0x0111, 39, 36, false}, {0x0085, 40, 37, false}, {0x0049, 41, 38, false}, {0x0025, 42, 39, false},
	{0x0015, 43, 40, false}, {0x0009, 44, 41, false}, {0x0005, 45, 42, false}, {0x0001, 45, 43, false},
	{0x5601, 46, 46, false},
}

// newContext returns a context in a state, zero being the more probable symbol.
func newContext(state int) context {
	return context(uint32(estimates[state].qe)<<16 | uint32(state)<<1)
}

// transitions has the context that follows each, after the more [0] and the less [1] probable symbol.
var transitions = makeTransitions()

func makeTransitions() (t [stateMask + 1][2]context) {
	for i, e := range estimates {
		for mps := range context(2) {
			lps := newContext(int(e.lps)) | mps
			if e.exchange {
				lps ^= 1
			}
			t[i<<1|int(mps)] = [2]context{newContext(int(e.mps)) | mps, lps}
		}
	}
	return t
}

// mq is the arithmetic decoder of T.800 annex C. Its registers A and C are stored relative to d, which callers
// keep in a local variable: d is the smaller of C and A - 0x8000, times 2^16. A more probable symbol subtracts
// Qe from d. As long as d stays non-negative, neither register need be updated.
type mq struct {
	a, c  int64 // A - d and C - d, times 2^16
	count uint  // shifts until the next byte is needed
	at    int   // the byte that was read last
	data  []byte
}

const half = 0x8000 << 16

// start begins a codeword segment and returns d.
func (m *mq) start(data []byte) int32 {
	m.data, m.at = data, 0
	c := int64(0xFF) << 16
	if len(data) > 0 {
		c = int64(data[0]) << 16
	}
	c = m.byteIn(c)
	c <<= 7
	m.count -= 7
	return m.split(half, c)
}

// split sets the registers.
func (m *mq) split(a, c int64) int32 {
	d := min(a-half, c)
	m.a, m.c = a-d, c-d
	return int32(d)
}

// byteIn adds the byte after the current one to C. After the end, and after a marker, it adds ones.
func (m *mq) byteIn(c int64) int64 {
	at := m.at
	if at+1 < len(m.data) {
		b := int64(m.data[at+1])
		if m.data[at] != 0xFF {
			m.at++
			m.count = 8
			return c + b<<8
		}
		if b <= 0x8F {
			m.at++
			m.count = 7
			return c + b<<9
		}
	} else if at < len(m.data) && m.data[at] != 0xFF {
		m.at++ // onto the marker that is thought to follow
		m.count = 8
		return c + 0xFF00
	}
	m.count = 8
	return c + 0xFF00
}

// renew decodes a symbol for which d, after subtracting Qe, is negative.
func (m *mq) renew(cx *context, d int32) (uint32, int32) {
	q := *cx
	qe := int64(q &^ 0xFFFF)
	a, c := m.a+int64(d), m.c+int64(d)
	bit := uint32(q & 1)
	next := &transitions[q&stateMask]
	if c < 0 { // the lower interval, that of the less probable symbol unless it became the greater
		c += qe
		if a < qe {
			*cx = next[0]
		} else {
			*cx = next[1]
			bit ^= 1
		}
		a = qe
	} else if a < qe {
		*cx = next[1]
		bit ^= 1
	} else {
		*cx = next[0]
	}
	shift := uint(bits.LeadingZeros32(uint32(a)))
	for {
		if m.count == 0 {
			c = m.byteIn(c)
		}
		n := min(shift, m.count)
		a <<= n
		c <<= n
		m.count -= n
		shift -= n
		if shift == 0 {
			break
		}
	}
	e := min(a-half, c)
	m.a, m.c = a-e, c-e
	return bit, int32(e)
}

// symbol decodes one symbol, for callers where speed does not matter.
func (m *mq) symbol(cx *context, d int32) (uint32, int32) {
	d -= int32(*cx &^ 0xFFFF)
	if d >= 0 {
		return uint32(*cx & 1), d
	}
	return m.renew(cx, d)
}

// raw reads the bits of a bypassed segment: after a byte of ones a bit is stuffed. Beyond the end there are ones.
type raw struct {
	data []byte
	cur  uint32
	n    uint
}

func (r *raw) start(data []byte) { *r = raw{data: data} }

func (r *raw) bit() uint32 {
	if r.n == 0 {
		r.n = 8
		if r.cur == 0xFF {
			r.n = 7
		}
		r.cur = 0xFF
		if len(r.data) > 0 {
			r.cur = uint32(r.data[0])
			r.data = r.data[1:]
		}
	}
	r.n--
	return r.cur >> r.n & 1
}
