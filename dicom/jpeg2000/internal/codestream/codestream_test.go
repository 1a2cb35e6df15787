package codestream

import (
	"errors"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// bitWriter writes packet headers.
type bitWriter struct {
	out []byte
	cur uint32
	n   uint // bits in cur
	cap uint // 8, or 7 after a byte of ones
}

func (w *bitWriter) put(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.cap == 0 {
			w.cap = 8
		}
		w.cur = w.cur<<1 | v>>i&1
		if w.n++; w.n == w.cap {
			w.out = append(w.out, byte(w.cur))
			w.cap = 8
			if w.cur == 0xFF {
				w.cap = 7
			}
			w.cur, w.n = 0, 0
		}
	}
}

func (w *bitWriter) bytes() []byte {
	for w.n != 0 {
		w.put(0, 1)
	}
	return append(w.out, 0)
}

// encodeTree writes what a reader needs of every leaf of a tag tree, leaf by leaf, up to their values.
func encodeTree(w *bitWriter, values []int, width, height int) {
	type level struct{ w, h, at int }
	var levels []level
	var nodes []int
	var known []int
	var done []bool
	cur := values
	for cw, ch := width, height; ; {
		levels = append(levels, level{w: cw, h: ch, at: len(nodes)})
		nodes = append(nodes, cur...)
		if cw == 1 && ch == 1 {
			break
		}
		nw, nh := (cw+1)/2, (ch+1)/2
		next := make([]int, nw*nh)
		for i := range next {
			next[i] = 1 << 30
		}
		for y := range ch {
			for x := range cw {
				p := &next[y/2*nw+x/2]
				*p = min(*p, cur[y*cw+x])
			}
		}
		cur, cw, ch = next, nw, nh
	}
	known, done = make([]int, len(nodes)), make([]bool, len(nodes))
	for y := range height {
		for x := range width {
			low := 0
			for l := len(levels) - 1; l >= 0; l-- {
				i := levels[l].at + (y>>l)*levels[l].w + x>>l
				known[i] = max(known[i], low)
				for ; !done[i] && known[i] < nodes[i]; known[i]++ {
					w.put(0, 1)
				}
				if !done[i] {
					w.put(1, 1)
					done[i] = true
				}
				low = known[i]
			}
		}
	}
}

func TestTagTree(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		w, h := 1+r.IntN(9), 1+r.IntN(9)
		values := make([]int, w*h)
		for i := range values {
			values[i] = r.IntN(12)
		}
		var out bitWriter
		encodeTree(&out, values, w, h)
		tree := tagTree{w, h, make([]node, tagNodes(int64(w), int64(h)))}
		b := headBits{data: out.bytes()}
		for y := range h {
			for x := range w {
				v, done := tree.decode(&b, x, y, 100)
				if !done || int(v) != values[y*w+x] {
					t.Fatalf("%d x %d: leaf (%d,%d) is %d, want %d", w, h, x, y, v, values[y*w+x])
				}
			}
		}
		if b.short {
			t.Fatalf("%d x %d: read beyond the end", w, h)
		}
	}
}

// TestPassCount reads every number of passes, T.800 table B.4.
func TestPassCount(t *testing.T) {
	for n := 1; n <= 164; n++ {
		var w bitWriter
		switch {
		case n == 1:
			w.put(0, 1)
		case n == 2:
			w.put(0b10, 2)
		case n < 6:
			w.put(0b11<<2|uint32(n-3), 4)
		case n < 37:
			w.put(0b1111<<5|uint32(n-6), 9)
		default:
			w.put(0b111111111<<7|uint32(n-37), 16)
		}
		if got := passCount(&headBits{data: w.bytes()}); got != n {
			t.Errorf("got %d passes, want %d", got, n)
		}
	}
}

// TestFirstHT reads the first contribution of a code-block where those of T.814 may stand, alone or mixed with T.800.
func TestFirstHT(t *testing.T) {
	for _, c := range []struct {
		name   string
		style  int
		lblock uint32 // bits added to 3
		passes int
		fields [][2]uint32 // value, width
		ht     bool
		total  uint8 // passes
		coded  []int32
		bad    bool
	}{
		{"cleanup alone", StyleHT, 0, 1, [][2]uint32{{5, 3}}, true, 1, []int32{5}, false},
		{"all three", StyleHT, 2, 3, [][2]uint32{{9, 5}, {33, 6}}, true, 3, []int32{9, 33}, false},
		{"placeholders", StyleHT, 1, 8, [][2]uint32{{9, 6}, {7, 4}}, true, 8, []int32{9, 7}, false},
		{"placeholders alone", StyleHT, 0, 4, [][2]uint32{{0, 5}}, true, 4, nil, false},
		{"a length before the cleanup", StyleHT, 0, 1, [][2]uint32{{1, 3}}, true, 0, nil, true},
		{"mixed, T.814", StyleHT | StyleMixed, 2, 1, [][2]uint32{{9, 5}}, true, 1, []int32{9}, false},
		{"mixed, T.800 by the highest bit", StyleHT | StyleMixed, 2, 1, [][2]uint32{{17, 5}}, false, 1, []int32{17}, false},
		{"mixed, T.800 by the width", StyleHT | StyleMixed, 0, 2, [][2]uint32{{9, 4}}, false, 2, []int32{9}, false},
	} {
		var w bitWriter
		switch {
		case c.passes == 1:
			w.put(0, 1)
		case c.passes == 2:
			w.put(0b10, 2)
		case c.passes < 6:
			w.put(0b11<<2|uint32(c.passes-3), 4)
		default:
			w.put(0b1111<<5|uint32(c.passes-6), 9)
		}
		w.put(1<<c.lblock-1, int(c.lblock))
		w.put(0, 1)
		for _, f := range c.fields {
			w.put(f[0], int(f[1]))
		}
		w.put(0b1011, 4)
		tile := &Tile{budget: NewBudget(1 << 20), body: make([]byte, 100)}
		blk := Block{lblock: 3, HT: true, waiting: true, first: -1, last: -1}
		b := headBits{data: w.bytes()}
		err := (&packets{tile: tile}).blockHead(&b, &Coding{Style: c.style}, &blk)
		if c.bad {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%s: got %v, want an error of the format", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var coded []int32
		for i := blk.first; i >= 0; i = tile.segments[i].next {
			coded = append(coded, tile.segments[i].Length)
		}
		if blk.HT != c.ht || blk.Passes != c.total || len(coded) != len(c.coded) {
			t.Errorf("%s: HT %v, %d passes, segments %v; want %v, %d, %v", c.name, blk.HT, blk.Passes, coded, c.ht, c.total, c.coded)
			continue
		}
		for i := range coded {
			if coded[i] != c.coded[i] {
				t.Errorf("%s: segments %v, want %v", c.name, coded, c.coded)
			}
		}
		if got := b.bits(4); got != 0b1011 {
			t.Errorf("%s: the header goes on with %04b, want 1011", c.name, got)
		}
	}
}

// TestBooked checks that what is booked for each part of a tile is what it takes.
func TestBooked(t *testing.T) {
	for _, c := range []struct {
		name        string
		takes, book uintptr
	}{
		{"precinct", unsafe.Sizeof(precinct{}), precinctBytes},
		{"code-block", unsafe.Sizeof(Block{}) + 2*unsafe.Sizeof(node{})*4/3, blockBytes},
		{"segment", unsafe.Sizeof(Segment{}), segmentBytes},
		{"chunk", unsafe.Sizeof(chunk{}), chunkBytes},
		{"subband", unsafe.Sizeof(Resolution{})/3 + unsafe.Sizeof(Band{}), bandBytes},
		{"coding", unsafe.Sizeof(Coding{}) + (3*maxLevels+1)*unsafe.Sizeof(Step{}), codingBytes},
		{"tile", unsafe.Sizeof(TileParts{}), tilePartsBytes},
		{"place", unsafe.Sizeof(place{}), placeBytes},
		{"tile-component", unsafe.Sizeof(TileComp{}), tileCompBytes},
	} {
		if c.takes > c.book {
			t.Errorf("a %s takes %d bytes, %d are booked", c.name, c.takes, c.book)
		}
	}
}
