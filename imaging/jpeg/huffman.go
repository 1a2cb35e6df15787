package jpeg

import "errors"

// lookBits is the length of the codes that are looked up at once.
const lookBits = 9

// huffman is a Huffman code (T.81, annex C and F.2.2.3).
type huffman struct {
	look [1 << lookBits]uint16 // of the next bits: length << 8 | symbol, 0 for a longer code
	// small holds AC coefficients whose code and value fit into the next bits: value << 8 | run << 4 | length of both.
	small  [1 << lookBits]int16
	most   [18]int32 // the greatest code of a length, -1 for none
	offset [17]int32 // what to add to a code of a length to find its symbol
	symbol []byte
}

// newHuffman makes a code of the numbers of codes of each length, and the symbols.
func newHuffman(counts, symbols []byte) (*huffman, error) {
	h := &huffman{symbol: append([]byte(nil), symbols...)}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		h.offset[length] = k - code
		h.most[length] = -1
		for range counts[length-1] {
			if code >= 1<<length {
				return nil, errors.New("huffman table: too many codes")
			}
			if length <= lookBits {
				shift := lookBits - length
				for i := code << shift; i < (code+1)<<shift; i++ {
					h.look[i] = uint16(length)<<8 | uint16(symbols[k])
				}
			}
			h.most[length] = code
			code++
			k++
		}
		code <<= 1
	}
	h.setSmall()
	return h, nil
}

func (h *huffman) setSmall() {
	for i, e := range h.look {
		length, run, size := int(e>>8), int(e>>4&15), int(e&15)
		if e == 0 || size == 0 || length+size > lookBits {
			continue
		}
		v := i >> (lookBits - length - size) & (1<<size - 1)
		if v < 1<<(size-1) {
			v += -1<<size + 1
		}
		if v >= -128 && v <= 127 {
			h.small[i] = int16(v<<8 | run<<4 | (length + size))
		}
	}
}

// huffman reads DHT (T.81, B.2.4.2).
func (d *decoder) huffman(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]>>4 > 1 || b[0]&15 > 3 {
			return errors.New("huffman table: malformed")
		}
		n := 0
		for _, c := range b[1:17] {
			n += int(c)
		}
		if n > 256 || len(b) < 17+n {
			return errors.New("huffman table: malformed")
		}
		h, err := newHuffman(b[1:17], b[17:17+n])
		if err != nil {
			return err
		}
		d.huff[b[0]>>4][b[0]&15] = h
		b = b[17+n:]
	}
	return nil
}

// symbol reads a symbol; 32 bits must be there.
func (r *bits) symbol(h *huffman) (byte, error) {
	if e := h.look[r.acc>>(64-lookBits)]; e != 0 {
		r.acc <<= e >> 8
		r.n -= int(e >> 8)
		return byte(e), nil
	}
	for length := lookBits + 1; length <= 16; length++ {
		code := int32(r.acc >> (64 - length))
		if code <= h.most[length] {
			r.acc <<= length
			r.n -= length
			return h.symbol[code+h.offset[length]], nil
		}
	}
	return 0, errCorrupt
}
