package codestream

import (
	"bytes"
	"math/bits"
)

// maxPasses is an upper bound of the passes of a code-block: three for each of at most 38 + 7 + 37 planes.
const maxPasses = 250

// manyPasses stands for a segment without a limit.
const manyPasses = 255

// ReadPackets reads all packets of the tile, so that Segments can return the data of each code-block. With
// partial, missing packets leave their code-blocks unchanged, and cut reports that some were missing.
func (t *Tile) ReadPackets(parts *TileParts, partial bool) (cut bool, err error) {
	if err := t.gather(parts); err != nil {
		return false, err
	}
	q := &packets{tile: t, packed: parts.packed}
	for _, h := range parts.Heads {
		q.heads = append(q.heads, h...)
	}
	err = t.progress(q)
	if err != nil && partial {
		return true, nil
	}
	return false, err
}

// gather concatenates the bodies of the tile-parts.
func (t *Tile) gather(parts *TileParts) error {
	total := 0
	for _, b := range parts.Body {
		total += len(b)
	}
	if total >= 1<<31-1 {
		return unsupported("a tile of %d bytes", total)
	}
	heads := 0
	for _, h := range parts.Heads {
		heads += len(h)
	}
	if len(parts.Body) == 1 {
		t.body = parts.Body[0]
		total = 0
	}
	if err := t.budget.Take("bytes of tile-parts", int64(total+heads), 1); err != nil {
		return err
	}
	if len(parts.Body) > 1 {
		t.body = bytes.Join(parts.Body, nil)
	}
	return nil
}

// packets reads packets one after the other.
type packets struct {
	tile   *Tile
	at     int // in the tile's body
	packed bool
	heads  []byte
}

// read reads the packet of a precinct for its next layer.
func (q *packets) read(comp *TileComp, r *Resolution, k int, layer int) error {
	t := q.tile
	if t.Coding.SOP && bytes.HasPrefix(t.body[q.at:], []byte{sop >> 8, sop & 0xFF}) {
		if len(t.body)-q.at < 6 {
			return truncated("the data end within an SOP marker segment")
		}
		q.at += 6
	}
	b := headBits{data: t.body, at: q.at}
	if q.packed {
		b = headBits{data: q.heads}
	}
	start := t.firstNew()
	if b.at >= len(b.data) {
		return truncated("packets are missing, from layer %d on", layer)
	}
	if b.bit() == 1 {
		for i := range r.Bands {
			if err := q.bandHead(&b, comp.Coding, &r.Bands[i], &r.precincts[k], i, layer); err != nil {
				return err
			}
		}
	}
	b.align()
	if b.short {
		return truncated("the data end within a packet header of layer %d", layer)
	}
	if t.Coding.EPH && bytes.HasPrefix(b.data[b.at:], []byte{eph >> 8, eph & 0xFF}) {
		b.at += 2
	}
	if q.packed {
		q.heads = q.heads[b.at:]
	} else {
		q.at = b.at
	}
	return q.bodies(start)
}

// firstNew is the number of chunks so far.
func (t *Tile) firstNew() int { return len(t.chunks) }

// bodies assigns bytes to the chunks that the header announced.
func (q *packets) bodies(from int) error {
	t := q.tile
	for i := from; i < len(t.chunks); i++ {
		c := &t.chunks[i]
		if int(c.n) > len(t.body)-q.at {
			return q.shorten(i, truncated("a code-block has %d bytes in a packet, %d are left", c.n, len(t.body)-q.at))
		}
		c.at = int32(q.at)
		q.at += int(c.n)
	}
	return nil
}

// shorten distributes the remaining bytes to the chunks from i on, for partial decoding.
func (q *packets) shorten(i int, err error) error {
	t := q.tile
	for ; i < len(t.chunks); i++ {
		c := &t.chunks[i]
		c.n = min(c.n, int32(len(t.body)-q.at))
		c.at = int32(q.at)
		q.at += int(c.n)
	}
	return err
}

func (q *packets) bandHead(b *headBits, c *Coding, band *Band, p *precinct, i, layer int) error {
	f := &p.bands[i]
	for y := range f.h {
		for x := range f.w {
			blk := &band.Blocks[f.first+y*f.w+x]
			if !blk.included {
				if v, done := f.inclusion.decode(b, x, y, uint16(min(layer+1, 65535))); !done || int(v) > layer {
					continue
				}
				z, err := zeroPlanes(b, &f.zero, x, y, band.Planes)
				if err != nil {
					return err
				}
				blk.ZeroPlanes, blk.included = z, true
			} else if b.bit() == 0 {
				continue
			}
			if err := q.blockHead(b, c, blk); err != nil {
				return err
			}
			if b.short {
				return truncated("the data end within a packet header of layer %d", layer)
			}
		}
	}
	return nil
}

func zeroPlanes(b *headBits, t *tagTree, x, y, planes int) (uint8, error) {
	for limit := uint16(1); ; limit++ {
		v, done := t.decode(b, x, y, limit)
		if done {
			return uint8(v), nil
		}
		if b.short {
			return 0, truncated("the data end within a packet header")
		}
		if int(v) > planes {
			return 0, malformed("a code-block has more than %d empty bit-planes, its subband has %d", v-1, planes)
		}
	}
}

// passCount reads a number of coding passes, T.800 table B.4.
func passCount(b *headBits) int {
	if b.bit() == 0 {
		return 1
	}
	if b.bit() == 0 {
		return 2
	}
	if n := b.bits(2); n < 3 {
		return 3 + int(n)
	}
	if n := b.bits(5); n < 31 {
		return 6 + int(n)
	}
	return 37 + int(b.bits(7))
}

// blockHead reads what a packet header says of one code-block that contributes to the packet.
func (q *packets) blockHead(b *headBits, c *Coding, blk *Block) error {
	n := passCount(b)
	for b.bit() == 1 {
		blk.lblock++
		if blk.lblock > 32 {
			return malformed("a code-block has lengths of more than 32 bits")
		}
	}
	if int(blk.Passes)+n > maxPasses {
		return malformed("a code-block has more than %d coding passes", maxPasses)
	}
	if blk.waiting {
		var err error
		if n, err = q.firstHT(b, c, blk, n); err != nil {
			return err
		}
	}
	for n > 0 {
		s, err := q.segment(c, blk)
		if err != nil {
			return err
		}
		m := min(n, int(s.limit)-int(s.Passes))
		if err := q.chunk(blk, s, m, b.bits(int(blk.lblock)+log2(m))); err != nil {
			return err
		}
		n -= m
	}
	return nil
}

// log2 returns the logarithm rounded down, of n >= 1.
func log2(n int) int { return bits.Len(uint(n)) - 1 }

// segment returns the segment that takes the block's next pass.
func (q *packets) segment(c *Coding, blk *Block) (*Segment, error) {
	t := q.tile
	if blk.last >= 0 {
		if s := &t.segments[blk.last]; s.Passes < s.limit {
			return s, nil
		}
	}
	limit := uint8(manyPasses)
	switch {
	case blk.HT && blk.Passes%3 == 0:
		limit = 1
	case blk.HT:
		limit = 2
	case c.Style&StyleTermAll != 0:
		limit = 1
	case c.Style&StyleBypass != 0:
		switch {
		case blk.Passes < 10:
			limit = 10
		case blk.Passes%3 == 1: // significance and refinement, raw
			limit = 2
		default:
			limit = 1
		}
	}
	return q.newSegment(blk, limit)
}

func (q *packets) newSegment(blk *Block, limit uint8) (*Segment, error) {
	t := q.tile
	if err := t.budget.Take("codeword segments", 1, 2*segmentBytes); err != nil {
		return nil, err
	}
	i := int32(len(t.segments))
	t.segments = append(t.segments, Segment{limit: limit, next: -1, first: -1, last: -1})
	if blk.last >= 0 {
		t.segments[blk.last].next = i
	} else {
		blk.first = i
	}
	blk.last = i
	return &t.segments[i], nil
}

// chunk adds passes and bytes to a segment. The bytes follow the packet header.
func (q *packets) chunk(blk *Block, s *Segment, passes int, n uint32) error {
	t := q.tile
	if int64(n) > int64(len(t.body)) {
		return truncated("a code-block says %d bytes, its tile has %d", n, len(t.body))
	}
	s.Passes += uint8(passes)
	blk.Passes += uint8(passes)
	if n == 0 {
		return nil
	}
	if int64(s.Length)+int64(n) > 1<<30 {
		return malformed("a codeword segment of more than 2^30 bytes")
	}
	s.Length += int32(n)
	if err := t.budget.Take("pieces of code-blocks", 1, 2*chunkBytes); err != nil {
		return err
	}
	i := int32(len(t.chunks))
	t.chunks = append(t.chunks, chunk{n: int32(n), next: -1})
	if s.last >= 0 {
		t.chunks[s.last].next = i
	} else {
		s.first = i
	}
	s.last = i
	return nil
}

// firstHT reads the lengths of a T.814 block that has had no cleanup pass yet. Passes before it are
// placeholders without bytes, three per bit-plane. The width of the field is computed as if all passes were in
// one segment, so that a block of T.800 can take its place where the two are mixed; a length that T.814
// excludes then indicates T.800. It returns how many of the n passes are still to be read.
func (q *packets) firstHT(b *headBits, c *Coding, blk *Block, n int) (int, error) {
	mixed := c.Style&StyleMixed != 0
	if mixed && c.Style&(StyleBypass|StyleTermAll) != 0 {
		return 0, unsupported("mixed code-blocks of T.800 and T.814 with bypass or termination")
	}
	first := n - (int(blk.Passes)+n-1)%3 // passes up to the last that can be a cleanup
	has := first >= 1
	if !has {
		first = n
	}
	width := int(blk.lblock) + log2(first)
	length := b.bits(width)
	rest := log2(n) - log2(first)
	switch {
	case has && length > 1 && (!mixed || (blk.lblock > 3 && length>>(width-1) == 0)):
		blk.waiting = false
		blk.Passes += uint8(first - 1)
		s, err := q.newSegment(blk, 1)
		if err != nil {
			return 0, err
		}
		return n - first, q.chunk(blk, s, 1, length)
	case mixed:
		length = length<<rest | b.bits(rest)
		if length == 0 {
			break
		}
		blk.waiting, blk.HT = false, false
		s, err := q.newSegment(blk, manyPasses)
		if err != nil {
			return 0, err
		}
		return 0, q.chunk(blk, s, n, length)
	default:
		length = length<<rest | b.bits(rest)
		if length != 0 {
			return 0, malformed("a code-block of T.814 has %d bytes before its first cleanup pass", length)
		}
	}
	blk.Passes += uint8(n)
	return 0, nil
}
