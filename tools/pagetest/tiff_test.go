package pagetest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// frames writes a TIFF of three pages of 16 bits, of which 12 are used.
func frames(t *testing.T) string {
	t.Helper()
	const w, h, pages = 120, 90, 3
	var b bytes.Buffer
	le := binary.LittleEndian
	put := func(values ...any) {
		for _, v := range values {
			if err := binary.Write(&b, le, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	const entries, pixels = 9, 2 * w * h
	const directory = 2 + 12*entries + 4
	put([]byte("II*\x00"), uint32(8))
	for i := range uint32(pages) {
		at := 8 + i*(directory+pixels)
		put(uint16(entries))
		for _, e := range [][3]uint32{{256, 4, w}, {257, 4, h}, {258, 3, 16}, {259, 3, 1}, {262, 3, 1}, {273, 4, at + directory}, {277, 3, 1}, {278, 4, h}, {279, 4, pixels}} {
			put(uint16(e[0]), uint16(e[1]), uint32(1), e[2])
		}
		next := at + directory + pixels
		if i == pages-1 {
			next = 0
		}
		put(next)
		draw := spot(uint64(i)+50, i%2 == 1, w, h)
		for y := range h {
			for x := range w {
				put(uint16(4095 * min(max(draw(x, y), 0), 1)))
			}
		}
	}
	path := filepath.Join(t.TempDir(), "pages.tif")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
