package dataset

import (
	"bytes"
	"image"
	"image/color"
	"os"
	"strings"
	"testing"
)

// TestSheet looks for the images where they must stand.
func TestSheet(t *testing.T) {
	plain := func(w, h int, c color.NRGBA) string {
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		for i := range w * h {
			m.SetNRGBA(i%w, i/w, c)
		}
		return encode(t, m)
	}
	red, green, blue := color.NRGBA{220, 10, 20, 255}, color.NRGBA{10, 200, 30, 255}, color.NRGBA{5, 15, 230, 255}
	deep := image.NewGray16(image.Rect(0, 0, 40, 40))
	for i := range 1600 {
		deep.SetGray16(i%40, i/40, color.Gray16{Y: 0x9000})
	}
	d, err := scanned(t, map[string]string{"a/1.png": plain(300, 300, red), "b/2.png": plain(10, 20, green), "Ж/3.png": plain(500, 100, blue),
		"z/4.png": encode(t, deep), "a/broken.png": "x"}, ScanOptions{MaxBad: -1})
	if err != nil {
		t.Fatal(err)
	}
	opt := SheetOptions{Side: 100, Columns: 3}
	page, err := d.Sheet(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if w, h := page.Rect.Dx(), page.Rect.Dy(); w != 2*sheetMargin+3*104-4 || h != 2*sheetMargin+4*(sheetHead+104) {
		t.Errorf("a page of %d x %d", w, h)
	}
	rgba := func(c color.NRGBA) color.RGBA { return color.RGBA(c) }
	for _, c := range []struct {
		label, x, y int
		want        color.RGBA
		what        string
	}{
		{0, 0, 0, rgba(red), "the corner of a square image"}, {0, 99, 99, rgba(red), "its other corner"},
		{0, 104, 50, sheetPaper, "where the unreadable one would be"},
		{1, 25, 50, rgba(green), "a small image, five times its size"}, {1, 24, 50, sheetBack, "beside it"}, {1, 74, 99, rgba(green), "its corner"},
		{2, 0, 0, color.RGBA{0x90, 0x90, 0x90, 255}, "16 bits, enlarged by whole pixels: 2 x 40"},
		{3, 50, 40, rgba(blue), "a wide image"}, {3, 50, 39, sheetBack, "above it"}, {3, 50, 60, sheetBack, "below it"},
	} {
		if c.label == 2 {
			c.x, c.y = 10, 10
		} else if d.Labels[c.label] == "z" { // labels are sorted by bytes: a, b, z, Ж
			t.Fatal("labels are in another order")
		}
		if got := page.RGBAAt(sheetMargin+c.x, sheetMargin+sheetHead+c.label*(sheetHead+104)+c.y); got != c.want {
			t.Errorf("%s: got %v, expected %v", c.what, got, c.want)
		}
	}
	inked := func(label int) (n int) {
		for y := range sheetHead {
			for x := range page.Rect.Dx() {
				if c := page.RGBAAt(x, sheetMargin+label*(sheetHead+104)+y); c.R < 128 {
					n++
				}
			}
		}
		return n
	}
	for l := range d.Labels {
		if inked(l) < 20 {
			t.Errorf("no heading over %s", d.Labels[l])
		}
	}
	again, err := d.Sheet(t.Context(), opt)
	if err != nil || !bytes.Equal(again.Pix, page.Pix) {
		t.Error("two sheets differ")
	}
	if small, err := d.Sheet(t.Context(), SheetOptions{Side: 20, Columns: 1, Labels: 2}); err != nil || small.Rect.Dy() != 2*sheetMargin+2*(sheetHead+24)+sheetHead {
		t.Errorf("with fewer labels: %v, %v", small.Rect, err)
	}
	if err := os.RemoveAll(d.Root); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sheet(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "disappeared") {
		t.Errorf("without the folder: %v", err)
	}
}
