package lora

import (
	"errors"
	"math"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/vit"
)

// Gauge measures the magnitude of the inputs and outputs of the base's linear maps on sample images. From that
// follows how far a training step moves an output (see Rates). It is not safe for concurrent use.
type Gauge struct {
	kinds []vit.Kind
	sites map[vit.Site]*gauged
}

// gauged holds sums over the rows of one site.
type gauged struct {
	rows int
	x1   float64 // of sum |x| per row
	x2   float64 // of x², over all columns
	y2   float64 // of y², over all columns
	in   int
	out  int
}

// NewGauge returns a gauge of the maps of the given kinds in all blocks.
func NewGauge(kinds ...vit.Kind) *Gauge { return &Gauge{kinds: kinds, sites: map[vit.Site]*gauged{}} }

// Measure runs n images through the bare base, measures the maps, and returns the features.
func (g *Gauge) Measure(e compute.Engine, images []float32, n int) ([]float32, error) {
	o, ok := e.(compute.Observed)
	if !ok {
		return nil, errors.New("lora: the engine of this base does not show what passes through its maps")
	}
	return o.Observe(images, n, g), nil
}

// Wants reports whether the site is measured.
func (g *Gauge) Wants(site vit.Site) bool { return slices.Contains(g.kinds, site.Kind) }

// See adds one row of a map's input x and output y.
func (g *Gauge) See(site vit.Site, x, y []float32) {
	s := g.sites[site]
	if s == nil {
		s = &gauged{in: len(x), out: len(y)}
		g.sites[site] = s
	}
	s.rows++
	for _, v := range x {
		s.x1 += math.Abs(float64(v))
		s.x2 += float64(v) * float64(v)
	}
	for _, v := range y {
		s.y2 += float64(v) * float64(v)
	}
}

// Size holds the measurements at one site: the mean over rows of sum |x|, and the root mean squares of an
// element of x and of y.
type Size struct{ X1, X, Y float64 }

// At returns the measurements at a site; zero if there are none.
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
