package tiff

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"math/bits"
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
