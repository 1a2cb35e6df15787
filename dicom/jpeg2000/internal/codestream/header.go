package codestream

// Component is a component as the SIZ marker segment describes it.
type Component struct {
	Precision int  // bits of a sample
	Signed    bool // samples are in two's complement
	DX, DY    int  // distance of samples on the reference grid
}

// Size is the SIZ marker segment: the reference grid, its tiles and the components.
type Size struct {
	X0, Y0, X1, Y1     int64 // image area on the reference grid, X1 and Y1 exclusive
	TileX0, TileY0     int64 // origin of the first tile
	TileW, TileH       int64 // size of a tile
	TilesX, TilesY     int
	Components         []Component
	HighThroughput     bool // a CAP marker segment announces T.814
	HighThroughputCaps int  // Ccap15 of it
}

// CeilDiv returns a/b rounded up, for a >= 0 and b > 0.
func CeilDiv(a, b int64) int64 { return (a + b - 1) / b }

// Bounds returns the area of a component in its own samples.
func (s *Size) Bounds(c int) Rect {
	dx, dy := int64(s.Components[c].DX), int64(s.Components[c].DY)
	return Rect{CeilDiv(s.X0, dx), CeilDiv(s.Y0, dy), CeilDiv(s.X1, dx), CeilDiv(s.Y1, dy)}
}

// Rect is an area of samples; X1 and Y1 are exclusive.
type Rect struct{ X0, Y0, X1, Y1 int64 }

// W returns the width, H the height. Neither is negative.
func (r Rect) W() int64 { return max(r.X1-r.X0, 0) }

// H returns the height.
func (r Rect) H() int64 { return max(r.Y1-r.Y0, 0) }

// Empty reports whether the area has no samples.
func (r Rect) Empty() bool { return r.X1 <= r.X0 || r.Y1 <= r.Y0 }

// maxPrecision is limited by the int32 of decoded samples. T.800 allows 38.
const maxPrecision = 32

func parseSize(payload []byte) (*Size, error) {
	r := &reader{data: payload}
	r.u16() // Rsiz: capabilities are judged by the marker segments that follow
	s := &Size{}
	s.X1, s.Y1 = r.u32(), r.u32()
	s.X0, s.Y0 = r.u32(), r.u32()
	s.TileW, s.TileH = r.u32(), r.u32()
	s.TileX0, s.TileY0 = r.u32(), r.u32()
	n := r.u16()
	if r.short {
		return nil, truncated("SIZ has %d bytes", len(payload))
	}
	if n < 1 || n > 16384 {
		return nil, malformed("SIZ says %d components", n)
	}
	if len(r.data) < 3*n {
		return nil, truncated("SIZ describes %d of %d components", len(r.data)/3, n)
	}
	if s.X1 <= s.X0 || s.Y1 <= s.Y0 {
		return nil, malformed("SIZ gives an image area from (%d,%d) to (%d,%d)", s.X0, s.Y0, s.X1, s.Y1)
	}
	if s.TileW == 0 || s.TileH == 0 || s.TileX0 > s.X0 || s.TileY0 > s.Y0 || s.TileX0+s.TileW <= s.X0 ||
		s.TileY0+s.TileH <= s.Y0 {
		return nil, malformed("SIZ gives tiles of %dx%d from (%d,%d) for an image from (%d,%d)", s.TileW, s.TileH,
			s.TileX0, s.TileY0, s.X0, s.Y0)
	}
	across, down := CeilDiv(s.X1-s.TileX0, s.TileW), CeilDiv(s.Y1-s.TileY0, s.TileH)
	if across*down > 65535 {
		return nil, malformed("SIZ gives %d tiles, a codestream can have 65535", across*down)
	}
	s.TilesX, s.TilesY = int(across), int(down)
	s.Components = make([]Component, n)
	for i := range s.Components {
		depth, dx, dy := r.u8(), r.u8(), r.u8()
		if dx == 0 || dy == 0 {
			return nil, malformed("SIZ gives component %d a sample distance of %dx%d", i, dx, dy)
		}
		c := Component{Precision: depth&0x7F + 1, Signed: depth&0x80 != 0, DX: dx, DY: dy}
		if c.Precision > 38 {
			return nil, malformed("SIZ gives component %d %d bits", i, c.Precision)
		}
		if c.Precision > maxPrecision {
			return nil, unsupported("component %d has %d bits, at most %d are read", i, c.Precision, maxPrecision)
		}
		s.Components[i] = c
		if s.Bounds(i).Empty() {
			return nil, malformed("component %d has no samples", i)
		}
	}
	return s, nil
}

// Styles of code-blocks, T.800 table A.19 and T.814.
const (
	StyleBypass      = 1 << 0 // raw bits from the fifth bit-plane on
	StyleReset       = 1 << 1 // contexts are reset for each pass
	StyleTermAll     = 1 << 2 // each pass is terminated
	StyleCausal      = 1 << 3 // contexts do not look into the next stripe
	StylePredictable = 1 << 4 // termination by rule; needs nothing of a decoder
	StyleSegmark     = 1 << 5 // a symbol after each cleanup pass
	StyleHT          = 1 << 6 // code-blocks of T.814
	StyleMixed       = 1 << 7 // with StyleHT: of either kind
)

// Progression orders, T.800 table A.16.
const (
	LRCP = iota
	RLCP
	RPCL
	PCRL
	CPRL
)

// maxLevels is the greatest number of decompositions.
const maxLevels = 32

// Step is the quantisation of a subband: exponent and 11 bits of mantissa.
type Step struct{ Exp, Mant int }

// Coding holds the coding parameters of a component in a tile: COD or COC, QCD or QCC, and RGN.
type Coding struct {
	Levels     int // decompositions
	BlockW     int // log2 of a code-block's greatest width
	BlockH     int
	Style      int
	Reversible bool // 5/3, otherwise 9/7
	Precincts  [maxLevels + 1]struct{ W, H int }

	Quantised bool // false: exponents alone
	Guard     int
	Steps     []Step // LL, then HL, LH, HH of each level, from the coarsest
	ROIShift  int

	ownCoding, ownSteps bool // set by COC, QCC at the current level of headers
}

// Volume is a progression: the packets of the resolutions [R0, R1), components [C0, C1) and layers below L1.
type Volume struct {
	Order          int
	R0, R1, C0, C1 int
	L1             int
}

// TileCoding holds the coding parameters of a tile.
type TileCoding struct {
	Order   int // progression unless Volumes say more
	Layers  int
	Colour  bool // the first three components are transformed
	SOP     bool
	EPH     bool
	Comps   []Coding
	Volumes []Volume // from POC

	hasCoding, hasSteps bool
}

func (t *TileCoding) clone() *TileCoding {
	c := *t
	c.Comps = append([]Coding(nil), t.Comps...)
	for i := range c.Comps {
		c.Comps[i].ownCoding, c.Comps[i].ownSteps = false, false
	}
	c.Volumes = append([]Volume(nil), t.Volumes...)
	return &c
}

// apply reads a marker segment of a main or tile-part header. It returns false for unknown markers.
func (t *TileCoding) apply(marker int, payload []byte) (bool, error) {
	switch marker {
	case cod:
		return true, t.parseCOD(payload)
	case coc:
		return true, t.parseCOC(payload)
	case qcd:
		return true, t.parseQCD(payload)
	case qcc:
		return true, t.parseQCC(payload)
	case rgn:
		return true, t.parseRGN(payload)
	case poc:
		return true, t.parsePOC(payload)
	}
	return false, nil
}

func (t *TileCoding) parseCOD(payload []byte) error {
	r := &reader{data: payload}
	style := r.u8()
	order, layers, colour := r.u8(), r.u16(), r.u8()
	if r.short {
		return truncated("COD has %d bytes", len(payload))
	}
	if order > CPRL {
		return malformed("COD says progression order %d", order)
	}
	if layers == 0 {
		return malformed("COD says no layers")
	}
	if colour > 1 {
		return unsupported("COD asks for the component transform %d of Part 2", colour)
	}
	c, err := parseCodingStyle(r, style&1 != 0, "COD")
	if err != nil {
		return err
	}
	t.Order, t.Layers, t.Colour = order, layers, colour == 1
	t.SOP, t.EPH = style&2 != 0, style&4 != 0
	t.hasCoding = true
	for i := range t.Comps {
		if !t.Comps[i].ownCoding {
			t.Comps[i].setStyle(c)
		}
	}
	return nil
}

func (t *TileCoding) parseCOC(payload []byte) error {
	r := &reader{data: payload}
	i := r.component(len(t.Comps))
	style := r.u8()
	if i >= len(t.Comps) {
		return malformed("COC is about component %d of %d", i, len(t.Comps))
	}
	c, err := parseCodingStyle(r, style&1 != 0, "COC")
	if err != nil {
		return err
	}
	t.Comps[i].setStyle(c)
	t.Comps[i].ownCoding = true
	return nil
}

// setStyle copies the parameters of COD or COC, but not the quantisation.
func (c *Coding) setStyle(from Coding) {
	c.Levels, c.BlockW, c.BlockH, c.Style = from.Levels, from.BlockW, from.BlockH, from.Style
	c.Reversible, c.Precincts = from.Reversible, from.Precincts
}

func parseCodingStyle(r *reader, precincts bool, name string) (Coding, error) {
	var c Coding
	c.Levels, c.BlockW, c.BlockH, c.Style = r.u8(), r.u8()+2, r.u8()+2, r.u8()
	transform := r.u8()
	if r.short {
		return c, truncated("%s ends early", name)
	}
	if c.Levels > maxLevels {
		return c, malformed("%s says %d decompositions", name, c.Levels)
	}
	if c.BlockW > 10 || c.BlockH > 10 || c.BlockW+c.BlockH > 12 {
		return c, malformed("%s gives code-blocks of 2^%d x 2^%d", name, c.BlockW, c.BlockH)
	}
	if c.Style&StyleMixed != 0 && c.Style&StyleHT == 0 {
		return c, unsupported("%s has code-block style %#02x", name, c.Style)
	}
	if transform > 1 {
		return c, unsupported("%s asks for the wavelet %d of Part 2", name, transform)
	}
	c.Reversible = transform == 1
	for i := range c.Precincts {
		c.Precincts[i].W, c.Precincts[i].H = 15, 15
	}
	if precincts {
		for i := 0; i <= c.Levels; i++ {
			v := r.u8()
			c.Precincts[i].W, c.Precincts[i].H = v&15, v>>4
			if i > 0 && (v&15 == 0 || v>>4 == 0) && !r.short {
				return c, malformed("%s gives resolution %d precincts of 2^%d x 2^%d", name, i, v&15, v>>4)
			}
		}
		if r.short {
			return c, truncated("%s lacks precinct sizes", name)
		}
	}
	return c, nil
}

func (t *TileCoding) parseQCD(payload []byte) error {
	c, err := parseQuantisation(&reader{data: payload}, "QCD")
	if err != nil {
		return err
	}
	t.hasSteps = true
	for i := range t.Comps {
		if !t.Comps[i].ownSteps {
			t.Comps[i].setSteps(c)
		}
	}
	return nil
}

func (t *TileCoding) parseQCC(payload []byte) error {
	r := &reader{data: payload}
	i := r.component(len(t.Comps))
	if i >= len(t.Comps) {
		return malformed("QCC is about component %d of %d", i, len(t.Comps))
	}
	c, err := parseQuantisation(r, "QCC")
	if err != nil {
		return err
	}
	t.Comps[i].setSteps(c)
	t.Comps[i].ownSteps = true
	return nil
}

func (c *Coding) setSteps(from Coding) {
	c.Quantised, c.Guard, c.Steps = from.Quantised, from.Guard, from.Steps
}

func parseQuantisation(r *reader, name string) (Coding, error) {
	var c Coding
	style := r.u8()
	if r.short {
		return c, truncated("%s is empty", name)
	}
	c.Guard = style >> 5
	switch style & 31 {
	case 0:
		for range min(len(r.data), 3*maxLevels+1) {
			c.Steps = append(c.Steps, Step{Exp: r.u8() >> 3})
		}
	case 1: // one step; each coarser level has an exponent greater by one
		v := r.u16()
		c.Quantised = true
		c.Steps = []Step{{v >> 11, v & 0x7FF}}
		for band := 1; band <= 3*maxLevels; band++ {
			c.Steps = append(c.Steps, Step{max(v>>11-(band-1)/3, 0), v & 0x7FF})
		}
	case 2:
		c.Quantised = true
		for range min(len(r.data)/2, 3*maxLevels+1) {
			v := r.u16()
			c.Steps = append(c.Steps, Step{v >> 11, v & 0x7FF})
		}
	default:
		return c, malformed("%s has quantisation style %d", name, style&31)
	}
	if r.short || len(c.Steps) == 0 {
		return c, truncated("%s has no step sizes", name)
	}
	return c, nil
}

func (t *TileCoding) parseRGN(payload []byte) error {
	r := &reader{data: payload}
	i := r.component(len(t.Comps))
	style, shift := r.u8(), r.u8()
	if r.short {
		return truncated("RGN has %d bytes", len(payload))
	}
	if i >= len(t.Comps) {
		return malformed("RGN is about component %d of %d", i, len(t.Comps))
	}
	if style != 0 {
		return unsupported("RGN has style %d, only maxshift (0) is read", style)
	}
	t.Comps[i].ROIShift = shift
	return nil
}

func (t *TileCoding) parsePOC(payload []byte) error {
	r := &reader{data: payload}
	wide := len(t.Comps) > 256
	for len(r.data) > 0 {
		var v Volume
		v.R0, v.C0 = r.u8(), r.component(len(t.Comps))
		v.L1, v.R1, v.C1 = r.u16(), r.u8(), r.component(len(t.Comps))
		v.Order = r.u8()
		if r.short {
			return truncated("POC ends within a progression")
		}
		if v.C1 == 0 { // 256 components in one byte, 16384 in two
			v.C1 = len(t.Comps)
		}
		if v.Order > CPRL || v.R1 <= v.R0 || v.C1 <= v.C0 || v.R1 > maxLevels+1 || (!wide && v.C1 > 256) {
			return malformed("POC has resolutions %d to %d, components %d to %d, order %d", v.R0, v.R1, v.C0, v.C1, v.Order)
		}
		v.C1 = min(v.C1, len(t.Comps))
		t.Volumes = append(t.Volumes, v)
	}
	return nil
}

// check returns an error if the headers make a tile undecodable.
func (t *TileCoding) check(s *Size) error {
	if !t.hasCoding {
		return malformed("no COD marker segment")
	}
	for i := range t.Comps {
		c := &t.Comps[i]
		if len(c.Steps) == 0 {
			return malformed("component %d has no quantisation", i)
		}
		if len(c.Steps) < 3*c.Levels+1 {
			return malformed("component %d has %d step sizes for %d decompositions", i, len(c.Steps), c.Levels)
		}
		if !c.Reversible && !c.Quantised {
			return malformed("component %d has the 9/7 wavelet and no quantisation", i)
		}
	}
	if t.Colour {
		if len(t.Comps) < 3 {
			return malformed("a colour transform is asked for, with %d components", len(t.Comps))
		}
		a := s.Components[0]
		for i, b := range s.Components[1:3] {
			if a.DX != b.DX || a.DY != b.DY || t.Comps[0].Reversible != t.Comps[i+1].Reversible {
				return malformed("a colour transform is asked for, of components that do not match")
			}
		}
	}
	return nil
}

// TileArea returns the area of a component in a tile, in samples.
func (s *Size) TileArea(index, c int) Rect {
	p, q := int64(index%s.TilesX), int64(index/s.TilesX)
	x0, y0 := max(s.TileX0+p*s.TileW, s.X0), max(s.TileY0+q*s.TileH, s.Y0)
	x1, y1 := min(s.TileX0+(p+1)*s.TileW, s.X1), min(s.TileY0+(q+1)*s.TileH, s.Y1)
	dx, dy := int64(s.Components[c].DX), int64(s.Components[c].DY)
	return Rect{CeilDiv(x0, dx), CeilDiv(y0, dy), CeilDiv(x1, dx), CeilDiv(y1, dy)}
}
