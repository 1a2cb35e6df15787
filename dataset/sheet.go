package dataset

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"melo.example/melo/imaging"
)

// SheetOptions configures a contact sheet. The zero value uses the defaults.
type SheetOptions struct {
	PerLabel int    // images per label; default 16
	Columns  int    // images per row; default 8
	Side     int    // side in pixels of the square for each image; default 112
	Labels   int    // maximum number of labels; default 40
	Seed     uint64 // seed of the random choice
	Limits   imaging.Limits
}

func (o SheetOptions) orDefault() SheetOptions {
	for _, f := range []struct {
		v   *int
		def int
	}{{&o.PerLabel, 16}, {&o.Columns, 8}, {&o.Side, 112}, {&o.Labels, 40}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	return o
}

// Layout of a sheet, in pixels.
const (
	sheetMargin = 12
	sheetGap    = 4
	sheetHead   = 30 // height of a label's heading
	sheetFont   = 15
)

var (
	sheetPaper = color.RGBA{R: 250, G: 250, B: 250, A: 255}
	sheetInk   = color.RGBA{R: 30, G: 30, B: 30, A: 255}
	sheetBack  = color.RGBA{R: 205, G: 208, B: 212, A: 255} // behind images that are not square
)

// Sheet draws a contact sheet: for each label its name, its number of images, and a random choice of them. It
// shows whole images and enlarges small ones by an integer factor. Unreadable images are skipped.
func (d *Dataset) Sheet(ctx context.Context, opt SheetOptions) (*image.RGBA, error) {
	opt = opt.orDefault()
	chosen := d.choose(opt)
	face, err := sheetFace()
	if err != nil {
		return nil, err
	}
	defer face.Close()
	cell := opt.Side + sheetGap
	height := 2 * sheetMargin
	for _, c := range chosen {
		height += sheetHead + (len(c)+opt.Columns-1)/opt.Columns*cell
	}
	hidden := len(d.Labels) - len(chosen)
	if hidden > 0 {
		height += sheetHead
	}
	page := image.NewRGBA(image.Rect(0, 0, 2*sheetMargin+opt.Columns*cell-sheetGap, height))
	draw.Draw(page, page.Rect, image.NewUniform(sheetPaper), image.Point{}, draw.Src)
	pen := font.Drawer{Dst: page, Src: image.NewUniform(sheetInk), Face: face}
	counts := d.Counts(nil)
	y := sheetMargin
	var s imaging.Scratch
	for l, indices := range chosen {
		heading(&pen, page.Rect.Dx(), y, fmt.Sprintf("%s   %d of %d", d.Labels[l], len(indices), counts[l]))
		y += sheetHead
		for k, i := range indices {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			at := image.Pt(sheetMargin+k%opt.Columns*cell, y+k/opt.Columns*cell)
			if err := d.thumbnail(ctx, &s, page, image.Rectangle{Min: at, Max: at.Add(image.Pt(opt.Side, opt.Side))}, i, opt.Limits); err != nil {
				return nil, err
			}
		}
		y += (len(indices) + opt.Columns - 1) / opt.Columns * cell
	}
	if hidden > 0 {
		heading(&pen, page.Rect.Dx(), y, fmt.Sprintf("and %d labels more", hidden))
	}
	return page, nil
}

// choose picks images of each of the first labels.
func (d *Dataset) choose(opt SheetOptions) [][]int {
	order := rand.New(rand.NewPCG(opt.Seed, 0x7368656574)).Perm(len(d.Samples)) // "sheet"
	chosen := make([][]int, min(len(d.Labels), opt.Labels))
	for _, i := range order {
		for l := range chosen {
			if d.usable(i) && len(chosen[l]) < opt.PerLabel && d.has(i, l) {
				chosen[l] = append(chosen[l], i)
			}
		}
	}
	return chosen
}

// sheetFace returns the font of headings, which has Latin, Greek and Cyrillic letters.
func sheetFace() (font.Face, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err == nil {
		var face font.Face
		if face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: sheetFont, DPI: 72, Hinting: font.HintingFull}); err == nil {
			return face, nil
		}
	}
	return nil, fmt.Errorf("dataset: sheet: font: %w", err)
}

// heading draws a heading at height y, truncated at the edge of the page.
func heading(pen *font.Drawer, width, y int, text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	room := fixed.I(width - 2*sheetMargin)
	if pen.MeasureString(text) > room {
		runes := []rune(text)
		for len(runes) > 1 && pen.MeasureString(string(runes)+"…") > room {
			runes = runes[:len(runes)-1]
		}
		text = string(runes) + "…"
	}
	pen.Dot = fixed.P(sheetMargin, y+sheetHead-10)
	pen.DrawString(text)
}

// thumbnail draws image i into a square of the page.
func (d *Dataset) thumbnail(ctx context.Context, s *imaging.Scratch, page *image.RGBA, box image.Rectangle, i int, limits imaging.Limits) error {
	draw.Draw(page, box, image.NewUniform(sheetBack), image.Point{}, draw.Src)
	m, err := d.Image(ctx, i, imaging.Options{Limits: limits})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return d.gone(err) // a single one leaves its square empty
	}
	side, long := box.Dx(), max(m.W, m.H)
	w, h := max(m.W*side/long, 1), max(m.H*side/long, 1)
	interpolation := imaging.Bicubic
	if long < side { // interpolation would invent detail
		interpolation = imaging.Box
		w, h = m.W*(side/long), m.H*(side/long)
	}
	var small imaging.Image
	if err := s.Resize(m, &small, w, h, interpolation); err != nil {
		return err
	}
	from := box.Min.Add(image.Pt((side-w)/2, (side-h)/2))
	for y := range h {
		for x := range w {
			at := (y*w + x) * small.C
			c := color.RGBA{A: 255}
			for ch, v := range []*uint8{&c.R, &c.G, &c.B} {
				k := at + min(ch, small.C-1)
				if small.Bits == 16 {
					*v = uint8(small.Pix16[k] >> 8)
				} else {
					*v = small.Pix8[k]
				}
			}
			page.SetRGBA(from.X+x, from.Y+y, c)
		}
	}
	return nil
}
