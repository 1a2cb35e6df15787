package tiff

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// maker writes TIFF files for tests: little-endian unless order says otherwise.
type maker struct {
	order binary.ByteOrder
	big   bool
	pages []made
}

// made is one page: its tags, and its chunks.
type made struct {
	tags   map[uint16][]int
	types  map[uint16]uint16 // 3 (SHORT) or 4 (LONG) unless set here
	chunks [][]byte
	tiled  bool
}

func (m *maker) bytes() []byte {
	o := m.order
	if o == nil {
		o = binary.LittleEndian
	}
	ap := o.(binary.AppendByteOrder)
	out := []byte("II*\x00\x00\x00\x00\x00")
	if o == binary.BigEndian {
		out = []byte("MM\x00*\x00\x00\x00\x00")
	}
	link := 4
	if m.big {
		out = ap.AppendUint16(out[:2], 43)
		out = ap.AppendUint16(out, 8)
		out = ap.AppendUint16(out, 0)
		out = ap.AppendUint64(out, 0)
		link = 8
	}
	setLink := func() {
		if m.big {
			o.PutUint64(out[link:], uint64(len(out)))
		} else {
			o.PutUint32(out[link:], uint32(len(out)))
		}
	}
	for _, p := range m.pages {
		tags := map[uint16][]int{}
		for k, v := range p.tags {
			tags[k] = v
		}
		offsets, counts := uint16(tagOffsets), uint16(tagCounts)
		if p.tiled {
			offsets, counts = tagTileOffsets, tagTileCounts
		}
		for _, c := range p.chunks {
			tags[offsets] = append(tags[offsets], len(out))
			tags[counts] = append(tags[counts], len(c))
			out = append(out, c...)
		}
		values := map[uint16][]byte{}
		kinds := map[uint16]uint16{}
		for tag := uint16(0); tag < 1000; tag++ {
			list, ok := tags[tag]
			if !ok {
				continue
			}
			kinds[tag] = 4
			if k := p.types[tag]; k != 0 {
				kinds[tag] = k
			}
			var b []byte
			for _, v := range list {
				switch kinds[tag] {
				case 3:
					b = ap.AppendUint16(b, uint16(v))
				case 7:
					b = append(b, byte(v))
				default:
					b = ap.AppendUint32(b, uint32(v))
				}
			}
			inline := 4
			if m.big {
				inline = 8
			}
			if len(b) > inline {
				at := len(out)
				out = append(out, b...)
				if m.big {
					b = ap.AppendUint64(nil, uint64(at))
				} else {
					b = ap.AppendUint32(nil, uint32(at))
				}
			}
			values[tag] = append(b, make([]byte, inline-len(b))...)
		}
		setLink()
		if m.big {
			out = ap.AppendUint64(out, uint64(len(tags)))
		} else {
			out = ap.AppendUint16(out, uint16(len(tags)))
		}
		for tag := uint16(0); tag < 1000; tag++ {
			v, ok := values[tag]
			if !ok {
				continue
			}
			out = ap.AppendUint16(ap.AppendUint16(out, tag), kinds[tag])
			if m.big {
				out = ap.AppendUint64(out, uint64(len(tags[tag])))
			} else {
				out = ap.AppendUint32(out, uint32(len(tags[tag])))
			}
			out = append(out, v...)
		}
		link = len(out)
		out = append(out, make([]byte, 8)...)
		if !m.big {
			out = out[:len(out)-4]
		}
	}
	return out
}

func never() error { return nil }

func decode(t testing.TB, data []byte, page int) (*Page, *Raster) {
	t.Helper()
	f, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Page(page)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Decode(never)
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// value is sample s of pixel (x, y) of the test image, of a number of bits.
func value(x, y, s, bits int) int {
	v := uint32(x*7+y*13+s*101+x*y) * 2654435761
	return int(v >> (32 - bits))
}

// layouts are the ways in which the test image is stored.
type layout struct {
	w, h, samples, bits      int
	planar, tiled, reversed  bool
	compression, predictor   int
	order                    binary.ByteOrder
	big                      bool
	photometric, chunkW, chH int
}

// chunks packs the test image.
func (l layout) chunks() [][]byte {
	planes, per := 1, l.samples
	if l.planar {
		planes, per = l.samples, 1
	}
	cw, ch := l.w, l.chH
	if l.tiled {
		cw = l.chunkW
	}
	var out [][]byte
	for plane := range planes {
		for y0 := 0; y0 < l.h; y0 += ch {
			for x0 := 0; x0 < l.w; x0 += cw {
				rows := ch
				if !l.tiled {
					rows = min(rows, l.h-y0)
				}
				var b []byte
				for y := y0; y < y0+rows; y++ {
					b = append(b, l.row(x0, y, cw, per, plane)...)
				}
				out = append(out, l.pack(b))
			}
		}
	}
	return out
}

func (l layout) row(x0, y, cw, per, plane int) []byte {
	var samples []int
	for x := x0; x < x0+cw; x++ {
		for s := range per {
			samples = append(samples, value(x, y, s+plane, l.bits))
		}
	}
	if l.predictor == 2 {
		for i := len(samples) - 1; i >= per; i-- {
			samples[i] -= samples[i-per]
		}
	}
	var b []byte
	acc, n := uint64(0), 0
	for _, v := range samples {
		if l.bits == 16 {
			b = l.byteOrder().(binary.AppendByteOrder).AppendUint16(b, uint16(v))
			continue
		}
		acc, n = acc<<l.bits|uint64(v)&(1<<l.bits-1), n+l.bits
		for ; n >= 8; n -= 8 {
			b = append(b, byte(acc>>(n-8)))
		}
	}
	if n > 0 {
		b = append(b, byte(acc<<(8-n)))
	}
	return b
}

func (l layout) byteOrder() binary.ByteOrder {
	if l.order == nil {
		return binary.LittleEndian
	}
	return l.order
}

var zstdWriter = sync.OnceValue(func() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	return w
})

func (l layout) pack(b []byte) []byte {
	switch l.compression {
	case packBits:
		var out []byte
		for len(b) > 0 {
			n := min(len(b), 100)
			out = append(append(out, byte(n-1)), b[:n]...)
			b = b[n:]
		}
		b = out
	case deflate, deflateOld:
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		w.Write(b)
		w.Close()
		b = z.Bytes()
	case zstandard:
		b = zstdWriter().EncodeAll(b, nil)
	case lzw:
		b = packLZW(b)
	}
	if l.reversed {
		for i := range b {
			b[i] = bits.Reverse8(b[i])
		}
	}
	return b
}

// packLZW writes literals alone, with a clear code before codes would grow.
func packLZW(b []byte) []byte {
	var out []byte
	acc, n := uint64(0), 0
	put := func(code int) {
		acc, n = acc<<9|uint64(code), n+9
		for ; n >= 8; n -= 8 {
			out = append(out, byte(acc>>(n-8)))
		}
	}
	for i, v := range b {
		if i%200 == 0 {
			put(lzwClear)
		}
		put(int(v))
	}
	put(lzwEnd)
	return append(out, byte(acc<<(8-n)))
}

func (l layout) file() []byte {
	bitsOf := make([]int, l.samples)
	for i := range bitsOf {
		bitsOf[i] = l.bits
	}
	m := made{tags: map[uint16][]int{tagWidth: {l.w}, tagHeight: {l.h}, tagBits: bitsOf, tagCompression: {max(l.compression, 1)},
		tagPhotometric: {l.photometric}, tagSamples: {l.samples}, tagPlanar: {1}, tagPredictor: {max(l.predictor, 1)}, tagFillOrder: {1}},
		types: map[uint16]uint16{tagBits: 3}, chunks: l.chunks(), tiled: l.tiled}
	if l.planar {
		m.tags[tagPlanar] = []int{2}
	}
	if l.reversed {
		m.tags[tagFillOrder] = []int{2}
	}
	if l.tiled {
		m.tags[tagTileWidth], m.tags[tagTileHeight] = []int{l.chunkW}, []int{l.chH}
	} else {
		m.tags[tagRowsPerStrip] = []int{l.chH}
	}
	if l.samples == 4 && l.photometric == RGB || l.samples == 2 {
		m.tags[tagExtra] = []int{2}
	}
	return (&maker{order: l.order, big: l.big, pages: []made{m}}).bytes()
}

// everyLayout calls f with the ways to store an image.
func everyLayout(f func(name string, l layout)) {
	for _, depth := range []int{1, 2, 4, 8, 10, 12, 16} {
		for _, samples := range []int{1, 2, 3, 4} {
			for _, compression := range []int{plain, packBits, lzw, deflate, zstandard} {
				for mask := range 64 {
					if (mask*7+depth+samples+compression)%5 != 0 { // a fifth of the ways is enough
						continue
					}
					l := layout{w: 37, h: 29, samples: samples, bits: depth, compression: compression, planar: mask&1 != 0, tiled: mask&2 != 0,
						reversed: mask&4 != 0, big: mask&8 != 0, photometric: BlackIsZero, chunkW: 16, chH: 16, predictor: 1}
					if samples >= 3 {
						l.photometric = RGB
					}
					if mask&16 != 0 {
						l.order = binary.BigEndian
					}
					if mask&32 != 0 {
						if l.predictor = 2; depth != 8 && depth != 16 || compression == plain || compression == packBits {
							continue
						}
					}
					f(fmt.Sprintf("%+v", l), l)
				}
			}
		}
	}
}

func TestLayouts(t *testing.T) {
	everyLayout(func(name string, l layout) {
		_, m := decode(t, l.file(), 0)
		keep := min(l.samples, 3)
		if l.samples == 2 {
			keep = 1
		}
		if m.N != keep || m.W != l.w || m.H != l.h {
			t.Fatalf("%s: %d x %d x %d", name, m.W, m.H, m.N)
		}
		top := 1<<l.bits - 1
		for y := range l.h {
			for x := range l.w {
				for s := range keep {
					v, i := value(x, y, s, l.bits), (y*l.w+x)*keep+s
					if l.bits <= 8 {
						if want := (v*255 + top/2) / top; int(m.Pix8[i]) != want {
							t.Fatalf("%s: sample %d of %d, %d: got %d, want %d", name, s, x, y, m.Pix8[i], want)
						}
					} else if want := (v*65535 + top/2) / top; int(m.Pix16[i]) != want {
						t.Fatalf("%s: sample %d of %d, %d: got %d, want %d", name, s, x, y, m.Pix16[i], want)
					}
				}
			}
		}
	})
}

// faxWriter writes fax codes.
type faxWriter struct {
	out    []byte
	acc, n int
}

func (w *faxWriter) put(code string) {
	for _, c := range code {
		w.acc, w.n = w.acc<<1|int(c-'0'), w.n+1
		if w.n == 8 {
			w.out, w.acc, w.n = append(w.out, byte(w.acc)), 0, 0
		}
	}
}

func (w *faxWriter) align() {
	for w.n != 0 {
		w.put("0")
	}
}

func (w *faxWriter) run(colour, n int) {
	codes := whiteRuns
	if colour == 1 {
		codes = blackRuns
	}
	for ; n >= 2560; n -= 2560 {
		w.put(longRuns[12])
	}
	if n >= 1792 {
		w.put(longRuns[(n-1792)/64])
		n %= 64
	} else if n >= 64 {
		w.put(codes[63+n/64])
		n %= 64
	}
	w.put(codes[n])
}

// faxImage is a bilevel image in which runs of every length occur.
func faxImage(w, h int) [][]int {
	rows := make([][]int, h)
	for y := range rows {
		for x := 0; x < w; {
			n := (y*17+len(rows[y])*29)%(90+y*60) + len(rows[y])%2 // white runs may be empty
			n = min(n, w-x)
			rows[y] = append(rows[y], n)
			x += n
		}
	}
	return rows
}

// TestFax writes every row by runs; those of T.6 in horizontal mode, and every third as a copy of the row above.
func TestFax(t *testing.T) {
	const w, h = 6000, 33
	image := faxImage(w, h)
	for y := 2; y < h; y += 3 {
		image[y] = image[y-1]
	}
	for _, c := range []struct {
		name            string
		compression, t4 int
	}{{"rows", faxRows, 0}, {"words", faxWords, 0}, {"G3 1D", fax3, 0}, {"G3 1D aligned", fax3, 4}, {"G3 2D", fax3, 1}, {"G4", fax4, 0}} {
		for _, reversed := range []bool{false, true} {
			for _, photometric := range []int{WhiteIsZero, BlackIsZero} {
				f := &faxWriter{}
				for y, runs := range image {
					horizontal := c.compression == fax4
					switch c.compression {
					case faxRows:
						f.align()
					case faxWords:
						for f.align(); len(f.out)%2 != 0; {
							f.put("00000000")
						}
					case fax3:
						if c.t4&4 != 0 {
							for f.n != 4 {
								f.put("0")
							}
						}
						f.put("000000000001")
						if c.t4&1 != 0 {
							horizontal = y%4 != 0
							f.put(map[bool]string{true: "0", false: "1"}[horizontal])
						}
					}
					if horizontal && y%3 == 2 {
						x := 0
						for _, n := range runs {
							if x += n; x < w || n > 0 {
								f.put("1") // a change below a change
							}
						}
						continue
					}
					for i, n := range runs {
						if horizontal && i%2 == 0 {
							f.put("001")
						}
						f.run(i%2, n)
					}
					if horizontal && len(runs)%2 == 1 {
						f.run(1, 0)
					}
				}
				f.align()
				data := f.out
				if reversed {
					for i := range data {
						data[i] = bits.Reverse8(data[i])
					}
				}
				m := made{tags: map[uint16][]int{tagWidth: {w}, tagHeight: {h}, tagBits: {1}, tagCompression: {c.compression}, tagPhotometric: {photometric},
					tagT4: {c.t4}, tagFillOrder: {1}, tagRowsPerStrip: {h}}, chunks: [][]byte{data}}
				if reversed {
					m.tags[tagFillOrder] = []int{2}
				}
				_, got := decode(t, (&maker{pages: []made{m}}).bytes(), 0)
				for y, runs := range image {
					x := 0
					for i, n := range runs {
						for range n {
							if v := int(got.Pix8[y*w+x]) / 255; v != i%2 {
								t.Fatalf("%s, reversed %v, photometric %d: pixel %d, %d: got %d, want %d", c.name, reversed, photometric, x, y, v, i%2)
							}
							x++
						}
					}
				}
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	one := func(bits, format int, raw uint64) (*Raster, error) {
		b := make([]byte, bits/8)
		for i := range b {
			b[i] = byte(raw >> (8 * i))
		}
		m := made{tags: map[uint16][]int{tagWidth: {1}, tagHeight: {1}, tagBits: {bits}, tagPhotometric: {1}, tagFormat: {format}}, chunks: [][]byte{b}}
		f, err := Open((&maker{pages: []made{m}}).bytes())
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Page(0)
		if err != nil {
			t.Fatal(err)
		}
		return p.Decode(never)
	}
	minus := int64(-3)
	for _, c := range []struct {
		bits, format int
		raw          uint64
		want         int // -1: refused
		text         string
	}{
		{32, formatUint, 65535, 65535, ""},
		{32, formatUint, 65536, -1, "65536 in 32 bits"},
		{64, formatUint, 1 << 40, -1, "in 64 bits"},
		{16, formatInt, 1234, 1234, ""},
		{16, formatInt, uint64(minus), -1, "signed sample of -3"},
		{32, formatInt, 70000, -1, "70000"},
		{32, formatFloat, uint64(math.Float32bits(0.5)), 32768, ""},
		{64, formatFloat, math.Float64bits(1), 65535, ""},
		{16, formatFloat, 0x3800, 32768, ""},
		{32, formatFloat, uint64(math.Float32bits(1.5)), -1, "1.5"},
		{32, formatFloat, uint64(math.Float32bits(float32(math.NaN()))), -1, "NaN"},
	} {
		m, err := one(c.bits, c.format, c.raw)
		if c.want < 0 {
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%+v: got %v", c, err)
			}
			continue
		}
		if err != nil || int(m.Pix16[0]) != c.want {
			t.Errorf("%+v: got %+v, %v", c, m, err)
		}
	}
}

func TestPages(t *testing.T) {
	page := func(v int, more map[uint16][]int) made {
		m := made{tags: map[uint16][]int{tagWidth: {1}, tagHeight: {1}, tagBits: {8}, tagPhotometric: {1}}, chunks: [][]byte{{byte(v)}}}
		for k, x := range more {
			m.tags[k] = x
		}
		return m
	}
	data := (&maker{pages: []made{page(1, nil), page(2, map[uint16][]int{tagSubfile: {1}}), page(3, nil)}}).bytes()
	f, err := Open(data)
	if err != nil || f.Pages() != 2 {
		t.Fatalf("got %+v, %v, expected two pages: a reduced copy is none", f, err)
	}
	if _, m := decode(t, data, 1); m.Pix8[0] != 3 {
		t.Errorf("page 1: got %d", m.Pix8[0])
	}
	// A chain that bites its tail ends.
	loop := (&maker{pages: []made{page(1, nil)}}).bytes()
	copy(loop[len(loop)-4:], loop[4:8])
	if f, err := Open(loop); err != nil || f.Pages() != 1 {
		t.Errorf("loop: %+v, %v", f, err)
	}
}

func TestRefuses(t *testing.T) {
	l := layout{w: 37, h: 29, samples: 3, bits: 8, photometric: RGB, chH: 16, compression: plain}
	for name, c := range map[string]struct {
		edit func(*made)
		text string
	}{
		"old jpeg":   {func(m *made) { m.tags[tagCompression] = []int{6} }, "old-style JPEG"},
		"jpeg 2000":  {func(m *made) { m.tags[tagCompression] = []int{34712} }, "JPEG 2000"},
		"unknown":    {func(m *made) { m.tags[tagCompression] = []int{99} }, "number 99"},
		"lab":        {func(m *made) { m.tags[tagPhotometric] = []int{8} }, "L*a*b*"},
		"raw":        {func(m *made) { m.tags[tagPhotometric] = []int{32803} }, "raw camera data"},
		"channels":   {func(m *made) { m.tags[tagPhotometric] = []int{1} }, "3 channels"},
		"mixed bits": {func(m *made) { m.tags[tagBits] = []int{5, 6, 5} }, "bits of 5 and 6"},
		"24 bits":    {func(m *made) { m.tags[tagBits] = []int{24, 24, 24} }, "24 bits"},
		"complex":    {func(m *made) { m.tags[tagFormat] = []int{6} }, "complex"},
		"size":       {func(m *made) { m.tags[tagWidth] = []int{0} }, "0 x 29"},
		"few strips": {func(m *made) { m.tags[tagRowsPerStrip] = []int{2} }, "2 strips or tiles, expected 15"},
		"cut":        {func(m *made) { m.chunks[1] = m.chunks[1][:50] }, "ends early"},
		"predictor":  {func(m *made) { m.tags[tagPredictor], m.tags[tagCompression] = []int{9}, []int{5} }, "predictor 9"},
		"inks":       {func(m *made) { m.tags[tagInkSet], m.tags[tagPhotometric] = []int{2}, []int{5} }, "inks"},
	} {
		m := made{tags: map[uint16][]int{tagWidth: {l.w}, tagHeight: {l.h}, tagBits: {8, 8, 8}, tagCompression: {1}, tagPhotometric: {2}, tagSamples: {3},
			tagRowsPerStrip: {16}}, chunks: l.chunks()}
		c.edit(&m)
		f, err := Open((&maker{pages: []made{m}}).bytes())
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Page(0)
		if err == nil {
			_, err = p.Decode(never)
		}
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	stop := errors.New("stop")
	f, err := Open(l.file())
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Page(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Decode(func() error { return stop }); !errors.Is(err, stop) {
		t.Errorf("told to stop: got %v", err)
	}
}

// TestOldLZW: files of old have their bits the other way round.
func TestOldLZW(t *testing.T) {
	var data []byte
	acc, n := uint64(0), 0
	for _, code := range []uint64{lzwClear, 7, 258, 259, 9, lzwEnd} { // 7, 7 7, 7 7 7, 9
		acc |= code << n
		for n += 9; n >= 8; n -= 8 {
			data = append(data, byte(acc))
			acc >>= 8
		}
	}
	data = append(data, byte(acc))
	dst := make([]byte, 7)
	if err := unLZW(dst, data); err != nil || !bytes.Equal(dst, []byte{7, 7, 7, 7, 7, 7, 9}) {
		t.Errorf("got %v, %v", dst, err)
	}
}

func FuzzDecode(f *testing.F) {
	n := 0
	everyLayout(func(_ string, l layout) {
		if n++; n%40 == 0 {
			f.Add(l.file())
		}
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Open(data)
		if err != nil {
			return
		}
		p, err := file.Page(file.Pages() - 1)
		if err != nil {
			return
		}
		if cost, work := p.Cost(); cost > 1<<22 || work > 1<<22 {
			return
		}
		m, err := p.Decode(never)
		if err != nil {
			return
		}
		if len(m.Pix8)+len(m.Pix16) != m.W*m.H*m.N {
			t.Fatalf("%d x %d x %d in %d samples", m.W, m.H, m.N, len(m.Pix8)+len(m.Pix16))
		}
	})
}

// FuzzFax reads rows of any bytes.
func FuzzFax(f *testing.F) {
	w := &faxWriter{}
	for _, runs := range faxImage(200, 8) {
		for i, n := range runs {
			if i%2 == 0 {
				w.put("001")
			}
			w.run(i%2, n)
		}
	}
	w.align()
	f.Add(w.out, uint8(3), uint16(200))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, width uint16) {
		p := &Page{cw: int(width) + 1, compression: []int{faxRows, faxWords, fax3, fax4}[kind%4], t4: int(kind >> 2 & 1)}
		const rows = 16
		dst := make([]byte, rows*((p.cw+7)/8))
		_ = p.unfax(dst, data, rows, never)
	})
}
