package tiff

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

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
		"old jpeg":    {func(m *made) { m.tags[tagCompression] = []int{6} }, "old-style JPEG"},
		"jpeg 2000":   {func(m *made) { m.tags[tagCompression] = []int{34712} }, "JPEG 2000"},
		"unknown":     {func(m *made) { m.tags[tagCompression] = []int{99} }, "number 99"},
		"lab":         {func(m *made) { m.tags[tagPhotometric] = []int{8} }, "L*a*b*"},
		"raw":         {func(m *made) { m.tags[tagPhotometric] = []int{32803} }, "raw camera data"},
		"channels":    {func(m *made) { m.tags[tagPhotometric] = []int{1} }, "3 channels"},
		"mixed bits":  {func(m *made) { m.tags[tagBits] = []int{5, 6, 5} }, "bits of 5 and 6"},
		"24 bits":     {func(m *made) { m.tags[tagBits] = []int{24, 24, 24} }, "24 bits"},
		"complex":     {func(m *made) { m.tags[tagFormat] = []int{6} }, "complex"},
		"size":        {func(m *made) { m.tags[tagWidth] = []int{0} }, "0 x 29"},
		"few strips":  {func(m *made) { m.tags[tagRowsPerStrip] = []int{2} }, "2 strips or tiles, expected 15"},
		"cut":         {func(m *made) { m.chunks[1] = m.chunks[1][:50] }, "ends early"},
		"predictor":   {func(m *made) { m.tags[tagPredictor], m.tags[tagCompression] = []int{9}, []int{5} }, "predictor 9"},
		"differences": {func(m *made) { m.tags[tagPredictor], m.tags[tagCompression] = []int{2}, []int{packBits} }, "predictor 2 with PackBits"},
		"inks":        {func(m *made) { m.tags[tagInkSet], m.tags[tagPhotometric] = []int{2}, []int{5} }, "inks"},
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
