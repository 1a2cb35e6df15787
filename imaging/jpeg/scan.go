package jpeg

import (
	"bytes"
	"errors"
	"fmt"
)

// errCorrupt says that coded data make no sense.
var errCorrupt = errors.New("corrupt data")

// decodeScan decodes the coded data that follow a scan header, and leaves the position behind them.
func (d *decoder) decodeScan(s *scanHeader) error {
	r := &bits{data: d.m.data, pos: d.m.pos}
	across := 0
	if !s.interleaved {
		across, _ = d.blocks(s.comps[0])
	}
	for my := range s.down {
		if err := d.goOn(); err != nil {
			return err
		}
		for mx := range s.across {
			if d.interval > 0 && s.sinceRestart == d.interval {
				if err := d.restart(s, r); err != nil {
					return err
				}
			}
			s.sinceRestart++
			var err error
			if s.interleaved {
				err = d.unit(s, r, mx, my)
			} else {
				err = d.block(s, r, s.comps[0], mx, my, across)
			}
			if err != nil {
				return err
			}
			if r.overrun() && !s.insufficient {
				s.insufficient = true
				if err := d.damage(s, r); err != nil {
					return err
				}
			}
		}
	}
	at := r.pos
	if !s.insufficient && r.toMarker() == nil && r.left()+r.pos-at > fillBytes {
		d.Extra += r.left() + r.pos - at
	}
	d.m.pos = r.pos
	return nil
}

// left returns how many whole bytes have been read and not used.
func (r *bits) left() int { return max(r.n-r.void, 0) / 8 }

// unit decodes the blocks of an interleaved scan's unit.
func (d *decoder) unit(s *scanHeader, r *bits, mx, my int) error {
	for _, i := range s.comps {
		c := &d.Components[i]
		across := d.Planes[i].Stride / 8
		for v := range c.V {
			for h := range c.H {
				if err := d.block(s, r, i, mx*c.H+h, my*c.V+v, across); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// block decodes block (bx, by) of component i, whose rows have across blocks.
func (d *decoder) block(s *scanHeader, r *bits, i, bx, by, across int) error {
	if !d.Progressive {
		p := &d.Planes[i]
		dst := p.Pix[8*(by*p.Stride+bx):]
		if s.insufficient {
			flat(dst, p.Stride, 128)
			return nil
		}
		var b [64]int32
		last, err := r.sequential(&b, s.dc[i], s.ac[i], &s.dcOf[i], d.used[i])
		switch {
		case err != nil:
			return err
		case last == 0:
			flat(dst, p.Stride, sample((b[0]<<passBits+1<<(passBits+2))>>(passBits+3)))
		default:
			idct(dst, p.Stride, &b)
		}
		return nil
	}
	if s.insufficient {
		return nil
	}
	b := (*[64]int16)(d.coeffs[i][64*(by*across+bx):])
	switch {
	case s.first == 0 && s.high == 0:
		diff, err := r.difference(s.dc[i])
		if err != nil {
			return err
		}
		s.dcOf[i] += diff
		b[0] = int16(s.dcOf[i] << s.low)
		return nil
	case s.first == 0:
		b[0] |= int16(r.bit() << s.low)
		return nil
	case s.high == 0:
		return r.band(b, s.ac[i], s)
	}
	return r.refine(b, s.ac[i], s)
}

// damage counts an interval whose data ended before it did.
func (d *decoder) damage(s *scanHeader, r *bits) error {
	marker := r.marker()
	if d.interval == 0 || marker < rst0 || marker > rst7 {
		return errEnd
	}
	return d.count(s)
}

func (d *decoder) count(s *scanHeader) error {
	if s.intervalBroken {
		return nil
	}
	s.intervalBroken = true
	if d.Damaged++; d.Damaged > maxDamaged {
		return fmt.Errorf("%w: more than %d restart interval is damaged", errCorrupt, maxDamaged)
	}
	return nil
}

// fillBytes is how many bytes some encoders leave before a marker.
const fillBytes = 4

// restart goes on behind a restart marker. Where another marker than the one due is found, it decides as libjpeg's
// jpeg_resync_to_restart does: one of the next two leaves the interval empty, one of the last two is passed over,
// others stand for the one due.
func (d *decoder) restart(s *scanHeader, r *bits) error {
	due := s.restarts & 7
	s.restarts++
	s.sinceRestart, s.eobRun, s.dcOf = 0, 0, [maxComponents]int32{}
	left := r.left() - r.pos
	if err := r.toMarker(); err != nil {
		return err
	}
	s.intervalBroken = false
	if left+r.pos > fillBytes && !s.insufficient { // bytes that nobody asked for: something was lost before them
		if err := d.count(s); err != nil {
			return err
		}
	}
	for {
		marker := r.marker()
		if marker < rst0 || marker > rst7 {
			return errEnd // another segment, though units are still due
		}
		switch ahead := (int(marker-rst0) - due) & 7; ahead {
		case 1, 2: // the marker of a later interval: this one has no data, which has been counted or will be
			r.empty()
			return nil
		case 6, 7:
			r.pos += 2
			if err := r.toMarker(); err != nil {
				return err
			}
			continue
		case 0:
		default:
			if err := d.count(s); err != nil {
				return err
			}
		}
		s.insufficient = false
		r.begin(r.pos + 2)
		return nil
	}
}

// bits reads the coded data of a scan, bit by bit. At a marker, or the end, it serves zeros.
type bits struct {
	data []byte
	pos  int    // of the byte that is read next
	acc  uint64 // bits, the next one on top
	n    int    // how many of them
	void int    // how many of them, the last ones, are made up
	stop bool   // pos is at a marker or the end
}

// begin starts afresh at pos.
func (r *bits) begin(pos int) { *r = bits{data: r.data, pos: pos} }

// empty starts an interval that has no data.
func (r *bits) empty() {
	r.begin(r.pos)
	r.stop = true
}

// overrun tells whether bits that are made up were used.
func (r *bits) overrun() bool { return r.n < r.void }

// marker returns the code of the marker that stopped reading, 0 at the end.
func (r *bits) marker() byte {
	if r.pos+1 >= len(r.data) {
		return 0
	}
	return r.data[r.pos+1]
}

// toMarker drops what is left of the interval, and finds the next marker.
func (r *bits) toMarker() error {
	for r.pos+1 < len(r.data) {
		i := bytes.IndexByte(r.data[r.pos:len(r.data)-1], 0xff)
		if i < 0 {
			break
		}
		r.pos += i
		switch r.marker() {
		case 0xff:
			r.pos++
		case 0:
			r.pos += 2
		default:
			return nil
		}
	}
	r.pos = len(r.data)
	return errEnd
}

// fill makes n at least 32.
func (r *bits) fill() {
	if p := r.pos; p+4 <= len(r.data) && !r.stop {
		b := r.data[p : p+4 : p+4]
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		if x := ^v; (x-0x01010101)&^x&0x80808080 == 0 { // no byte is 0xff
			r.acc |= uint64(v) << (32 - uint(r.n)&63)
			r.n += 32
			r.pos += 4
			return
		}
	}
	r.fillSlowly()
}

func (r *bits) fillSlowly() {
	for r.n <= 56 {
		c := byte(0)
		switch {
		case r.stop:
			r.void += 8
		case r.pos >= len(r.data):
			r.stop = true
			continue
		case r.data[r.pos] != 0xff:
			c = r.data[r.pos]
			r.pos++
		case r.pos+1 >= len(r.data):
			r.stop = true
			continue
		case r.data[r.pos+1] == 0:
			c = 0xff
			r.pos += 2
		case r.data[r.pos+1] == 0xff:
			r.pos++ // a fill byte
			continue
		default:
			r.stop = true
			continue
		}
		r.acc |= uint64(c) << (56 - uint(r.n)&63)
		r.n += 8
	}
}

// bit returns the next bit.
func (r *bits) bit() int32 {
	if r.n < 1 {
		r.fill()
	}
	v := int32(r.acc >> 63)
	r.acc <<= 1
	r.n--
	return v
}

// take returns the next k bits, 0 to 16 of them, which must be there.
func (r *bits) take(k int) int32 {
	v := int32(r.acc >> 1 >> (63 - uint(k)&63))
	r.acc <<= uint(k) & 63
	r.n -= k
	return v
}

// extended is take of a number that has its sign in its first bit (T.81, F.2.2.1).
func (r *bits) extended(k int) int32 {
	v := r.take(k)
	if v < 1<<k>>1 {
		v += -1<<k + 1
	}
	return v
}

// difference reads a DC difference.
func (r *bits) difference(h *huffman) (int32, error) {
	if r.n < 32 {
		r.fill()
	}
	k, err := r.symbol(h)
	if err != nil || k == 0 {
		return 0, err
	}
	if k > 15 {
		return 0, errCorrupt
	}
	return r.extended(int(k)), nil
}

// sequential decodes a whole block, times its quantisation, and returns the last coefficient that is not zero.
func (r *bits) sequential(b *[64]int32, dc, ac *huffman, mean *int32, q *[64]int32) (last int, err error) {
	diff, err := r.difference(dc)
	if err != nil {
		return 0, err
	}
	*mean += diff
	b[0] = *mean * q[0]
	for k := 1; k < 64; k++ {
		if r.n < 32 {
			r.fill()
		}
		if v := ac.small[r.acc>>(64-lookBits)]; v != 0 { // run, size and value at once
			k += int(v >> 4 & 15)
			if k > 63 {
				return 0, errCorrupt
			}
			r.acc <<= uint(v) & 15
			r.n -= int(v & 15)
			z := natural[k]
			b[z] = int32(v>>8) * q[z]
			last = k
			continue
		}
		rs, err := r.symbol(ac)
		if err != nil {
			return 0, err
		}
		run, size := int(rs>>4), int(rs&15)
		if size == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		k += run
		if k > 63 {
			return 0, errCorrupt
		}
		z := natural[k]
		b[z] = r.extended(size) * q[z]
		last = k
	}
	return last, nil
}

// band decodes the first bits of a band of coefficients (T.81, G.1.2.2).
func (r *bits) band(b *[64]int16, ac *huffman, s *scanHeader) error {
	if s.eobRun > 0 {
		s.eobRun--
		return nil
	}
	for k := s.first; k <= s.last; k++ {
		if r.n < 32 {
			r.fill()
		}
		rs, err := r.symbol(ac)
		if err != nil {
			return err
		}
		run, size := int(rs>>4), int(rs&15)
		if size == 0 {
			if run != 15 {
				s.eobRun = 1<<run - 1 + int(r.take(run))
				break
			}
			k += 15
			continue
		}
		k += run
		if k > s.last {
			return errCorrupt
		}
		b[natural[k]] = int16(r.extended(size) << s.low)
	}
	return nil
}

// refine decodes one more bit of a band (T.81, G.1.2.3).
func (r *bits) refine(b *[64]int16, ac *huffman, s *scanHeader) error {
	k, one := s.first, int16(1)<<s.low
	for s.eobRun == 0 && k <= s.last {
		if r.n < 32 {
			r.fill()
		}
		rs, err := r.symbol(ac)
		if err != nil {
			return err
		}
		run, size := int(rs>>4), int(rs&15)
		value := int16(0)
		switch {
		case size > 1:
			return errCorrupt
		case size == 1:
			if value = -one; r.bit() == 1 {
				value = one
			}
		case run != 15:
			s.eobRun = 1<<run + int(r.take(run))
		}
		if s.eobRun > 0 {
			break
		}
		k = r.correct(b, k, s.last, run, one)
		if value != 0 {
			if k > s.last {
				return errCorrupt
			}
			b[natural[k]] = value
		}
		k++
	}
	if s.eobRun > 0 {
		s.eobRun--
		r.correct(b, k, s.last, 64, one)
	}
	return nil
}

// correct reads a bit for each coefficient from k on that is not zero, until it has passed over zeros zeros and
// found the next, whose index it returns.
func (r *bits) correct(b *[64]int16, k, last, zeros int, one int16) int {
	for ; k <= last; k++ {
		c := &b[natural[k]]
		if *c == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if r.bit() == 1 && *c&one == 0 {
			if *c >= 0 {
				*c += one
			} else {
				*c -= one
			}
		}
	}
	return k
}
