package overlay

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"melo.example/melo/imaging"
)

// Colours around the image.
var (
	paper   = color.RGBA{0x14, 0x16, 0x1a, 255}
	ink     = color.RGBA{0xec, 0xec, 0xec, 255}
	muted   = color.RGBA{0xa8, 0xac, 0xb2, 255}
	warning = color.RGBA{0xff, 0xb4, 0x3c, 255}
	contour = color.RGBA{0xff, 0xff, 0xff, 255}
)

// contourAt is the fraction of the largest value at which a contour is drawn.
const contourAt = 0.5

// page is an image being rendered.
type page struct {
	img  *image.RGBA
	unit float64 // scale of lengths: 1 for an image of ordinary size
	at   image.Rectangle
	err  error

	titleFace, textFace font.Face
}

// newPage returns a dark page with space for an image of w x h pixels, the colour bar beside it and the text
// around it.
func newPage(w, h int, t Text) (*page, error) {
	p := &page{unit: math.Sqrt(float64(max(w, smallest))*float64(max(h, smallest))) / 600}
	p.unit = min(max(p.unit, 0.85), 6)
	var err error
	if p.titleFace, err = face(20 * p.unit); err == nil {
		p.textFace, err = face(13 * p.unit)
	}
	if err != nil {
		return nil, err
	}
	top := p.px(14+26) + p.px(18)*len(t.Notes) + p.px(8)
	if t.Warning != "" {
		top += p.px(20)
	}
	left, bar, bottom := p.px(14), p.px(86), p.px(36)
	room := max(w, p.px(330)) // narrower text is illegible
	p.img = image.NewRGBA(image.Rect(0, 0, left+room+bar, top+max(h, p.px(120))+bottom))
	draw.Draw(p.img, p.img.Rect, image.NewUniform(paper), image.Point{}, draw.Src)
	x := left + (room-w)/2
	p.at = image.Rect(x, top, x+w, top+h)
	return p, nil
}

func (p *page) px(v float64) int { return int(math.Round(v * p.unit)) }

// image draws the image and the map. full has a value per pixel, NaN where the model saw nothing.
func (p *page) image(img *imaging.Image, full []float32, strongest float32) {
	blend(img, full, strongest, p.unit, func(x, y int, c color.RGBA) { p.img.SetRGBA(p.at.Min.X+x, p.at.Min.Y+y, c) })
}

// blend calls set with the colour of each pixel of an image with strengths over it. unit is that of lengths.
func blend(img *imaging.Image, full []float32, strongest float32, unit float64, set func(x, y int, c color.RGBA)) {
	strength := func(x, y int) float64 {
		v := float64(full[y*img.W+x])
		if strongest == 0 || v < 0 {
			return 0
		}
		return v / float64(strongest)
	}
	width, hatch := max(1.1*unit, 1), max(int(math.Round(9*unit)), 4)
	for y := range img.H {
		for x := range img.W {
			at := (y*img.W + x) * img.C
			c := color.RGBA{img.Pix8[at], img.Pix8[at+min(1, img.C-1)], img.Pix8[at+img.C-1], 255}
			if v := full[y*img.W+x]; v != v {
				c = mix(c, paper, 0.6)
				if (x+y)%hatch == 0 {
					c = mix(c, muted, 0.45)
				}
				set(x, y, c)
				continue
			}
			v := strength(x, y)
			c = mix(c, heat(v), opacity(v))
			if strongest > 0 {
				c = mix(c, contour, onContour(v, strength, x, y, img.W, img.H, full, width))
			}
			set(x, y, c)
		}
	}
}

// onContour returns how much of a pixel the contour covers, from its distance to where strengths cross contourAt.
func onContour(v float64, strength func(x, y int) float64, x, y, w, h int, full []float32, width float64) float64 {
	x0, x1, y0, y1 := max(x-1, 0), min(x+1, w-1), max(y-1, 0), min(y+1, h-1)
	for _, i := range []int{y*w + x0, y*w + x1, y0*w + x, y1*w + x} {
		if full[i] != full[i] { // edge of the region that the model saw
			return 0
		}
	}
	dx, dy := (strength(x1, y)-strength(x0, y))/float64(max(x1-x0, 1)), (strength(x, y1)-strength(x, y0))/float64(max(y1-y0, 1))
	slope := math.Hypot(dx, dy)
	if slope == 0 {
		return 0
	}
	distance := math.Abs(v-contourAt) / slope
	return 0.9 * min(max(width/2+0.5-distance, 0), 1)
}

// mix blends b over a with opacity share.
func mix(a, b color.RGBA, share float64) color.RGBA {
	of := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-share) + float64(y)*share)) }
	return color.RGBA{of(a.R, b.R), of(a.G, b.G), of(a.B, b.B), 255}
}

// frame draws a line around the region that the model saw, unless it is the whole image.
func (p *page) frame(r imaging.Region) {
	whole := p.at.Sub(p.at.Min)
	seen := image.Rect(int(math.Round(r.X)), int(math.Round(r.Y)), int(math.Round(r.X+r.W)), int(math.Round(r.Y+r.H))).Intersect(whole)
	if seen == whole || seen.Empty() {
		return
	}
	seen = seen.Add(p.at.Min)
	t := max(p.px(1.2), 1)
	for _, side := range []image.Rectangle{
		{seen.Min, image.Pt(seen.Max.X, seen.Min.Y+t)}, {image.Pt(seen.Min.X, seen.Max.Y-t), seen.Max},
		{seen.Min, image.Pt(seen.Min.X+t, seen.Max.Y)}, {image.Pt(seen.Max.X-t, seen.Min.Y), seen.Max},
	} {
		draw.Draw(p.img, side.Intersect(p.at), image.NewUniform(muted), image.Point{}, draw.Src)
	}
}

// bar draws the colour bar.
func (p *page) bar() {
	height := max(p.at.Dy(), p.px(120))
	x, w := p.img.Rect.Dx()-p.px(72), p.px(14)
	y0, y1 := p.at.Min.Y+p.px(8), p.at.Min.Y+height-p.px(8)
	for y := y0; y < y1; y++ {
		v := 1 - (float64(y-y0)+0.5)/float64(y1-y0)
		c := mix(color.RGBA{0x50, 0x50, 0x50, 255}, heat(v), max(opacity(v)/opacity(1), 0.12))
		for i := range w {
			p.img.SetRGBA(x+i, y, c)
		}
	}
	half := y0 + int(math.Round(float64(y1-y0)*(1-contourAt)))
	draw.Draw(p.img, image.Rect(x-p.px(3), half, x+w+p.px(3), half+max(p.px(1.1), 1)), image.NewUniform(contour), image.Point{}, draw.Src)
	for _, tick := range []struct {
		y    int
		text string
	}{{y0 + p.px(9), "most"}, {half + p.px(5), "half"}, {y1, "none"}} {
		p.write(p.textFace, muted, x+w+p.px(7), tick.y, p.img.Rect.Dx()-x-w-p.px(8), tick.text)
	}
}

// text draws the text around the image.
func (p *page) text(t Text) {
	x, y := p.px(14), p.px(14+16)
	width := p.img.Rect.Dx() - 2*x
	p.write(p.titleFace, ink, x, y, width, t.Title)
	y += p.px(6)
	if t.Warning != "" {
		y += p.px(19)
		p.write(p.textFace, warning, x, y, width, t.Warning)
	}
	for _, note := range t.Notes {
		y += p.px(18)
		p.write(p.textFace, muted, x, y, width, note)
	}
	p.write(p.textFace, ink, x, p.img.Rect.Dy()-p.px(13), width, t.Footer)
}

// write draws one line of text, cut to the available width.
func (p *page) write(f font.Face, c color.RGBA, x, y, width int, s string) {
	d := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: f, Dot: fixed.P(x, y)}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); d.MeasureString(s) > fixed.I(width) {
		for len(runes) > 1 && d.MeasureString(string(runes)+"…") > fixed.I(width) {
			runes = runes[:len(runes)-1]
		}
		s = string(runes) + "…"
	}
	d.DrawString(s)
}

// goRegular is the font, with Latin, Greek and Cyrillic letters.
var goRegular = sync.OnceValues(func() (*sfnt.Font, error) { return opentype.Parse(goregular.TTF) })

// face returns the font in a size in pixels.
func face(size float64) (font.Face, error) {
	f, err := goRegular()
	if err == nil {
		var face font.Face
		if face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone}); err == nil {
			return face, nil
		}
	}
	return nil, fmt.Errorf("overlay: font: %w", err)
}
