// Package overlay maps values of patches back to the image that was explained, as a value for each pixel, and
// as a rendered image. It inverts the geometry of preprocessing, so that the map is aligned with the pixels.
package overlay

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"melo.example/melo/imaging"
)

// Map holds the values for one image.
type Map struct {
	Values []float32 // [Grid, Grid], row by row
	Grid   int
	Region imaging.Region // part of the image that the map covers
}

// check reports whether the fields agree.
func (m *Map) check() error {
	if m.Grid < 1 || len(m.Values) != m.Grid*m.Grid {
		return fmt.Errorf("overlay: %d values for a grid of %d x %d", len(m.Values), m.Grid, m.Grid)
	}
	if !(m.Region.W > 0 && m.Region.H > 0) {
		return errors.New("overlay: a map that lies nowhere")
	}
	return nil
}

// Full returns a value for each pixel of an image of w x h pixels, row by row, interpolated linearly between
// the centres of patches. Pixels that the model did not see are NaN.
func (m *Map) Full(w, h int) ([]float32, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if w < 1 || h < 1 {
		return nil, fmt.Errorf("overlay: an image of %d x %d pixels", w, h)
	}
	columns := m.axis(w, m.Region.X, m.Region.W)
	full := make([]float32, 0, w*h)
	for _, row := range m.axis(h, m.Region.Y, m.Region.H) {
		for _, c := range columns {
			if !row.seen || !c.seen {
				full = append(full, float32(math.NaN()))
				continue
			}
			at := func(r, c int) float64 { return float64(m.Values[r*m.Grid+c]) }
			top := at(row.low, c.low)*(1-c.share) + at(row.low, c.high)*c.share
			bottom := at(row.high, c.low)*(1-c.share) + at(row.high, c.high)*c.share
			full = append(full, float32(top*(1-row.share)+bottom*row.share))
		}
	}
	return full, nil
}

// between is the position of a row or column of pixels between two patches.
type between struct {
	low, high int
	share     float64 // weight of high
	seen      bool
}

// axis computes the positions of n rows or columns of pixels in the grid.
func (m *Map) axis(n int, start, length float64) []between {
	all := make([]between, n)
	for i := range all {
		at := (float64(i) + 0.5 - start) / length // 0 to 1 in the input
		g := at*float64(m.Grid) - 0.5
		low := math.Floor(g)
		last := m.Grid - 1
		all[i] = between{low: min(max(int(low), 0), last), high: min(max(int(low)+1, 0), last), share: g - low, seen: at >= 0 && at < 1}
	}
	return all
}

// Text is the text around an image.
type Text struct {
	Title   string   // the label and its probability
	Warning string   // shown prominently; may be empty
	Notes   []string // method, adapter, file
	Footer  string   // disclaimer
}

// maxPixels is the maximum size of a rendered image; larger ones are drawn smaller. Values are not affected.
const maxPixels = 16 << 20

// Draw draws an image of 8 bits per sample with the map over it.
func Draw(img *imaging.Image, m *Map, text Text) (*image.RGBA, error) {
	if err := drawable(img, m); err != nil {
		return nil, err
	}
	shown, zoom, err := sized(img)
	if err != nil {
		return nil, err
	}
	scaled := *m
	scaled.Region = imaging.Region{X: m.Region.X * zoom, Y: m.Region.Y * zoom, W: m.Region.W * zoom, H: m.Region.H * zoom}
	full, err := scaled.Full(shown.W, shown.H)
	if err != nil {
		return nil, err
	}
	p, err := newPage(shown.W, shown.H, text)
	if err != nil {
		return nil, err
	}
	p.image(shown, full, strongest(m.Values))
	p.frame(scaled.Region)
	p.bar()
	p.text(text)
	return p.img, p.err
}

// Over returns the image with the map over it and nothing around it, as RGB. The longer side is at most side pixels: larger images are
// made smaller, others stay as they are.
func Over(img *imaging.Image, m *Map, side int) (*imaging.Image, error) {
	if err := drawable(img, m); err != nil {
		return nil, err
	}
	shown, scaled := img, *m
	if long := max(img.W, img.H); long > side {
		var s imaging.Scratch
		shown = &imaging.Image{}
		if err := s.Resize(img, shown, max(img.W*side/long, 1), max(img.H*side/long, 1), imaging.Bicubic); err != nil {
			return nil, err
		}
		x, y := float64(shown.W)/float64(img.W), float64(shown.H)/float64(img.H)
		scaled.Region = imaging.Region{X: m.Region.X * x, Y: m.Region.Y * y, W: m.Region.W * x, H: m.Region.H * y}
	}
	full, err := scaled.Full(shown.W, shown.H)
	if err != nil {
		return nil, err
	}
	out := &imaging.Image{W: shown.W, H: shown.H, C: 3, Bits: 8, Pix8: make([]uint8, 3*shown.W*shown.H)}
	unit := min(max(math.Sqrt(float64(shown.W)*float64(shown.H))/600, 0.85), 6)
	blend(shown, full, strongest(m.Values), unit, func(x, y int, c color.RGBA) {
		copy(out.Pix8[3*(y*shown.W+x):], []uint8{c.R, c.G, c.B})
	})
	return out, nil
}

// drawable reports whether there is an image of 8 bits a sample, and a map.
func drawable(img *imaging.Image, m *Map) error {
	if img == nil || img.Bits != 8 || len(img.Pix8) != img.W*img.H*img.C || img.W < 1 || img.H < 1 {
		return errors.New("overlay: an image of 8 bits a sample is needed")
	}
	return m.check()
}

// WritePNG writes what Draw draws.
func WritePNG(w io.Writer, img *imaging.Image, m *Map, text Text) error {
	page, err := Draw(img, m, text)
	if err != nil {
		return err
	}
	return png.Encode(w, page)
}

// strongest returns the largest value, or 0 if none is positive.
func strongest(values []float32) float32 {
	most := float32(0)
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

// smallest is the longer side in pixels below which an image is enlarged, by an integer factor.
const smallest = 448

// sized returns the image in the size in which it is drawn: unchanged, unless it is very small or very large.
func sized(img *imaging.Image) (shown *imaging.Image, zoom float64, err error) {
	side := max(img.W, img.H)
	switch pixels := float64(img.W) * float64(img.H); {
	case side < smallest:
		zoom = float64((smallest + side - 1) / side)
	case pixels > maxPixels:
		zoom = math.Sqrt(maxPixels / pixels)
	default:
		return img, 1, nil
	}
	var s imaging.Scratch
	shown = &imaging.Image{}
	w, h := max(int(float64(img.W)*zoom), 1), max(int(float64(img.H)*zoom), 1)
	err = s.Resize(img, shown, w, h, imaging.Bicubic)
	return shown, zoom, err
}
