package plot

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
)

// svg collects the elements of a drawing.
type svg struct {
	b      strings.Builder
	inline bool // in a page, which may hide parts and point at them
}

// begin opens a group with what a page needs to know of it; a file by itself has none.
func (c *svg) begin(p part) {
	switch {
	case !c.inline:
	case p == part{}:
		c.b.WriteString("<g>")
	case p.shade > 0:
		fmt.Fprintf(&c.b, `<g class="shade s%d">`, p.shade)
	case p.note != "":
		fmt.Fprintf(&c.b, `<g data-note="%s" data-at="%s %s">`, escape(p.note), num(p.at.x), num(p.at.y))
	default:
		fmt.Fprintf(&c.b, `<g data-line="%s">`, escape(p.line))
	}
}

func (c *svg) end() {
	if c.inline {
		c.b.WriteString("</g>")
	}
}

// axis is what a page needs to know to tell values from positions: both ends, their values, and whether it is logarithmic.
func axis(a *Axis, s *scale) string {
	return escape(fmt.Sprintf("%s %s %s %s %t %t %s", num(s.from), num(s.to), strconv.FormatFloat(s.min, 'g', 10, 64), strconv.FormatFloat(s.max, 'g', 10, 64),
		s.log, a.Whole, a.Label))
}

// SVG returns the figure as an element for an HTML page that has the rules of CSS. The id, of letters, digits and
// hyphens, must be the page's only one of that name. The title is not drawn: a page has headings and captions. What a script
// needs to tell the values under a pointer stands in attributes: data-x and data-y (both ends in the figure, their values,
// whether the axis is logarithmic and of whole numbers, its label), data-line, data-note and data-at; of several shades
// (class shade) number n has class sn.
func (f *Figure) SVG(id string) string {
	c := svg{inline: true}
	l := f.newLayout(false)
	fmt.Fprintf(&c.b, `<svg class="plot" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d" data-x="%s" data-y="%s">`, num(l.width), num(l.height), id, id,
		axis(&f.X, l.x), axis(&f.Y, l.y))
	c.describe(f, id)
	l.draw(&c, false)
	c.b.WriteString("</svg>")
	return c.b.String()
}

// WriteSVG writes the figure, with its title, as a file that stands by itself, on paper of its own.
func (f *Figure) WriteSVG(w io.Writer) error {
	var c svg
	l := f.newLayout(true)
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="%s" height="%s" viewBox="0 0 %s %s" role="img" aria-labelledby="plot-t plot-d">`,
		num(l.width), num(l.height), num(l.width), num(l.height))
	c.describe(f, "plot")
	fmt.Fprintf(&c.b, "<style>\n%s.plot .paper{fill:#%06x}\n@media screen and (prefers-color-scheme:dark){.plot .paper{fill:#%06x}}\n</style>", html.EscapeString(CSS()), paperTone.light, paperTone.dark)
	c.b.WriteString(`<rect class="paper" width="100%" height="100%"/>`)
	l.draw(&c, true)
	c.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, c.b.String())
	return err
}

// describe writes what is read out.
func (c *svg) describe(f *Figure, id string) {
	fmt.Fprintf(&c.b, `<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, id, escape(f.Title), id, escape(f.Description()))
}

// Description returns Text or, if that is empty, what the axes and series are and where they begin and end.
func (f *Figure) Description() string {
	if f.Text != "" {
		return f.Text
	}
	text := fmt.Sprintf("%s against %s.", f.Y.Label, f.X.Label)
	for k := range f.Series {
		s := &f.Series[k]
		first, last := -1, -1
		for i := range s.n() {
			if finite(s.X[i]) && finite(s.Y[i]) {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		if s.Name != "" && first >= 0 {
			text += fmt.Sprintf(" %s: from %.3g at %.3g to %.3g at %.3g.", s.Name, s.Y[first], s.X[first], s.Y[last], s.X[last])
		}
	}
	return text
}

func escape(s string) string { return html.EscapeString(Clean(s)) }

// num writes a coordinate to a hundredth.
func num(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

func coordinates(points []point) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(num(p.x) + "," + num(p.y))
	}
	return b.String()
}

func (c *svg) line(points []point, p pen) {
	dash := ""
	if len(p.dash) > 0 {
		words := make([]string, len(p.dash))
		for i, d := range p.dash {
			words[i] = num(d)
		}
		dash = fmt.Sprintf(` stroke-dasharray="%s"`, strings.Join(words, " "))
	}
	fmt.Fprintf(&c.b, `<polyline class="%s" points="%s" fill="none" stroke-width="%s"%s/>`, lineClass(p.color), coordinates(points), num(p.width), dash)
}

func (c *svg) area(points []point, color int, opacity float64) {
	fmt.Fprintf(&c.b, `<polygon class="%s" points="%s" fill-opacity="%s"/>`, fillClass(color), coordinates(points), num(opacity))
}

func (c *svg) mark(at point, color int, radius float64) {
	if shape := shapes[color%len(shapes)]; shape != nil {
		c.area(placed(shape, at, radius), color, 1)
		return
	}
	fmt.Fprintf(&c.b, `<circle class="%s" cx="%s" cy="%s" r="%s"/>`, fillClass(color), num(at.x), num(at.y), num(radius))
}

func (c *svg) text(at point, s string, size float64, a anchor, bold bool) {
	weight := ""
	if bold {
		weight = ` font-weight="600"`
	}
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" font-size="%s" text-anchor="%s"%s>%s</text>`, num(at.x), num(at.y), num(size),
		[]string{"start", "middle", "end"}[a], weight, escape(s))
}

func (c *svg) vertical(at point, s string, size float64) {
	fmt.Fprintf(&c.b, `<text transform="translate(%s %s) rotate(-90)" font-size="%s" text-anchor="middle">%s</text>`, num(at.x), num(at.y), num(size), escape(s))
}

// shapes of marks by colour; nil is a circle.
var shapes = [][]point{
	{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}},                 // muted: square
	nil,                                                  // circle
	{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}},                 // square
	{{0, -1.3}, {1.2, 0.9}, {-1.2, 0.9}},                 // triangle
	{{0, -1.4}, {1.4, 0}, {0, 1.4}, {-1.4, 0}},           // diamond
	{{-1.2, -0.9}, {1.2, -0.9}, {0, 1.3}},                // triangle, point down
	{{-1.5, -0.5}, {1.5, -0.5}, {1.5, 0.5}, {-1.5, 0.5}}, // bar
	{{-0.5, -1.5}, {0.5, -1.5}, {0.5, 1.5}, {-0.5, 1.5}}, // upright bar
	nil,
}

// placed moves a shape to its place.
func placed(shape []point, at point, radius float64) []point {
	out := make([]point, len(shape))
	for i, p := range shape {
		out[i] = point{at.x + p.x*radius, at.y + p.y*radius}
	}
	return out
}
