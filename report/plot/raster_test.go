package plot

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/vector"
)

// TestRelationFillWholeImage: what is rasterized in the bounds of polygons is what is rasterized in the whole image, wherever they lie.
func TestRelationFillWholeImage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ink := color.RGBA{10, 20, 30, 255}
	for i := range 300 {
		c := &raster{img: image.NewRGBA(image.Rect(0, 0, 90, 70)), scale: 1.5}
		size := []float64{2, 30, 400}[i%3]
		centre := point{rng.Float64()*80 - 10, rng.Float64()*60 - 10}
		polygons := [][]point{placed(circle, centre, size*rng.Float64()), {{centre.x, centre.y}, {centre.x + size*rng.Float64(), centre.y + 3}, {centre.x - 1, centre.y + size*rng.Float64()}}}
		c.fill(polygons, ink, 1)
		want := image.NewRGBA(c.img.Rect)
		z := vector.NewRasterizer(want.Rect.Dx(), want.Rect.Dy())
		for _, p := range polygons {
			z.MoveTo(float32(p[0].x*c.scale), float32(p[0].y*c.scale))
			for _, q := range p[1:] {
				z.LineTo(float32(q.x*c.scale), float32(q.y*c.scale))
			}
			z.ClosePath()
		}
		z.Draw(want, want.Rect, image.NewUniform(ink), image.Point{})
		for k := range want.Pix {
			// The rasterizer counts in 64ths of a pixel.
			if d := int(want.Pix[k]) - int(c.img.Pix[k]); d < -4 || d > 4 {
				t.Fatalf("polygons %d, byte %d: %d, in the whole image %d", i, k, c.img.Pix[k], want.Pix[k])
			}
		}
	}
	// What is nowhere is not drawn, and does no harm.
	c := &raster{img: image.NewRGBA(image.Rect(0, 0, 9, 7)), scale: 1}
	c.fill(nil, ink, 1)
	c.fill([][]point{{{math.NaN(), 1}, {2, 2}, {3, math.Inf(1)}}}, ink, 1)
	c.fill([][]point{{{-50, -50}, {-40, -50}, {-40, -40}}, {{500, 500}, {600, 500}, {600, 600}}}, ink, 1)
}

// TestPaletted: the same colours in a byte a pixel, as long as a byte can tell them.
func TestPaletted(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, colours := range []int{1, 2, 256, 257} {
		m := image.NewRGBA(image.Rect(0, 0, 31, 17))
		for i := range 31 * 17 {
			k := min(i, colours-1)
			if i > colours {
				k = rng.IntN(colours)
			}
			copy(m.Pix[4*i:], []byte{byte(k), byte(k >> 8), 7, 255})
		}
		p := paletted(m)
		if (p == nil) != (colours > 256) {
			t.Fatalf("%d colours: %v", colours, p != nil)
		}
		for i := 0; p != nil && i < 31*17; i++ {
			if x, y := i%31, i/31; p.At(x, y) != m.RGBAAt(x, y) {
				t.Fatalf("%d colours, pixel %d: %v, want %v", colours, i, p.At(x, y), m.RGBAAt(x, y))
			}
		}
	}
}
