package tiff

import (
	"math/bits"
	"testing"
)

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
