package plot

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// point is a position on the canvas, y downwards.
type point struct{ x, y float64 }

// anchor is the part of a text that its position is of.
type anchor int

const (
	start anchor = iota
	middle
	end
)

// pen is how a line is drawn.
type pen struct {
	color int // 0: muted; frame and grid: the axes
	width float64
	dash  []float64
}

// frame and grid are colours besides those of series.
const (
	frame = -1
	grid  = -2
)

// part is what a page may hide or point at: what is drawn between begin and end of a canvas.
type part struct {
	shade int    // the number of a band, from 1, of which one is shown at a time; 0: no band
	line  string // the name of a series that is drawn as a line
	note  string // what is said of a mark or a bar
	at    point  // of the mark
}

// canvas is what a figure is drawn on.
type canvas interface {
	begin(p part)
	end()
	line(points []point, p pen)
	// area fills a polygon with a colour, of which opacity is seen.
	area(points []point, color int, opacity float64)
	// mark draws the mark of a colour: each has a shape of its own.
	mark(at point, color int, radius float64)
	text(at point, s string, size float64, a anchor, bold bool)
	vertical(at point, s string, size float64) // reads upwards, centred
}

// Sizes of text and room, in the figure's units.
const (
	textSize   = 14 // a page draws a figure a little smaller than its units
	titleSize  = 16
	charWidth  = 0.56 // of an average character, in sizes
	margin     = 8
	legendLine = 20
	legendMark = 26
)

// layout is where things are.
type layout struct {
	f             *Figure
	width, height float64
	x, y          *scale
	left, right   float64 // of the room for points
	top, bottom   float64
	legend        [][]entry // rows
}

// entry is one name in the legend.
type entry struct {
	series int
	name   string
	x      float64
}

// newLayout decides where things are. Title: whether it is drawn, too.
func (f *Figure) newLayout(title bool) *layout {
	l := &layout{f: f, width: f.Width, height: f.Height}
	if l.width <= 0 {
		l.width = DefaultWidth
	}
	l.top = margin + textSize/2
	if title && f.Title != "" {
		l.top += titleSize + margin
	}
	low, high := f.span(false)
	y := newScale(&f.Y, low, high, 1, 0, 6) // positions come below; the labels are needed for the margin
	widest := 0.0
	for _, t := range y.ticks {
		widest = max(widest, textWidth(y.format(t), textSize))
	}
	l.left = margin + widest + 6
	if f.Y.Label != "" {
		l.left += textSize + 6
	}
	l.right = l.width - margin - 12
	l.legendRows()
	below := 6 + textSize + margin + 4 + float64(len(l.legend))*legendLine
	if f.X.Label != "" {
		below += textSize + 4
	}
	if l.height <= 0 {
		l.bottom = l.top + (l.right-l.left)*0.75
		if f.Square {
			l.bottom = l.top + l.right - l.left
		}
		l.height = l.bottom + below
	}
	l.bottom = max(l.height-below, l.top+40)
	y.from, y.to = l.bottom, l.top
	l.y = y
	low, high = f.span(true)
	l.x = newScale(&f.X, low, high, l.left, l.right, 6)
	return l
}

// legendRows puts the names side by side as far as they fit.
func (l *layout) legendRows() {
	named := 0
	for k := range l.f.Series {
		if l.f.Series[k].Name != "" {
			named++
		}
	}
	if named == 0 {
		return
	}
	left := margin + 6.0
	room := l.width - left - margin
	at := left
	for k := range l.f.Series {
		if l.f.Series[k].Name == "" {
			continue
		}
		name := fit(l.f.Series[k].Name, room-legendMark, textSize)
		w := legendMark + textWidth(name, textSize) + 14
		if len(l.legend) == 0 || at+w > left+room+14 {
			l.legend, at = append(l.legend, nil), left
		}
		row := &l.legend[len(l.legend)-1]
		*row = append(*row, entry{k, name, at})
		at += w
	}
}

// textWidth estimates the width of a text; fonts differ.
func textWidth(s string, size float64) float64 {
	return charWidth * size * float64(utf8.RuneCountInString(s))
}

// fit makes one clean line of a text, and cuts it to a width.
func fit(s string, width, size float64) string {
	s = Clean(s)
	most := max(int(width/(charWidth*size)), 2)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// Clean makes valid text of one line of what came from outside: control characters become spaces.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return ' '
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfffe, r == 0xffff: // would reorder the rest, or are no characters
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// draw draws the figure.
func (l *layout) draw(c canvas, title bool) {
	f := l.f
	if title && f.Title != "" {
		c.text(point{l.width / 2, margin + titleSize}, fit(f.Title, l.width-2*margin, titleSize), titleSize, middle, true)
	}
	l.axes(c)
	for k := range f.Series {
		if f.Series[k].Kind == Bars {
			l.bars(c, &f.Series[k], f.color(k))
		}
	}
	for k := range f.Series {
		l.band(c, &f.Series[k], f.color(k))
	}
	for k := range f.Series {
		l.series(c, &f.Series[k], f.color(k))
	}
	at := l.height - margin - float64(len(l.legend)-1)*legendLine
	for _, row := range l.legend {
		for _, e := range row {
			l.sample(c, e, at)
		}
		at += legendLine
	}
}

// axes draws grid, ticks and labels.
func (l *layout) axes(c canvas) {
	last := math.Inf(-1)
	for _, v := range l.x.ticks {
		x := l.x.at(v)
		c.line([]point{{x, l.top}, {x, l.bottom}}, pen{color: grid, width: 1})
		label := l.x.format(v)
		if half := textWidth(label, textSize)/2 + 3; x-half >= last { // else it would run into the one before
			c.text(point{x, l.bottom + 6 + textSize}, label, textSize, middle, false)
			last = x + half
		}
	}
	for _, v := range l.y.ticks {
		y := l.y.at(v)
		c.line([]point{{l.left, y}, {l.right, y}}, pen{color: grid, width: 1})
		c.text(point{l.left - 6, y + textSize*0.36}, l.y.format(v), textSize, end, false)
	}
	c.line([]point{{l.left, l.top}, {l.left, l.bottom}, {l.right, l.bottom}}, pen{color: frame, width: 1})
	if s := l.f.X.Label; s != "" {
		c.text(point{(l.left + l.right) / 2, l.bottom + 10 + 2*textSize}, fit(s, l.right-l.left, textSize), textSize, middle, false)
	}
	if s := l.f.Y.Label; s != "" {
		c.vertical(point{margin + textSize, (l.top + l.bottom) / 2}, fit(s, l.bottom-l.top, textSize), textSize)
	}
}

// place returns the position of a value, kept within the room; a gap is not ok.
func (l *layout) place(x, y float64) (point, bool) {
	p := point{l.x.at(x), l.y.at(y)}
	if !finite(p.x) || !finite(p.y) {
		return p, false
	}
	return point{min(max(p.x, l.left), l.right), min(max(p.y, l.top), l.bottom)}, true
}

func (l *layout) bars(c canvas, s *Series, color int) {
	floor := min(max(l.y.at(0), l.top), l.bottom)
	if !finite(floor) {
		floor = l.bottom
	}
	for i := range s.n() {
		a, ok := l.place(s.X[i]-s.Width/2, s.Y[i])
		b, ok2 := l.place(s.X[i]+s.Width/2, s.Y[i])
		if !ok || !ok2 || a.y == floor {
			continue
		}
		c.begin(part{note: l.f.note(s, i), at: point{(a.x + b.x) / 2, a.y}})
		c.area([]point{{a.x, a.y}, {b.x, b.y}, {b.x, floor}, {a.x, floor}}, color, 0.3)
		c.line([]point{{a.x, floor}, {a.x, a.y}, {b.x, b.y}, {b.x, floor}}, pen{color: color, width: 1})
		c.end()
	}
}

// band fills what lies between Low and High of a line.
func (l *layout) band(c canvas, s *Series, color int) {
	if s.Kind != Line && s.Kind != Steps {
		return
	}
	var up, down []point
	c.begin(part{shade: slices.Index(l.f.Shades(), s.Shade) + 1})
	defer c.end()
	flush := func() {
		if len(up) > 1 {
			up, down = simplify(up), simplify(down)
			for i := len(down) - 1; i >= 0; i-- {
				up = append(up, down[i])
			}
			c.area(up, color, 0.16)
		}
		up, down = nil, nil
	}
	for i := range s.n() {
		low, high, ok := s.interval(i)
		a, okA := l.place(s.X[i], high)
		b, okB := l.place(s.X[i], low)
		if !ok || !okA || !okB {
			flush()
			continue
		}
		if k := len(up); s.Kind == Steps && k > 0 {
			up, down = append(up, point{a.x, up[k-1].y}), append(down, point{b.x, down[k-1].y})
		}
		up, down = append(up, a), append(down, b)
	}
	flush()
}

// dashes tell lines of different colours apart where colours are not seen.
var dashes = [Colors + 1][]float64{{2, 3}, nil, {8, 3}, {2, 2}, {9, 3, 2, 3}, {5, 5}, {12, 4}, {9, 2, 2, 2, 2, 2}, {4, 2}}

func (s *Series) pen(color int) pen {
	p := pen{color: color, width: 2, dash: dashes[color]}
	if s.Thin || s.Muted {
		p.width = 1
	}
	return p
}

// series draws lines, or marks with whiskers.
func (l *layout) series(c canvas, s *Series, color int) {
	if s.Kind == Points {
		for i := range s.n() {
			l.whisker(c, s, i, color)
		}
		return
	}
	if s.Kind == Bars {
		return
	}
	c.begin(part{line: cmp.Or(s.Name, l.f.Y.Label)})
	defer c.end()
	var run []point
	flush := func() {
		switch {
		case len(run) == 1:
			c.mark(run[0], color, 3)
		case len(run) > 1:
			c.line(simplify(run), s.pen(color))
		}
		run = nil
	}
	for i := range s.n() {
		p, ok := l.place(s.X[i], s.Y[i])
		if !ok {
			flush()
			continue
		}
		if k := len(run); s.Kind == Steps && k > 0 {
			run = append(run, point{p.x, run[k-1].y})
		}
		run = append(run, p)
	}
	flush()
}

func (l *layout) whisker(c canvas, s *Series, i, color int) {
	p, ok := l.place(s.X[i], s.Y[i])
	if !ok {
		return
	}
	c.begin(part{note: l.f.note(s, i), at: p})
	defer c.end()
	if low, high, ok := s.interval(i); ok {
		a, okA := l.place(s.X[i], high)
		b, okB := l.place(s.X[i], low)
		if okA && okB {
			c.line([]point{a, b}, pen{color: color, width: 1.2})
			for _, e := range []point{a, b} {
				c.line([]point{{e.x - 3, e.y}, {e.x + 3, e.y}}, pen{color: color, width: 1.2})
			}
		}
	}
	c.mark(p, color, 3.5)
}

// sample draws an entry of the legend.
func (l *layout) sample(c canvas, e entry, base float64) {
	s := &l.f.Series[e.series]
	color, y := l.f.color(e.series), base-textSize*0.36
	switch s.Kind {
	case Points:
		c.mark(point{e.x + 10, y}, color, 3.5)
	case Bars:
		box := []point{{e.x + 3, y - 5}, {e.x + 17, y - 5}, {e.x + 17, y + 5}, {e.x + 3, y + 5}}
		c.area(box, color, 0.3)
		c.line(append(box, box[0]), pen{color: color, width: 1})
	default:
		c.line([]point{{e.x, y}, {e.x + 20, y}}, s.pen(color))
	}
	c.text(point{e.x + legendMark, base}, e.name, textSize, start, false)
}

// simplify drops points that nobody could see: those that are all but where the last one is, and those on the straight
// line between their neighbours.
func simplify(points []point) []point {
	const seen = 0.2
	if len(points) < 3 {
		return points
	}
	out := points[:1:1]
	for i := 1; i < len(points)-1; i++ {
		a, p := out[len(out)-1], points[i]
		if math.Abs(p.x-a.x) < seen && math.Abs(p.y-a.y) < seen {
			continue
		}
		b := points[i+1]
		dx, dy := b.x-a.x, b.y-a.y
		length := math.Hypot(dx, dy)
		within := (p.x-a.x)*dx+(p.y-a.y)*dy >= 0 && (b.x-p.x)*dx+(b.y-p.y)*dy >= 0
		// Exact collinearity only: errors of many points in a row must not add up.
		if length > 0 && within && math.Abs((p.x-a.x)*dy-(p.y-a.y)*dx) < 1e-9*length {
			continue
		}
		out = append(out, p)
	}
	return append(out, points[len(points)-1])
}
