package codestream

// Orient is the kind of a subband.
type Orient int

// The first letter is the horizontal filter: HL is high-pass horizontally.
const (
	LL Orient = iota
	HL
	LH
	HH
)

// Tile is the geometry of one tile and, after ReadPackets, the data of its code-blocks.
type Tile struct {
	Rect
	Coding *TileCoding
	Comps  []TileComp

	segments []Segment
	chunks   []chunk
	body     []byte
	budget   *Budget
}

// TileComp is a component of a tile.
type TileComp struct {
	Rect
	Coding      *Coding
	dx, dy      int64
	Resolutions []Resolution // from the coarsest
}

// Resolution is a tile-component at one resolution. Band 0 of resolution 0 is LL; others have HL, LH, HH.
type Resolution struct {
	Rect
	Bands     []Band
	precincts []precinct
	nx, ny    int64
	pw, ph    int // log2 of a precinct's size
}

// Band is a subband. Its code-blocks lie in raster order within each precinct.
type Band struct {
	Rect
	Orient Orient
	Planes int // magnitude bits, M_b, with those of a region of interest
	Step   Step
	Blocks []Block
}

type precinct struct {
	bands [3]struct {
		first, w, h     int // blocks of the band
		inclusion, zero tagTree
	}
	layer int // next layer
}

// Block is a code-block.
type Block struct {
	X, Y       int32 // from the band's first sample
	W, H       int16
	ZeroPlanes uint8
	HT         bool
	Passes     uint8
	included   bool
	waiting    bool // T.814: no cleanup pass was seen yet
	lblock     uint8
	first      int32 // segments, -1: none
	last       int32
}

// Segment is a terminated codeword of a code-block.
type Segment struct {
	Passes uint8
	limit  uint8
	Length int32
	next   int32
	first  int32 // chunks
	last   int32
}

type chunk struct {
	at, n int32
	next  int32
}

// Bytes that a tile's structure takes for each of its parts, rounded up.
const (
	precinctBytes = 352
	blockBytes    = 32 + 11 // nodes of two trees: 4/3 and a bit more of 4 bytes each, twice
	segmentBytes  = 32
	chunkBytes    = 12
	bandBytes     = 320
	tileCompBytes = 128
)

// NewTile computes the geometry of a tile, which follows from the headers.
func (cs *Codestream) NewTile(index int, budget *Budget) (*Tile, error) {
	s := cs.Size
	parts := &cs.Tiles[index]
	if parts.Coding == nil {
		return nil, truncated("tile %d of %d is missing", index, len(cs.Tiles))
	}
	if err := parts.Coding.check(s); err != nil {
		return nil, err
	}
	p, q := int64(index%s.TilesX), int64(index/s.TilesX)
	t := &Tile{Coding: parts.Coding, budget: budget}
	t.Rect = Rect{max(s.TileX0+p*s.TileW, s.X0), max(s.TileY0+q*s.TileH, s.Y0),
		min(s.TileX0+(p+1)*s.TileW, s.X1), min(s.TileY0+(q+1)*s.TileH, s.Y1)}
	if err := budget.Take("tile-components", int64(len(s.Components)), tileCompBytes); err != nil {
		return nil, err
	}
	t.Comps = make([]TileComp, len(s.Components))
	for i := range t.Comps {
		dx, dy := int64(s.Components[i].DX), int64(s.Components[i].DY)
		c := &t.Comps[i]
		c.Coding = &parts.Coding.Comps[i]
		c.dx, c.dy = dx, dy
		c.Rect = s.TileArea(index, i)
		if err := c.layOut(budget); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (c *TileComp) layOut(budget *Budget) error {
	levels := c.Coding.Levels
	if err := budget.Take("subbands", int64(3*levels+1), bandBytes); err != nil {
		return err
	}
	c.Resolutions = make([]Resolution, levels+1)
	for i := range c.Resolutions {
		r := &c.Resolutions[i]
		n := uint(levels - i)
		r.Rect = Rect{shiftUp(c.X0, n), shiftUp(c.Y0, n), shiftUp(c.X1, n), shiftUp(c.Y1, n)}
		r.pw, r.ph = c.Coding.Precincts[i].W, c.Coding.Precincts[i].H
		if !r.Empty() {
			r.nx = shiftUp(r.X1, uint(r.pw)) - r.X0>>r.pw
			r.ny = shiftUp(r.Y1, uint(r.ph)) - r.Y0>>r.ph
		}
		if i == 0 {
			r.Bands = []Band{c.band(LL, levels, 0)}
		} else {
			r.Bands = []Band{c.band(HL, levels-i+1, 3*i-2), c.band(LH, levels-i+1, 3*i-1), c.band(HH, levels-i+1, 3*i)}
		}
		if err := r.divide(c.Coding, i, budget); err != nil {
			return err
		}
	}
	return nil
}

// shiftUp returns v / 2^n rounded up.
func shiftUp(v int64, n uint) int64 { return (v + 1<<n - 1) >> n }

// band returns a subband of decomposition level n; index counts the steps in the header.
func (c *TileComp) band(o Orient, n, index int) Band {
	b := Band{Orient: o, Step: c.Coding.Steps[index]}
	b.Planes = max(c.Coding.Guard+b.Step.Exp-1, 0) + c.Coding.ROIShift
	if n == 0 {
		b.Rect = c.Rect
		return b
	}
	ox, oy := int64(o&1), int64(o>>1)
	half := int64(1) << (n - 1)
	at := func(v, o int64) int64 { return max(shiftUp(v-half*o, uint(n)), 0) }
	b.Rect = Rect{at(c.X0, ox), at(c.Y0, oy), at(c.X1, ox), at(c.Y1, oy)}
	return b
}

// divide cuts the subbands of a resolution into precincts and code-blocks.
func (r *Resolution) divide(c *Coding, index int, budget *Budget) error {
	// Beyond these limits the product would overflow.
	if r.nx > 1<<31 || r.ny > 1<<31 {
		return malformed("%d x %d precincts", r.nx, r.ny)
	}
	if err := budget.Take("precincts", r.nx*r.ny, precinctBytes); err != nil {
		return err
	}
	pw, ph := r.pw, r.ph
	if index > 0 {
		pw, ph = pw-1, ph-1
	}
	bw, bh := min(c.BlockW, pw), min(c.BlockH, ph)
	for i := range r.Bands {
		b := &r.Bands[i]
		if b.Empty() {
			continue
		}
		n := (shiftUp(b.X1, uint(bw)) - b.X0>>bw) * (shiftUp(b.Y1, uint(bh)) - b.Y0>>bh)
		if err := budget.Take("code-blocks", n, blockBytes); err != nil {
			return err
		}
		b.Blocks = make([]Block, 0, n)
	}
	r.precincts = make([]precinct, r.nx*r.ny)
	for k := range r.precincts {
		px, py := r.X0>>r.pw+int64(k)%r.nx, r.Y0>>r.ph+int64(k)/r.nx
		area := Rect{px << pw, py << ph, (px + 1) << pw, (py + 1) << ph}
		for i := range r.Bands {
			r.precincts[k].fill(i, &r.Bands[i], area, bw, bh, c.Style)
		}
	}
	return nil
}

// fill creates the code-blocks of a band within a precinct, whose area is given in the band's samples.
func (p *precinct) fill(i int, b *Band, area Rect, bw, bh, style int) {
	a := Rect{max(area.X0, b.X0), max(area.Y0, b.Y0), min(area.X1, b.X1), min(area.Y1, b.Y1)}
	if a.Empty() {
		return
	}
	x0, y0 := a.X0>>bw, a.Y0>>bh
	x1, y1 := shiftUp(a.X1, uint(bw)), shiftUp(a.Y1, uint(bh))
	f := &p.bands[i]
	f.first, f.w, f.h = len(b.Blocks), int(x1-x0), int(y1-y0)
	n := tagNodes(x1-x0, y1-y0)
	nodes := make([]node, 2*n)
	f.inclusion = tagTree{f.w, f.h, nodes[:n]}
	f.zero = tagTree{f.w, f.h, nodes[n:]}
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			left, top := max(x<<bw, a.X0), max(y<<bh, a.Y0)
			right, bottom := min((x+1)<<bw, a.X1), min((y+1)<<bh, a.Y1)
			b.Blocks = append(b.Blocks, Block{
				X: int32(left - b.X0), Y: int32(top - b.Y0), W: int16(right - left), H: int16(bottom - top),
				HT: style&StyleHT != 0, waiting: style&StyleHT != 0, lblock: 3, first: -1, last: -1,
			})
		}
	}
}

// Segments calls yield for each codeword segment of a block, in order, with its bytes appended to buf[:0]. The bytes are
// valid until the next call.
func (t *Tile) Segments(b *Block, buf []byte, yield func(s *Segment, data []byte) error) ([]byte, error) {
	for i := b.first; i >= 0; i = t.segments[i].next {
		s := &t.segments[i]
		buf = buf[:0]
		for c := s.first; c >= 0; c = t.chunks[c].next {
			buf = append(buf, t.body[t.chunks[c].at:][:t.chunks[c].n]...)
		}
		if err := yield(s, buf); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// CodedPasses returns the passes of a block that have a codeword segment; placeholders of T.814 have none.
func (t *Tile) CodedPasses(b *Block) int {
	n := 0
	for i := b.first; i >= 0; i = t.segments[i].next {
		n += int(t.segments[i].Passes)
	}
	return n
}

// CodedBytes returns the bytes of a block's segments.
func (t *Tile) CodedBytes(b *Block) int {
	n := 0
	for i := b.first; i >= 0; i = t.segments[i].next {
		n += int(t.segments[i].Length)
	}
	return n
}
