package overlay

import (
	"bytes"
	"image/color"
	"image/png"
	"math"
	"testing"

	"melo.example/melo/imaging"
)

func grey(w, h int) *imaging.Image {
	img := &imaging.Image{W: w, H: h, C: 1, Bits: 8, Pix8: make([]uint8, w*h)}
	for i := range img.Pix8 {
		img.Pix8[i] = 100
	}
	return img
}

// TestFull: the strongest pixel lies in the middle of the strongest patch, wherever that lies in the image; what the model did
// not see is NaN.
func TestFull(t *testing.T) {
	m := Map{Values: make([]float32, 16), Grid: 4, Region: imaging.Region{X: 20, Y: -10, W: 40, H: 80}}
	m.Values[2*4+1] = 3 // rows 30 to 50, columns 30 to 40
	full, err := m.Full(100, 60)
	if err != nil {
		t.Fatal(err)
	}
	best := 0
	for i, v := range full {
		x, y := i%100, i/100
		if seen := x >= 20 && x < 60; seen != (v == v) {
			t.Fatalf("pixel %d, %d: %v", x, y, v)
		}
		if v == v && (full[best] != full[best] || v > full[best]) {
			best = i
		}
	}
	if x, y := best%100, best/100; x < 33 || x > 36 || y < 38 || y > 41 {
		t.Errorf("the strongest pixel is %d, %d", x, y)
	}
	for _, bad := range []Map{{Values: make([]float32, 3), Grid: 2, Region: m.Region}, {Values: make([]float32, 4), Grid: 2}} {
		if _, err := bad.Full(10, 10); err == nil {
			t.Errorf("%+v is laid over an image", bad)
		}
	}
}

// TestDraw: the picture has the image in its own size, with the map's colours where it is strong, the image's own where it is
// weak, and hatching where nothing was seen; small images are drawn larger.
func TestDraw(t *testing.T) {
	m := Map{Values: make([]float32, 16), Grid: 4, Region: imaging.Region{X: 0, Y: 0, W: 600, H: 600}}
	m.Values[0] = 1
	var text bytes.Buffer
	if err := WritePNG(&text, grey(600, 900), &m, Text{Title: "tumeur bénigne  91 %", Notes: []string{"a", "b"}, Warning: "!", Footer: "f"}); err != nil {
		t.Fatal(err)
	}
	pic, err := png.Decode(&text)
	if err != nil {
		t.Fatal(err)
	}
	if b := pic.Bounds(); b.Dx() < 600 || b.Dx() > 1000 || b.Dy() < 900 || b.Dy() > 1300 {
		t.Errorf("%v for an image of 600 x 900", b)
	}
	page, err := Draw(grey(600, 900), &m, Text{Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[color.RGBA]int{}
	for y := range page.Rect.Dy() {
		for x := range page.Rect.Dx() {
			counts[page.RGBAAt(x, y)]++
		}
	}
	if n := counts[color.RGBA{100, 100, 100, 255}]; n < 300000 || n > 340000 { // seen, and without a map
		t.Errorf("%d pixels are as they were", n)
	}
	if n := counts[mix(color.RGBA{100, 100, 100, 255}, paper, 0.6)]; n < 140000 { // not seen, between the hatches
		t.Errorf("%d pixels are marked as not seen", n)
	}
	small, err := Draw(grey(28, 28), &Map{Values: []float32{0}, Grid: 1, Region: imaging.Region{W: 28, H: 28}}, Text{})
	if err != nil || small.Rect.Dx() < smallest {
		t.Errorf("%v: %v", small.Rect, err)
	}
	if _, err := Draw(nil, &m, Text{}); err == nil {
		t.Error("nothing is drawn on")
	}
}

// TestHeat: lightness grows with strength, so that the order survives grey print.
func TestHeat(t *testing.T) {
	last := -1.0
	for i := range 256 {
		c := heat(float64(i) / 255)
		linear := func(v uint8) float64 { return math.Pow(float64(v)/255, 2.2) }
		y := 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
		if y < last-0.002 {
			t.Errorf("step %d is darker than the one before", i)
		}
		last = y
	}
	if opacity(0) != 0 || opacity(1) > 0.7 || opacity(0.5) <= opacity(0.2) {
		t.Error("opacity does not grow from nothing to less than all")
	}
}
