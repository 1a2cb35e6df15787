package plot

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// raster draws on pixels.
type raster struct {
	img   *image.RGBA
	scale float64 // pixels of a unit
	faces map[float64]font.Face
	err   error // the first one
}

// maxSide bounds an image, in pixels.
const maxSide = 8192

// Image draws the figure, with its title, on white, with scale pixels a unit.
func (f *Figure) Image(scale float64) (*image.RGBA, error) {
	l := f.newLayout(true)
	w, h := math.Ceil(l.width*scale), math.Ceil(l.height*scale)
	if !(w >= 1 && h >= 1 && w <= maxSide && h <= maxSide) {
		return nil, fmt.Errorf("plot: an image of %v x %v pixels, expected 1 to %d", w, h, maxSide)
	}
	c := &raster{img: image.NewRGBA(image.Rect(0, 0, int(w), int(h))), scale: scale, faces: map[float64]font.Face{}}
	draw.Draw(c.img, c.img.Rect, image.NewUniform(paperTone.rgba()), image.Point{}, draw.Src)
	l.draw(c, true)
	return c.img, c.err
}

// WritePNG writes Image as PNG.
func (f *Figure) WritePNG(w io.Writer, scale float64) error {
	img, err := f.Image(scale)
	if err != nil {
		return err
	}
	if p := paletted(img); p != nil {
		return png.Encode(w, p)
	}
	return png.Encode(w, img)
}

// paletted is the same image in a byte a pixel, which is smaller and sooner written; nil if it has more than 256 colours.
func paletted(m *image.RGBA) *image.Paletted {
	p := image.NewPaletted(m.Rect, nil)
	index := map[[4]byte]uint8{}
	var last [4]byte
	var at uint8
	for i := range p.Pix {
		c := [4]byte(m.Pix[4*i:])
		if i == 0 || c != last {
			k, ok := index[c]
			if !ok {
				if len(p.Palette) == 256 {
					return nil
				}
				k = uint8(len(p.Palette))
				index[c] = k
				p.Palette = append(p.Palette, color.RGBA{c[0], c[1], c[2], c[3]})
			}
			last, at = c, k
		}
		p.Pix[i] = at
	}
	return p
}

func (c *raster) begin(part) {}
func (c *raster) end()       {}

// fill paints polygons of the same direction of turning. It rasterizes their bounds and no more: most are small.
func (c *raster) fill(polygons [][]point, paint color.RGBA, opacity float64) {
	box := c.bounds(polygons)
	if box.Empty() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, p := range polygons {
		for i, q := range p {
			x, y := float32(q.x*c.scale)-float32(box.Min.X), float32(q.y*c.scale)-float32(box.Min.Y)
			if i == 0 {
				z.MoveTo(x, y)
			} else {
				z.LineTo(x, y)
			}
		}
		z.ClosePath()
	}
	a := opacity * 255
	mix := func(v uint8) uint8 { return uint8(math.Round(float64(v) * opacity)) }
	z.Draw(c.img, box, image.NewUniform(color.RGBA{mix(paint.R), mix(paint.G), mix(paint.B), uint8(math.Round(a))}), image.Point{})
}

// bounds are the pixels of the image that polygons touch; none if a point is not finite.
func (c *raster) bounds(polygons [][]point) image.Rectangle {
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, p := range polygons {
		for _, q := range p {
			low.x, low.y = min(low.x, q.x*c.scale), min(low.y, q.y*c.scale)
			high.x, high.y = max(high.x, q.x*c.scale), max(high.y, q.y*c.scale)
		}
	}
	if sum := low.x + low.y + high.x + high.y; math.IsNaN(sum) || math.IsInf(sum, 0) { // no points, or one that is nowhere
		return image.Rectangle{}
	}
	within := func(v float64, side int) int { return int(min(max(v, 0), float64(side))) }
	w, h := c.img.Rect.Dx(), c.img.Rect.Dy()
	return image.Rect(within(math.Floor(low.x), w), within(math.Floor(low.y), h), within(math.Ceil(high.x), w), within(math.Ceil(high.y), h))
}

func (c *raster) area(points []point, col int, opacity float64) {
	c.fill([][]point{points}, toneOf(col).rgba(), opacity)
}

func (c *raster) mark(at point, col int, radius float64) {
	shape := shapes[col%len(shapes)]
	if shape == nil {
		shape = circle
	}
	c.area(placed(shape, at, radius), col, 1)
}

// circle of radius 1 as a polygon.
var circle = func() []point {
	out := make([]point, 24)
	for i := range out {
		a := 2 * math.Pi * float64(i) / float64(len(out))
		out[i] = point{math.Cos(a), math.Sin(a)}
	}
	return out
}()

// line draws each piece as a rectangle, with round ends where pieces meet.
func (c *raster) line(points []point, p pen) {
	half := p.width / 2
	var shapes [][]point
	for _, run := range dashed(points, p.dash) {
		for i := 1; i < len(run); i++ {
			a, b := run[i-1], run[i]
			length := math.Hypot(b.x-a.x, b.y-a.y)
			if length == 0 {
				continue
			}
			nx, ny := -(b.y-a.y)/length*half, (b.x-a.x)/length*half
			shapes = append(shapes, []point{{a.x - nx, a.y - ny}, {b.x - nx, b.y - ny}, {b.x + nx, b.y + ny}, {a.x + nx, a.y + ny}})
			if i > 1 && half > 0.6 {
				shapes = append(shapes, placed(circle, a, half))
			}
		}
	}
	c.fill(shapes, toneOf(p.color).rgba(), 1)
}

// dashed cuts a line into dashes: lengths drawn and left out by turns.
func dashed(points []point, pattern []float64) [][]point {
	if len(pattern) == 0 || len(points) < 2 {
		return [][]point{points}
	}
	var out [][]point
	run := []point{points[0]}
	k, left := 0, pattern[0]
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		length := math.Hypot(b.x-a.x, b.y-a.y)
		for at := 0.0; length > 0 && at < length; {
			step := min(left, length-at)
			at += step
			left -= step
			p := point{a.x + (b.x-a.x)*at/length, a.y + (b.y-a.y)*at/length}
			run = append(run, p)
			if left > 0 {
				continue
			}
			if k%2 == 0 {
				out = append(out, run)
			}
			run = []point{p}
			k++
			left = pattern[k%len(pattern)]
		}
	}
	if k%2 == 0 && len(run) > 1 {
		out = append(out, run)
	}
	return out
}

// goRegular is the font of images: it has Latin, Greek and Cyrillic letters.
var goRegular = sync.OnceValues(func() (*sfnt.Font, error) { return opentype.Parse(goregular.TTF) })

// face returns the font of a size; without one, text is left out and Image fails.
func (c *raster) face(size float64) font.Face {
	if f, ok := c.faces[size]; ok {
		return f
	}
	parsed, err := goRegular()
	var f font.Face
	if err == nil {
		f, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: size * c.scale, DPI: 72, Hinting: font.HintingNone})
	}
	if err != nil {
		if c.err == nil {
			c.err = fmt.Errorf("plot: font: %w", err)
		}
		return nil
	}
	c.faces[size] = f
	return f
}

func (c *raster) text(at point, s string, size float64, a anchor, bold bool) {
	f := c.face(size)
	if f == nil {
		return
	}
	d := font.Drawer{Dst: c.img, Src: image.NewUniform(inkTone.rgba()), Face: f}
	width := d.MeasureString(s)
	x := fixed.Int26_6(at.x * c.scale * 64)
	d.Dot = fixed.Point26_6{X: x - width*fixed.Int26_6(a)/2, Y: fixed.Int26_6(at.y * c.scale * 64)}
	d.DrawString(s)
	if bold { // there is no other face: a second time, a little to the right
		d.Dot = fixed.Point26_6{X: x - width*fixed.Int26_6(a)/2 + fixed.Int26_6(size*c.scale*64/24), Y: d.Dot.Y}
		d.DrawString(s)
	}
}

// vertical draws on a strip and turns it.
func (c *raster) vertical(at point, s string, size float64) {
	f := c.face(size)
	if f == nil {
		return
	}
	d := font.Drawer{Src: image.NewUniform(inkTone.rgba()), Face: f}
	w, up, h := d.MeasureString(s).Ceil(), f.Metrics().Ascent.Ceil(), f.Metrics().Height.Ceil()
	strip := image.NewRGBA(image.Rect(0, 0, w+2, h+2))
	d.Dst, d.Dot = strip, fixed.P(1, up)
	d.DrawString(s)
	turned := image.NewRGBA(image.Rect(0, 0, strip.Rect.Dy(), strip.Rect.Dx()))
	for y := range strip.Rect.Dy() {
		for x := range strip.Rect.Dx() {
			turned.SetRGBA(y, strip.Rect.Dx()-1-x, strip.RGBAAt(x, y))
		}
	}
	to := image.Pt(int(at.x*c.scale)-up, int(at.y*c.scale)-turned.Rect.Dy()/2)
	draw.Draw(c.img, turned.Rect.Add(to), turned, image.Point{}, draw.Over)
}
