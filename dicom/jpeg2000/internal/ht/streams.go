package ht

import "encoding/binary"

// forward reads bits from the lowest of each byte on. After a byte of ones the next has seven bits. Beyond the end come
// bytes of fill, all ones or all zeros.
type forward struct {
	data []byte
	fill uint8
	acc  uint64
	n    uint // bits in acc
	ff   bool // the last byte was one of ones
}

// need makes sure that n bits are in acc, at most 56.
func (f *forward) need(n uint) {
	for f.n < n {
		if len(f.data) >= 4 && f.n <= 32 && !f.ff {
			if x := binary.LittleEndian.Uint32(f.data); !hasOnes(x) {
				f.acc |= uint64(x) << f.n
				f.n += 32
				f.data = f.data[4:]
				continue
			}
		}
		b := f.fill
		if len(f.data) > 0 {
			b = f.data[0]
			f.data = f.data[1:]
		}
		f.acc |= uint64(b) << f.n
		f.n += 8
		if f.ff {
			f.n--
			f.acc &= 1<<f.n - 1
		}
		f.ff = b == 0xFF
	}
}

// hasOnes reports whether one of four bytes is 0xFF.
func hasOnes(x uint32) bool {
	return (^x-0x01010101)&x&0x80808080 != 0
}

// bit reads one bit.
func (f *forward) bit() uint32 {
	f.need(1)
	b := uint32(f.acc & 1)
	f.acc >>= 1
	f.n--
	return b
}

// backward reads bytes from the last one on, and bits from the lowest of each byte on. A byte whose lower seven bits are
// ones has no eighth bit if the byte read before was greater than 0x8F. Beyond the beginning come zeros.
type backward struct {
	data []byte
	last uint8
	acc  uint64
	n    uint
}

// need makes sure that n bits are in acc, at most 56.
func (f *backward) need(n uint) {
	for f.n < n {
		if k := len(f.data); k >= 4 && f.n <= 32 {
			x := binary.BigEndian.Uint32(f.data[k-4:])
			if !hasOnes(x | 0x80808080) {
				f.acc |= uint64(x) << f.n
				f.n += 32
				f.last = uint8(x >> 24)
				f.data = f.data[:k-4]
				continue
			}
		}
		b := uint8(0)
		if k := len(f.data); k > 0 {
			b = f.data[k-1]
			f.data = f.data[:k-1]
		}
		f.acc |= uint64(b) << f.n
		f.n += 8
		if f.last > 0x8F && b&0x7F == 0x7F {
			f.n--
			f.acc &= 1<<f.n - 1
		}
		f.last = b
	}
}

func (f *backward) take(n uint) {
	f.acc >>= n
	f.n -= n
}

// bit reads one bit.
func (f *backward) bit() uint32 {
	f.need(1)
	b := uint32(f.acc & 1)
	f.take(1)
	return b
}

// mel decodes events by runs of adaptive length. The last bytes of the stream belong to codewords in part: there it reads
// ones.
type mel struct {
	data  []byte
	at    int
	cur   uint32
	n     uint
	state uint8
	run   uint8 // events of zero to come
	one   bool  // and one of one
}

// runBits is the logarithm of a run's length in each state.
var runBits = [13]uint8{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5}

func (m *mel) bit() uint32 {
	if m.n == 0 {
		m.n = 8
		if m.cur == 0xFF {
			m.n = 7
		}
		m.cur = 0xFF
		if m.at < len(m.data)-1 {
			m.cur = uint32(m.data[m.at])
			if m.at == len(m.data)-2 {
				m.cur |= 0x0F
			}
		}
		m.at++
	}
	m.n--
	return m.cur >> m.n & 1
}

// event decodes the next event.
func (m *mel) event() bool {
	if m.run == 0 && !m.one {
		e := runBits[m.state]
		if m.bit() == 1 {
			m.run = 1 << e
			m.state = min(m.state+1, 12)
		} else {
			for range e {
				m.run = m.run<<1 | uint8(m.bit())
			}
			m.one = true
			if m.state > 0 {
				m.state--
			}
		}
	}
	if m.run > 0 {
		m.run--
		return false
	}
	m.one = false
	return true
}
