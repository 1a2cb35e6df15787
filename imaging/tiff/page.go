package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The supported photometric interpretations.
const (
	WhiteIsZero = 0
	BlackIsZero = 1
	RGB         = 2
	Palette     = 3
	CMYK        = 5
	YCbCr       = 6
)

// The values of SampleFormat.
const (
	formatUint  = 1
	formatInt   = 2
	formatFloat = 3
)

// The supported compressions.
const (
	plain        = 1
	faxRows      = 2
	fax3         = 3
	fax4         = 4
	lzw          = 5
	jpegs        = 7
	deflate      = 8
	packBits     = 32773
	faxWords     = 32771
	deflateOld   = 32946
	zstandard    = 50000
	premultiplie = 1 // ExtraSamples of associated alpha
)

// Page holds the tags of one page.
type Page struct {
	W, H        int
	Bits        int // per sample
	Samples     int // per pixel, extra ones included
	Photometric int
	Orientation int // 1 to 8; 0 if not given
	XMP         []byte
	Colours     []uint16 // palette: all reds, then greens, then blues

	f           *File
	format      int
	compression int
	planar      bool
	predictor   int
	reversed    bool // bits of bytes are reversed: FillOrder 2
	t4          int
	extra       []int
	jpegTables  []byte
	sampling    [2]int // chroma subsampling
	luma        [3]float64
	reference   [6]float64

	tiled      bool
	cw, ch     int // size of a chunk, which is a strip or a tile
	cols, rows int // chunks across and down
	offsets    field
	counts     field
	hasCounts  bool
}

// Page reads the tags of page i.
func (f *File) Page(i int) (*Page, error) {
	if i < 0 || i >= len(f.dirs) {
		return nil, fmt.Errorf("page %d of %d", i, len(f.dirs))
	}
	t, err := f.fields(f.dirs[i])
	if err != nil {
		return nil, err
	}
	p := &Page{f: f}
	one := func(tag uint16, otherwise int) int {
		n, ok := f.number(t[tag], 0)
		if !ok || n < 0 || n > math.MaxInt32 {
			return otherwise
		}
		return int(n)
	}
	p.W, p.H = one(tagWidth, 0), one(tagHeight, 0)
	if p.W < 1 || p.H < 1 {
		return nil, fmt.Errorf("%d x %d pixels", p.W, p.H)
	}
	p.compression = one(tagCompression, plain)
	p.Photometric = one(tagPhotometric, -1)
	p.Samples = one(tagSamples, 0)
	if p.Samples == 0 {
		p.Samples = 1
		if p.compression == jpegs && (p.Photometric == RGB || p.Photometric == YCbCr) {
			p.Samples = 3
		}
	}
	if p.Photometric < 0 && p.Samples == 1 {
		p.Photometric = WhiteIsZero // as in Pillow
	}
	p.planar = one(tagPlanar, 1) == 2 && p.Samples > 1
	p.predictor = one(tagPredictor, 1)
	p.reversed = one(tagFillOrder, 1) == 2
	p.t4 = one(tagT4, 0)
	p.Orientation = one(tagOrientation, 0)
	p.XMP = t[tagXMP].raw
	p.jpegTables = t[tagJPEGTables].raw
	if err := p.sampleKinds(t, one(tagInkSet, 1)); err != nil {
		return nil, err
	}
	if err := p.chroma(t); err != nil {
		return nil, err
	}
	if err := p.chunks(t, one); err != nil {
		return nil, err
	}
	return p, p.check()
}

// sampleKinds reads the type of the samples.
func (p *Page) sampleKinds(t map[uint16]field, inks int) error {
	f := p.f
	same := func(tag uint16, otherwise int, what string) (int, error) {
		first, ok := f.number(t[tag], 0)
		if !ok {
			return otherwise, nil
		}
		for i := range min(t[tag].count, p.Samples) {
			if n, _ := f.number(t[tag], i); n != first {
				return 0, fmt.Errorf("%s of %d and %d in one pixel: %w", what, first, n, ErrUnsupported)
			}
		}
		if first < 0 || first > math.MaxInt16 {
			return 0, fmt.Errorf("%s %d", what, first)
		}
		return int(first), nil
	}
	var err error
	if p.Bits, err = same(tagBits, 1, "bits"); err != nil {
		return err
	}
	if p.format, err = same(tagFormat, formatUint, "sample format"); err != nil {
		return err
	}
	if p.format == 4 { // readers treat "undefined" as integers
		p.format = formatUint
	}
	for i := range min(t[tagExtra].count, p.Samples) {
		n, _ := f.number(t[tagExtra], i)
		p.extra = append(p.extra, int(n))
	}
	if p.Photometric == CMYK && inks != 1 {
		return fmt.Errorf("inks other than cyan, magenta, yellow, black: %w: convert it to RGB", ErrUnsupported)
	}
	if p.Photometric == Palette {
		c := t[tagColours]
		if p.Bits > 8 || c.kind != 3 || c.count < 3<<p.Bits {
			return fmt.Errorf("palette of %d numbers for %d bits", c.count, p.Bits)
		}
		for i := range 3 << p.Bits {
			n, _ := f.number(c, i)
			p.Colours = append(p.Colours, uint16(n))
		}
	}
	return nil
}

// chroma reads the parameters of YCbCr.
func (p *Page) chroma(t map[uint16]field) error {
	p.sampling = [2]int{1, 1}
	if p.Photometric != YCbCr {
		return nil
	}
	p.sampling = [2]int{2, 2}
	for i := range 2 {
		if n, ok := p.f.number(t[tagYCbCrSampling], i); ok {
			if n != 1 && n != 2 && n != 4 {
				return fmt.Errorf("chroma sampling of %d", n)
			}
			p.sampling[i] = int(n)
		}
	}
	p.luma = [3]float64{0.299, 0.587, 0.114}
	p.reference = [6]float64{0, 255, 128, 255, 128, 255}
	if c := t[tagYCbCrCoeffs]; c.count >= 3 {
		for i := range 3 {
			p.luma[i], _ = p.f.fraction(c, i)
		}
	}
	if c := t[tagReferenceBlackWh]; c.count >= 6 {
		for i := range 6 {
			p.reference[i], _ = p.f.fraction(c, i)
		}
	}
	if !(p.luma[1] > 0) {
		return errors.New("no weight of green in the luma")
	}
	for i := range 3 {
		if p.reference[2*i] == p.reference[2*i+1] {
			return errors.New("reference black and white are the same")
		}
	}
	return nil
}

// chunks reads the positions of strips or tiles.
func (p *Page) chunks(t map[uint16]field, one func(uint16, int) int) error {
	p.offsets, p.counts = t[tagOffsets], t[tagCounts]
	p.cw, p.ch = p.W, one(tagRowsPerStrip, p.H)
	if _, ok := t[tagTileWidth]; ok {
		p.tiled = true
		p.cw, p.ch = one(tagTileWidth, 0), one(tagTileHeight, 0)
		if o, ok := t[tagTileOffsets]; ok {
			p.offsets = o
		}
		if c, ok := t[tagTileCounts]; ok {
			p.counts = c
		}
	}
	if p.cw < 1 || p.ch < 1 {
		return fmt.Errorf("strips or tiles of %d x %d pixels", p.cw, p.ch)
	}
	if !p.tiled {
		p.ch = min(p.ch, p.H)
	}
	if most := max(4*int64(p.W), 1<<16); int64(p.cw) > most {
		return fmt.Errorf("tiles %d pixels wide in an image of %d", p.cw, p.W)
	}
	p.cols, p.rows = (p.W-1)/p.cw+1, (p.H-1)/p.ch+1
	need := int64(p.cols) * int64(p.rows)
	if p.planar {
		need *= int64(p.Samples)
	}
	if int64(p.offsets.count) < need {
		return fmt.Errorf("%d strips or tiles, expected %d", p.offsets.count, need)
	}
	p.hasCounts = int64(p.counts.count) >= need
	if !p.hasCounts && p.compression != plain && need > 1 {
		return errors.New("lengths of strips or tiles are missing")
	}
	return nil
}

// Names of known but unsupported values.
var (
	compressions = map[int]string{6: "old-style JPEG", 32766: "NeXT", 32809: "ThunderScan", 32908: "PixarFilm", 32909: "PixarLog", 33003: "JPEG 2000",
		33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI Log", 34677: "SGI Log", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA",
		50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"}
	photometrics = map[int]string{4: "transparency mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "raw camera data", 32844: "LogL",
		32845: "LogLuv", 34892: "raw camera data", 51177: "depth map"}
)

// check returns an error that names the first unsupported property.
func (p *Page) check() error {
	switch p.compression {
	case plain, faxRows, faxWords, fax3, fax4, lzw, jpegs, deflate, deflateOld, packBits, zstandard:
	default:
		return fmt.Errorf("compression %s: %w: save it with LZW or deflate", named(compressions, p.compression), ErrUnsupported)
	}
	base := p.base()
	if base == 0 {
		return fmt.Errorf("%s: %w: convert it to grey or RGB", named(photometrics, p.Photometric), ErrUnsupported)
	}
	extra := p.Samples - base
	if extra < 0 || extra > 0 && extra != len(p.extra) && !(len(p.extra) == 0 && extra == 1 && base == 3) {
		return fmt.Errorf("%d channels: %w: save one image of grey or RGB a channel", p.Samples, ErrUnsupported)
	}
	if extra > 1 && base == 1 {
		return fmt.Errorf("%d channels: %w: save one image of grey a channel", p.Samples, ErrUnsupported)
	}
	if err := p.checkBits(); err != nil {
		return err
	}
	return p.checkCoding()
}

// base returns the number of samples of a pixel's colour, or 0 if its interpretation is not supported.
func (p *Page) base() int {
	switch p.Photometric {
	case WhiteIsZero, BlackIsZero, Palette:
		return 1
	case RGB, YCbCr:
		return 3
	case CMYK:
		return 4
	}
	return 0
}

func (p *Page) checkBits() error {
	switch {
	case p.format == formatUint && (p.Bits >= 1 && p.Bits <= 16 || p.Bits == 32 || p.Bits == 64):
	case p.format == formatInt && (p.Bits == 16 || p.Bits == 32 || p.Bits == 64):
	case p.format == formatFloat && (p.Bits == 16 || p.Bits == 32 || p.Bits == 64):
	case p.format == 5 || p.format == 6:
		return fmt.Errorf("complex numbers: %w", ErrUnsupported)
	default:
		return fmt.Errorf("%d bits a sample, of format %d: %w", p.Bits, p.format, ErrUnsupported)
	}
	if p.Photometric == YCbCr && (p.Bits != 8 || p.format != formatUint || p.Samples != 3) ||
		(p.Photometric == CMYK || p.Photometric == Palette) && p.format != formatUint {
		return fmt.Errorf("such colours of %d bits a sample, %d samples, format %d: %w", p.Bits, p.Samples, p.format, ErrUnsupported)
	}
	return nil
}

// checkCoding returns an error for combinations that are meaningless or never written.
func (p *Page) checkCoding() error {
	switch {
	case p.fax() && (p.Bits != 1 || p.Samples != 1):
		return fmt.Errorf("fax compression of %d bits and %d samples", p.Bits, p.Samples)
	case p.compression == jpegs && (p.format != formatUint || p.Bits != 8):
		return fmt.Errorf("JPEG compression of %d bits a sample: %w: convert it to 16 bits with deflate", p.Bits, ErrUnsupported)
	case p.Photometric == YCbCr && p.compression != jpegs && p.planar && p.sampling != [2]int{1, 1}:
		return fmt.Errorf("subsampled colours in planes: %w: convert it to RGB", ErrUnsupported)
	}
	if p.compression == packBits && p.predictor != 1 {
		// Some writers also apply differences before this compression; libtiff would show these as the picture.
		return fmt.Errorf("predictor %d with PackBits compression: %w: readers do not agree on it: save it with LZW or deflate", p.predictor, ErrUnsupported)
	}
	if p.compression != lzw && p.compression != deflate && p.compression != deflateOld && p.compression != zstandard {
		p.predictor = 1 // it has no meaning there
	}
	switch p.predictor {
	case 1:
	case 2:
		if p.Bits != 8 && p.Bits != 16 && p.Bits != 32 && p.Bits != 64 || p.subsampled() {
			return fmt.Errorf("predictor 2 of %d bits: %w", p.Bits, ErrUnsupported)
		}
	case 3:
		if p.format != formatFloat {
			return errors.New("predictor 3 of integers")
		}
	default:
		return fmt.Errorf("predictor %d: %w", p.predictor, ErrUnsupported)
	}
	return nil
}

func (p *Page) fax() bool {
	return p.compression == faxRows || p.compression == faxWords || p.compression == fax3 || p.compression == fax4
}

// subsampled reports whether chroma has fewer samples. JPEG handles that itself.
func (p *Page) subsampled() bool {
	return p.Photometric == YCbCr && p.compression != jpegs && p.sampling != [2]int{1, 1}
}

func named(names map[int]string, n int) string {
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprint("number ", n)
}

// Unscaled reports whether no sample value is white by definition: integers that are signed, or have more than
// 16 bits.
func (p *Page) Unscaled() bool { return p.format == formatInt || p.format == formatUint && p.Bits > 16 }

// Float reports whether samples are floating-point numbers, of which 1 is white.
func (p *Page) Float() bool { return p.format == formatFloat }

// Premultiplied reports whether colours are multiplied by alpha, which is then the last sample in a [Raster].
func (p *Page) Premultiplied() bool {
	return len(p.extra) > 0 && p.extra[0] == premultiplie && (p.base() == 1 || p.base() == 3) && p.Photometric != Palette && p.Photometric != YCbCr
}

// Kept returns the number of samples per pixel in a [Raster]: those of the colour, and alpha if colours are
// premultiplied.
func (p *Page) Kept() int {
	n := p.base()
	if p.Premultiplied() {
		n++
	}
	return n
}

// rowBytes returns the length of a decompressed row of a chunk.
func (p *Page) rowBytes() int64 {
	n := int64(p.cw)
	if !p.planar {
		n = product(n, int64(p.Samples))
	}
	return (product(n, int64(p.Bits))-1)/8 + 1
}

// chunkBytes returns the length of the first rows of a chunk when decompressed.
func (p *Page) chunkBytes(rows int) int64 {
	if p.subsampled() {
		h, v := p.sampling[0], p.sampling[1]
		units := product(int64((p.cw-1)/h+1), int64((rows-1)/v+1))
		return product(units, int64(h*v+2))
	}
	return product(p.rowBytes(), int64(rows))
}

// Cost returns the maximum memory of [Page.Decode] in bytes, and the number of samples that it processes.
func (p *Page) Cost() (bytes, work int64) {
	size := int64(1)
	if p.Bits > 8 {
		size = 2
	}
	pixels := product(int64(p.W), int64(p.H))
	bytes = product(product(pixels, int64(p.Kept())), size)
	rows := min(p.ch, p.H)
	chunk := p.chunkBytes(rows)
	if p.compression == jpegs { // a whole chunk, in whole blocks: planes, coefficients, colours
		rows = min(p.ch, math.MaxUint16)
		chunk = product(product(int64(p.cw)+32, int64(rows)+32), product(int64(p.Samples), 1+4+1))
	}
	bytes = sum(bytes, chunk)
	work = product(product(product(int64(p.cols), int64(p.rows)), product(int64(p.cw), int64(rows))), int64(p.Samples))
	return sum(bytes, 1<<16), work
}

func product(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// chunk returns the compressed bytes of chunk i.
func (p *Page) chunk(i int) ([]byte, error) {
	data := p.f.data
	off, _ := p.f.number(p.offsets, i)
	n := int64(len(data)) - off
	if p.hasCounts {
		n, _ = p.f.number(p.counts, i)
	} else if p.compression == plain {
		n = min(n, p.chunkBytes(p.ch))
	}
	if off < 0 || n < 0 || off > int64(len(data)) {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, off, errEnd)
	}
	return data[off : off+min(n, int64(len(data))-off)], nil // decompression reports missing bytes
}

// bigEndian reports the byte order in a chunk.
func (p *Page) bigEndian() bool { return p.f.order == binary.BigEndian }
