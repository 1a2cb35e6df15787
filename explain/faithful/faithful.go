// Package faithful measures how faithful maps are, in three ways: by the change of the answer when patches are
// removed or inserted in the order of the map; by the position of the strongest patches, if the true region is
// known; and by the similarity of maps that should, or should not, be similar.
package faithful

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Subject computes answers for inputs.
type Subject struct {
	Side, Patch int // side of an input [3, Side, Side], and of its patches, in pixels
	// Probabilities returns the probability of the explained label for n inputs.
	Probabilities func(inputs []float32, n int) []float64
}

// Areas are the areas under two curves (Petsiuk et al., arXiv 1806.07421): the probability of the label as a
// function of the fraction of patches, strongest first, that are inserted into a blurred image (Insertion), or
// blurred in the image (Deletion). A faithful map has a large insertion and a small deletion area.
type Areas struct{ Insertion, Deletion float64 }

// Measure returns the areas of a map for an input, with steps+1 points on each curve.
func (s *Subject) Measure(input, values []float32, steps int) (Areas, error) {
	grid := s.Side / s.Patch
	if len(values) != grid*grid || len(input) != 3*s.Side*s.Side || steps < 1 {
		return Areas{}, fmt.Errorf("faithful: %d values and an input of %d for a grid of %d, %d steps", len(values), len(input), grid, steps)
	}
	order := Order(values)
	blurred := Blur(input, s.Side, s.Side/8)
	into, away := make([]float32, 0, (steps+1)*len(input)), make([]float32, 0, (steps+1)*len(input))
	for k := range steps + 1 {
		first := order[:k*len(order)/steps]
		into, away = append(into, blurred...), append(away, input...)
		i, a := into[len(into)-len(input):], away[len(away)-len(input):]
		for _, p := range first {
			s.copyPatch(i, input, p)
			s.copyPatch(a, blurred, p)
		}
	}
	return Areas{Insertion: area(s.Probabilities(into, steps+1)), Deletion: area(s.Probabilities(away, steps+1))}, nil
}

// area returns the area under points at equal distances from 0 to 1.
func area(y []float64) float64 {
	sum := 0.0
	for i := 1; i < len(y); i++ {
		sum += (y[i-1] + y[i]) / 2
	}
	return sum / float64(len(y)-1)
}

// Order returns the indices of the patches, strongest first, ties in order.
func Order(values []float32) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[b], values[a]) })
	return order
}

func (s *Subject) copyPatch(dst, src []float32, patch int) {
	grid := s.Side / s.Patch
	top, left := patch/grid*s.Patch, patch%grid*s.Patch
	for c := range 3 {
		for y := top; y < top+s.Patch; y++ {
			at := (c*s.Side+y)*s.Side + left
			copy(dst[at:at+s.Patch], src[at:at+s.Patch])
		}
	}
}

// Blur returns an input smoothed by three box filters of width 2*radius+1 in both directions, close to a
// Gaussian. Edge pixels are repeated.
func Blur(input []float32, side, radius int) []float32 {
	out := slices.Clone(input)
	line := make([]float32, side)
	for c := range 3 {
		plane := out[c*side*side : (c+1)*side*side]
		for range 3 {
			for i := range side {
				smooth(plane[i*side:], 1, side, radius, line)
				smooth(plane[i:], side, side, radius, line)
			}
		}
	}
	return out
}

func smooth(x []float32, step, n, radius int, line []float32) {
	for i := range n {
		line[i] = x[i*step]
	}
	sum := 0.0
	at := func(i int) float64 { return float64(line[min(max(i, 0), n-1)]) }
	for i := -radius; i <= radius; i++ {
		sum += at(i)
	}
	for i := range n {
		x[i*step] = float32(sum / float64(2*radius+1))
		sum += at(i+radius+1) - at(i-radius)
	}
}

// Place compares a map with a known region.
type Place struct {
	Hit  bool    // the strongest patch touches the region: the pointing game (Zhang et al., arXiv 1608.00507)
	Mass float64 // fraction of the positive values of the map that is inside the region
	Area float64 // fraction of the input that the region covers: the expected Mass of a map without information
}

// In compares a map with a region of Side x Side pixels of the input.
func (s *Subject) In(values []float32, region []bool) (Place, error) {
	grid := s.Side / s.Patch
	if len(values) != grid*grid || len(region) != s.Side*s.Side {
		return Place{}, fmt.Errorf("faithful: %d values and a region of %d pixels for a grid of %d", len(values), len(region), grid)
	}
	share := make([]float64, len(values)) // fraction of each patch that is in the region
	for i, in := range region {
		if in {
			share[i/s.Side/s.Patch*grid+i%s.Side/s.Patch] += 1 / float64(s.Patch*s.Patch)
		}
	}
	var p Place
	total := 0.0
	for i, v := range values {
		total += float64(max(v, 0))
		p.Mass += float64(max(v, 0)) * share[i]
		p.Area += share[i] / float64(len(share))
	}
	if total > 0 {
		p.Mass /= total
	}
	p.Hit = total > 0 && share[Order(values)[0]] > 0
	return p, nil
}

// Rank returns Spearman's rank correlation of two maps, with mean ranks for ties; 0 if one of them is constant.
func Rank(a, b []float32) float64 {
	x, y := ranks(a), ranks(b)
	mean := float64(len(x)-1) / 2
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-mean, y[i]-mean
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

func ranks(values []float32) []float64 {
	order, out := Order(values), make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			out[order[k]] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// Shift returns an input shifted by dx pixels to the right and dy down; edge pixels are repeated.
func Shift(input []float32, side, dx, dy int) []float32 {
	out := make([]float32, len(input))
	for i := range out {
		c, y, x := i/(side*side), i/side%side, i%side
		fy, fx := min(max(y-dy, 0), side-1), min(max(x-dx, 0), side-1)
		out[i] = input[(c*side+fy)*side+fx]
	}
	return out
}
