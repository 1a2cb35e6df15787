package lora

import (
	"math"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

// Gauge is a vit.Adapter that adds nothing: it measures how large the inputs and outputs of the base's maps are on
// the images that pass. From that follows how far a step of training moves an output (see Rates). Not safe for
// concurrent use.
type Gauge struct {
	kinds []vit.Kind
	sites map[vit.Site]*gauged
}

// gauged are sums over the rows of one site.
type gauged struct {
	rows int
	x1   float64 // of the sums of |x|
	x2   float64 // of the sums of x², over all columns
	y2   float64 // of the sums of y²
	in   int
	out  int
}

// NewGauge returns a gauge of the maps of these kinds, in all blocks.
func NewGauge(kinds ...vit.Kind) *Gauge { return &Gauge{kinds: kinds, sites: map[vit.Site]*gauged{}} }

// Has reports whether the site is measured.
func (g *Gauge) Has(site vit.Site) bool {
	for _, k := range g.kinds {
		if k == site.Kind {
			return true
		}
	}
	return false
}

// Forward adds the rows of x and y, which stay as they are.
func (g *Gauge) Forward(_ *kernel.Exec, site vit.Site, _ vit.Rows, x, y kernel.Mat) {
	s := g.sites[site]
	if s == nil {
		s = &gauged{in: x.Cols, out: y.Cols}
		g.sites[site] = s
	}
	s.rows += x.Rows
	for r := range x.Rows {
		for _, v := range x.Row(r) {
			s.x1 += math.Abs(float64(v))
			s.x2 += float64(v) * float64(v)
		}
		for _, v := range y.Row(r) {
			s.y2 += float64(v) * float64(v)
		}
	}
}

// Backward panics: a gauge is for forward passes.
func (g *Gauge) Backward(*kernel.Exec, vit.Site, vit.Rows, kernel.Mat, kernel.Mat, kernel.Mat) {
	panic("lora: Gauge has no backward pass")
}

// Size is what a gauge has found at one site: means over rows of the sum of |x|, the root mean square of a
// number of x, and that of y.
type Size struct{ X1, X, Y float64 }

// At returns what was found at a site; zero where nothing passed.
func (g *Gauge) At(site vit.Site) Size {
	if s := g.sites[site]; s != nil {
		return s.size()
	}
	return Size{}
}

func (s *gauged) size() Size {
	if s.rows == 0 {
		return Size{}
	}
	n := float64(s.rows)
	return Size{s.x1 / n, math.Sqrt(s.x2 / n / float64(s.in)), math.Sqrt(s.y2 / n / float64(s.out))}
}
