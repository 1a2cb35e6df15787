package codestream

import (
	"bytes"
	"encoding/binary"
)

// Codestream is a parsed codestream: its headers, and the positions of each tile's packets.
type Codestream struct {
	Size      *Size
	Coding    *TileCoding // of the main header
	Tiles     []TileParts // by tile index
	Truncated bool        // the data end within a tile-part; only with Options.Partial
}

// TileParts holds the data of a tile's tile-parts.
type TileParts struct {
	Coding *TileCoding // nil: no tile-part of the tile was there
	Body   [][]byte    // packets
	Heads  [][]byte    // packet headers of PPM or PPT, in order; nil: they stand in the packets
	packed bool
	ppt    map[int][]byte
	pocSet bool
	last   int // TPsot of the last tile-part seen
}

// Options configures Parse.
type Options struct {
	Partial bool // a truncated codestream is not an error
}

// Parse reads the headers of a codestream. Data after its end are ignored, as are marker segments that only inform.
// It keeps slices of data.
func Parse(data []byte, budget *Budget, opt Options) (*Codestream, error) {
	if len(data) < 4 || binary.BigEndian.Uint16(data) != soc {
		return nil, malformed("no SOC marker at the beginning")
	}
	p := &parser{data: data, at: 2, opt: opt, budget: budget}
	if err := p.mainHeader(); err != nil {
		return nil, err
	}
	if err := p.tileParts(); err != nil {
		return nil, err
	}
	return &p.cs, nil
}

// ParseHeader reads the main header alone.
func ParseHeader(data []byte, budget *Budget) (*Size, *TileCoding, error) {
	if len(data) < 4 || binary.BigEndian.Uint16(data) != soc {
		return nil, nil, malformed("no SOC marker at the beginning")
	}
	p := &parser{data: data, at: 2, budget: budget}
	if err := p.mainHeader(); err != nil {
		return nil, nil, err
	}
	return p.cs.Size, p.cs.Coding, nil
}

type parser struct {
	data   []byte
	at     int
	opt    Options
	budget *Budget
	cs     Codestream
	ppm    map[int][]byte
	heads  [][]byte // packed headers of the tile-parts to come, from PPM
}

func (p *parser) marker() (int, error) {
	if p.at+2 > len(p.data) {
		return 0, truncated("the data end at byte %d, where a marker is expected", p.at)
	}
	m := int(binary.BigEndian.Uint16(p.data[p.at:]))
	if m < 0xFF00 {
		return 0, malformed("%04X at byte %d is no marker", m, p.at)
	}
	p.at += 2
	return m, nil
}

func (p *parser) mainHeader() error {
	for {
		m, err := p.marker()
		if err != nil {
			return err
		}
		if m == sot {
			break
		}
		if alone(m) {
			continue
		}
		payload, end, err := segment(p.data, p.at, m)
		if err != nil {
			return err
		}
		p.at = end
		if err := p.mainSegment(m, payload); err != nil {
			return err
		}
	}
	if p.cs.Size == nil {
		return malformed("no SIZ marker segment before the first tile-part")
	}
	if p.ppm != nil {
		return p.joinPPM()
	}
	return nil
}

func (p *parser) mainSegment(m int, payload []byte) error {
	cs := &p.cs
	if m == siz {
		if cs.Size != nil {
			return malformed("a second SIZ marker segment")
		}
		s, err := parseSize(payload)
		if err != nil {
			return err
		}
		n := int64(len(s.Components))
		if err := p.budget.Take("component descriptions", n, codingBytes); err != nil {
			return err
		}
		if err := p.budget.Take("tiles", int64(s.TilesX*s.TilesY), tilePartsBytes); err != nil {
			return err
		}
		cs.Size = s
		cs.Coding = &TileCoding{Comps: make([]Coding, n)}
		cs.Tiles = make([]TileParts, s.TilesX*s.TilesY)
		return nil
	}
	if cs.Size == nil {
		return malformed("marker segment %04X before SIZ", m)
	}
	if part2(m) {
		return unsupported("marker segment %04X of Part 2 changes what samples mean", m)
	}
	switch m {
	case cap:
		r := &reader{data: payload}
		bits := r.u32()
		if bits&(1<<17) != 0 { // Pcap15
			cs.Size.HighThroughput = true
			for part := 1; part < 15; part++ {
				if bits&(1<<(32-part)) != 0 {
					r.u16()
				}
			}
			cs.Size.HighThroughputCaps = r.u16()
		}
		return nil
	case ppm:
		if len(payload) < 1 {
			return malformed("an empty PPM marker segment")
		}
		if p.ppm == nil {
			p.ppm = map[int][]byte{}
		}
		if p.ppm[int(payload[0])] != nil {
			return malformed("two PPM marker segments have number %d", payload[0])
		}
		p.ppm[int(payload[0])] = payload[1:]
		return nil
	}
	_, err := cs.Coding.apply(m, payload)
	return err
}

// joinPPM cuts the packed headers of the main header into those of each tile-part.
func (p *parser) joinPPM() error {
	all, err := join(p.ppm, p.budget)
	if err != nil {
		return err
	}
	for len(all) > 0 {
		if len(all) < 4 {
			return truncated("PPM ends within a length")
		}
		n := int64(binary.BigEndian.Uint32(all))
		if n > int64(len(all)-4) {
			return truncated("PPM says %d bytes for a tile-part, %d are left", n, len(all)-4)
		}
		p.heads = append(p.heads, all[4:4+n])
		all = all[4+n:]
	}
	return nil
}

// join puts numbered pieces together in their order.
func join(pieces map[int][]byte, budget *Budget) ([]byte, error) {
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	if err := budget.Take("packed packet headers", int64(total), 1); err != nil {
		return nil, err
	}
	all := make([]byte, 0, total)
	for i := range 256 {
		all = append(all, pieces[i]...)
	}
	return all, nil
}

// Sizes of what a header makes the parser allocate, in bytes, rounded up.
const (
	codingBytes    = 2600
	tilePartsBytes = 160
	partBytes      = 64
)

// tileParts reads the tile-parts; p.at is behind the first SOT marker.
func (p *parser) tileParts() error {
	for {
		done, err := p.tilePart()
		if err != nil || done {
			return err
		}
		if p.at+2 > len(p.data) { // no EOC: what is missing shows in the tiles
			return nil
		}
		m, err := p.marker()
		switch {
		case err != nil || (m != sot && m != eoc):
			if blank(p.data[p.at:]) || p.opt.Partial {
				return nil
			}
			return malformed("a tile-part ends at byte %d, where neither another nor the end follows", p.at)
		case m == eoc:
			return nil
		}
	}
}

// blank reports whether data are padding.
func blank(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }

// tilePart reads one tile-part, from behind its SOT marker. It reports true when nothing can follow.
func (p *parser) tilePart() (done bool, err error) {
	start := p.at - 2
	payload, end, err := segment(p.data, p.at, sot)
	if err != nil {
		return p.cut(err)
	}
	r := &reader{data: payload}
	index, length, part, _ := r.u16(), r.u32(), r.u8(), r.u8()
	if r.short || len(payload) != 8 {
		return false, malformed("SOT at byte %d has %d bytes, want 8", start, len(payload))
	}
	if index >= len(p.cs.Tiles) {
		return false, malformed("SOT at byte %d is of tile %d, there are %d", start, index, len(p.cs.Tiles))
	}
	t := &p.cs.Tiles[index]
	if err := p.openTile(t, index, part); err != nil {
		return false, err
	}
	p.at = end
	if err := p.tileHeader(t, index, part); err != nil {
		return p.cut(err)
	}
	stop := len(p.data)
	switch {
	case length == 0: // to the end of the codestream
		done = true
		if bytes.HasSuffix(p.data[p.at:], []byte{0xFF, 0xD9}) {
			stop -= 2
		}
	case int64(start)+length < int64(p.at):
		return false, malformed("tile-part at byte %d says %d bytes, its header has %d", start, length, p.at-start)
	case int64(start)+length > int64(len(p.data)):
		if _, err := p.cut(truncated("tile-part at byte %d says %d bytes, %d are left", start, length,
			len(p.data)-start)); err != nil {
			return false, err
		}
		done = true
	default:
		stop = start + int(length)
	}
	if err := p.budget.Take("tile-parts", 1, partBytes); err != nil {
		return false, err
	}
	t.Body = append(t.Body, p.data[p.at:stop])
	p.at = stop
	return done, nil
}

// cut turns an error about truncated data into the end of the codestream, with Options.Partial.
func (p *parser) cut(err error) (bool, error) {
	if !p.opt.Partial {
		return false, err
	}
	p.cs.Truncated = true
	return true, nil
}

func (p *parser) openTile(t *TileParts, index, part int) error {
	if t.Coding == nil {
		if part != 0 {
			return malformed("the first tile-part of tile %d has number %d", index, part)
		}
		if err := p.budget.Take("component descriptions", int64(len(p.cs.Size.Components)), codingBytes); err != nil {
			return err
		}
		t.Coding = p.cs.Coding.clone()
	} else if part != t.last+1 {
		return malformed("tile-part %d of tile %d follows number %d", part, index, t.last)
	}
	t.last = part
	return nil
}

// tileHeader reads the marker segments of a tile-part up to SOD.
func (p *parser) tileHeader(t *TileParts, index, part int) error {
	t.ppt = nil
	for {
		m, err := p.marker()
		if err != nil {
			return err
		}
		if m == sod {
			break
		}
		if alone(m) {
			continue
		}
		payload, end, err := segment(p.data, p.at, m)
		if err != nil {
			return err
		}
		p.at = end
		if err := p.tileSegment(t, m, payload, index, part); err != nil {
			return err
		}
	}
	return p.packedHeads(t, index)
}

func (p *parser) tileSegment(t *TileParts, m int, payload []byte, index, part int) error {
	switch {
	case part2(m):
		return unsupported("marker segment %04X of Part 2 in tile %d", m, index)
	case m == ppt:
		if len(payload) < 1 {
			return malformed("an empty PPT marker segment in tile %d", index)
		}
		if t.ppt == nil {
			t.ppt = map[int][]byte{}
		}
		t.ppt[int(payload[0])] = payload[1:]
		return nil
	case m == poc && !t.pocSet: // the tile's own progressions replace those of the main header
		t.pocSet = true
		t.Coding.Volumes = nil
	case (m == cod || m == coc || m == qcd || m == qcc) && part > 0:
		return malformed("marker segment %04X in tile-part %d of tile %d, allowed in the first alone", m, part, index)
	case m == sot || m == soc || m == siz || m == eoc:
		return malformed("marker %04X in the header of tile %d", m, index)
	}
	_, err := t.Coding.apply(m, payload)
	return err
}

// packedHeads takes the packed packet headers of a tile-part.
func (p *parser) packedHeads(t *TileParts, index int) error {
	if p.ppm != nil {
		if len(p.heads) == 0 {
			return malformed("PPM has no packet headers for a tile-part of tile %d", index)
		}
		t.Heads = append(t.Heads, p.heads[0])
		p.heads = p.heads[1:]
		t.packed = true
		return nil
	}
	if t.ppt != nil {
		all, err := join(t.ppt, p.budget)
		if err != nil {
			return err
		}
		t.Heads = append(t.Heads, all)
		t.packed = true
	}
	return nil
}
