// Package plot draws figures: lines with bands, points with whiskers, and bars, as SVG or as pixels.
//
// A [Figure] is plain data. One layout serves both outputs, so that the picture beside a run and the one in a
// report are the same. Names may come from anywhere: they are escaped, and cut where there is no room.
package plot

import (
	"fmt"
	"math"
	"slices"
)

// Kind says how a series is drawn.
type Kind int

// The kinds of a series.
const (
	Line   Kind = iota // a line through the points, with a band between Low and High
	Steps              // a line that is level from each point to the next
	Points             // a mark for each point, with a whisker from Low to High
	Bars               // a bar from zero for each point, Width wide
)

// Series is a list of points that belong together. Points that are not finite are gaps.
type Series struct {
	Name  string // in the legend; empty: not there
	Kind  Kind
	X, Y  []float64
	Low   []float64 // of intervals, as long as Y; nil: none
	High  []float64
	Width float64 // of bars, in units of X
	// Color is a number from 1: series of one colour belong together. 0: the place among those that are not muted.
	Color int
	Muted bool // grey and dotted, for what the others are compared with
	Thin  bool // for what is behind another line
	// Shade names the band between Low and High: of several shades a page shows one at a time. Empty: it is always shown.
	Shade string
	// Notes are what is said of each point of Points and Bars that is pointed at; where there is none, its numbers.
	Notes []string
}

// Axis is one side of a figure. If Min equals Max, it spans the points.
type Axis struct {
	Label    string
	Min, Max float64
	Log      bool // logarithmic; what is not above zero is a gap
	Whole    bool // whole numbers only
}

// Figure is one plot.
type Figure struct {
	Title string
	// Text says what there is to see to those who cannot. Empty: it is made of the names and ranges.
	Text   string
	X, Y   Axis
	Series []Series
	// Width and Height are those of the whole, in units of which a line of text has some 16. 0: DefaultWidth, and
	// a height that makes the room for the points 3/4 as high as wide, or, if Square, as high as wide.
	Width, Height float64
	Square        bool
}

// Shades lists the names of the bands of which a page shows one at a time; none if there are fewer than two.
func (f *Figure) Shades() []string {
	var names []string
	for k := range f.Series {
		if s := &f.Series[k]; s.Shade != "" && !slices.Contains(names, s.Shade) {
			names = append(names, s.Shade)
		}
	}
	if len(names) < 2 {
		return nil
	}
	return names
}

// note is what is said of point i of a series.
func (f *Figure) note(s *Series, i int) string {
	if i < len(s.Notes) {
		return s.Notes[i]
	}
	text := fmt.Sprintf("%s %.4g, %s %.4g", f.X.Label, s.X[i], f.Y.Label, s.Y[i])
	if low, high, ok := s.interval(i); ok {
		text += fmt.Sprintf(" (%.4g to %.4g)", low, high)
	}
	if s.Name != "" {
		text = s.Name + ": " + text
	}
	return text
}

// DefaultWidth of a figure.
const DefaultWidth = 440

// finite tells whether a number can be drawn.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// n is the number of points of a series.
func (s *Series) n() int { return min(len(s.X), len(s.Y)) }

// interval returns Low and High of point i, if it has them.
func (s *Series) interval(i int) (low, high float64, ok bool) {
	if i >= len(s.Low) || i >= len(s.High) || !finite(s.Low[i]) || !finite(s.High[i]) {
		return 0, 0, false
	}
	return s.Low[i], s.High[i], true
}

// color is the number of the colour of series k, 0 if it is muted.
func (f *Figure) color(k int) int {
	s := &f.Series[k]
	switch {
	case s.Muted:
		return 0
	case s.Color > 0:
		return (s.Color-1)%Colors + 1
	}
	position := 0
	for i := range k {
		if !f.Series[i].Muted {
			position++
		}
	}
	return position%Colors + 1
}

// span returns the least and the greatest coordinate of the points along one axis.
func (f *Figure) span(alongX bool) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	axis := &f.Y
	if alongX {
		axis = &f.X
	}
	see := func(v float64) {
		if finite(v) && (!axis.Log || v > 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	for k := range f.Series {
		s := &f.Series[k]
		for i := range s.n() {
			switch {
			case alongX && s.Kind == Bars:
				see(s.X[i] - s.Width/2)
				see(s.X[i] + s.Width/2)
			case alongX:
				see(s.X[i])
			default:
				see(s.Y[i])
				if l, h, ok := s.interval(i); ok {
					see(l)
					see(h)
				}
			}
		}
		if !alongX && s.Kind == Bars {
			see(0)
		}
	}
	return low, high
}
