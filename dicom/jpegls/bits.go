package jpegls

import "math/bits"

// reader reads the bits of a scan from the most significant on. After a byte of 0xFF the next has seven bits, its highest
// being zero; a higher one is a marker and ends the scan (T.87, 9.1).
type reader struct {
	data []byte
	pos  int
	acc  uint64 // bits not yet taken, the next in the highest place
	n    int
	over int // zero bits that stood in for missing ones
	ff   bool
}

// fill makes sure that at least 48 bits are there.
func (r *reader) fill() {
	for r.n <= 56 {
		if r.pos >= len(r.data) || r.ff && r.data[r.pos] >= 0x80 || r.data[r.pos] == 0xFF && r.pos+1 < len(r.data) && r.data[r.pos+1] >= 0x80 {
			r.over += 8
			r.n += 8
			continue
		}
		c := r.data[r.pos]
		r.pos++
		width := 8
		if r.ff {
			width = 7
		}
		r.acc |= uint64(c) << (64 - width - r.n)
		r.n += width
		r.ff = c == 0xFF
	}
}

// missing reports whether bits were taken that the scan does not have.
func (r *reader) missing() bool { return r.over > r.n }

// take takes n bits, at most 32.
func (r *reader) take(n int) int32 {
	if n == 0 {
		return 0
	}
	if r.n < n {
		r.fill()
	}
	v := int32(r.acc >> (64 - n))
	r.acc <<= n
	r.n -= n
	return v
}

// bit takes one bit.
func (r *reader) bit() int32 { return r.take(1) }

// zeros takes bits up to and with the first one, and counts the zeros before it, at most limit.
func (r *reader) zeros(limit int) (int, bool) {
	total := 0
	for {
		if r.n < 33 {
			r.fill()
		}
		z := min(bits.LeadingZeros64(r.acc), r.n)
		if z < r.n {
			total += z
			r.acc <<= z + 1
			r.n -= z + 1
			return total, total <= limit
		}
		total += z
		r.acc, r.n = 0, 0
		if total > limit || r.over > 64 {
			return total, false
		}
	}
}

// align drops what is left of the current byte and what was read ahead.
func (r *reader) align() { r.acc, r.n, r.over, r.ff = 0, 0, 0, false }
