package jpeg

import "encoding/binary"

// bits reads the entropy-coded bits of a scan from the most significant on. At a marker it goes on with zeros and counts
// them: a scan that needs more than a few ended early.
type bits struct {
	data []byte
	pos  int    // of the next byte
	acc  uint64 // bits not yet taken, the next in the highest place
	n    int    // how many of them
	over int    // zero bits that stood in for missing ones
}

// fill makes sure that at least 48 bits are there.
func (b *bits) fill() {
	if b.n >= 48 {
		return
	}
	if b.pos+8 <= len(b.data) {
		next := binary.BigEndian.Uint64(b.data[b.pos:])
		if without255(next) {
			take := (64 - b.n) / 8
			b.acc |= next >> (64 - 8*take) << (64 - 8*take) >> b.n
			b.pos += take
			b.n += 8 * take
			return
		}
	}
	for b.n <= 56 {
		c := uint64(0)
		switch {
		case b.pos >= len(b.data):
			b.over += 8
		case b.data[b.pos] != 0xFF:
			c = uint64(b.data[b.pos])
			b.pos++
		case b.pos+1 < len(b.data) && b.data[b.pos+1] == 0: // a stuffed zero
			c = 0xFF
			b.pos += 2
		default: // a marker
			b.over += 8
		}
		b.acc |= c << (56 - b.n)
		b.n += 8
	}
}

// without255 reports whether none of the eight bytes is 0xFF.
func without255(v uint64) bool {
	v = ^v
	return (v-0x0101010101010101)&^v&0x8080808080808080 == 0
}

// missing reports whether bits were taken that the scan does not have.
func (b *bits) missing() bool { return b.over > b.n }

// align drops what is left of the current byte and everything that was read ahead, up to the marker at pos.
func (b *bits) align() {
	b.acc, b.n, b.over = 0, 0, 0
}

// receive takes n bits, at most 16, and extends them as T.81 (F.2.2.1) says: values below half are negative.
func (b *bits) receive(n int) int32 {
	if n == 0 {
		return 0
	}
	v := int32(b.acc >> (64 - n))
	b.acc <<= n
	b.n -= n
	if v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

// table is a Huffman table: short codes are looked up at once, longer ones length by length.
type table struct {
	quick  [1 << quickBits]uint16 // length << 8 | symbol, 0 where the code is longer
	most   [18]int32              // the greatest code of a length, -1 where there is none
	offset [17]int32              // of the symbol of a length's first code, less that code
	values []uint8
}

const quickBits = 10

// newTable builds a table from its counts of each length and its symbols (T.81, annex C).
func newTable(counts [16]uint8, values []uint8) (*table, bool) {
	t := &table{values: values}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		n := int32(counts[length-1])
		t.offset[length] = k - code
		if code+n > 1<<length {
			return nil, false
		}
		if length <= quickBits {
			for i := range n {
				first := (code + i) << (quickBits - length)
				for j := range int32(1) << (quickBits - length) {
					t.quick[first+j] = uint16(length)<<8 | uint16(values[k+i])
				}
			}
		}
		k += n
		code += n
		t.most[length] = code - 1
		if n == 0 {
			t.most[length] = -1
		}
		code <<= 1
	}
	t.most[17] = -1
	return t, true
}

// symbol takes the next symbol. At least 16 bits are there. It returns -1 for a code that is none.
func (b *bits) symbol(t *table) int {
	if e := t.quick[b.acc>>(64-quickBits)]; e != 0 {
		n := int(e >> 8)
		b.acc <<= n
		b.n -= n
		return int(e & 0xFF)
	}
	for length := quickBits + 1; length <= 16; length++ {
		code := int32(b.acc >> (64 - length))
		if t.most[length] >= 0 && code <= t.most[length] && code+t.offset[length] >= 0 {
			k := code + t.offset[length]
			if int(k) >= len(t.values) {
				return -1
			}
			b.acc <<= length
			b.n -= length
			return int(t.values[k])
		}
	}
	return -1
}
