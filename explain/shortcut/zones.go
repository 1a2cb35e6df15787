// Package shortcut looks for adapters that read what is no finding: letters and marks at the edge, corners, borders. It compares how
// much of their maps lies there with the area of these places, and what becomes of the answers when they are covered.
package shortcut

import (
	"errors"
	"math"

	"melo.example/melo/imaging"
)

// Place is a part of images where no finding is expected.
type Place string

// The places. Corners are a quarter of the side high and wide, the border is one patch wide (of a fine grid 1/14 of the side), and marks
// are small and much brighter than what is around them, within a fifth of the side from the edge, as letters are.
const (
	TopLeft     Place = "top left corner"
	TopRight    Place = "top right corner"
	BottomLeft  Place = "bottom left corner"
	BottomRight Place = "bottom right corner"
	Border      Place = "border"
	Marks       Place = "small bright marks near the edge"
)

// Places lists the places.
func Places() []Place { return []Place{TopLeft, TopRight, BottomLeft, BottomRight, Border, Marks} }

// Zone is the share of each patch of a grid that lies in a place, row by row; nil where an image does not have it.
type Zone []float64

// area is the share of the grid.
func (z Zone) area() float64 {
	sum := 0.0
	for _, v := range z {
		sum += v
	}
	return sum / float64(max(len(z), 1))
}

// patches lists those that are covered to cover the zone: which it touches.
func (z Zone) patches() []int {
	var list []int
	for i, v := range z {
		if v > 0 {
			list = append(list, i)
		}
	}
	return list
}

// Zones finds the places of an image in the grid of patches that lies on a region of it. The image has 8 bits a sample.
func Zones(img *imaging.Image, region imaging.Region, grid int) (map[Place]Zone, error) {
	if img == nil || img.Bits != 8 || len(img.Pix8) != img.W*img.H*img.C || img.W < 1 || img.H < 1 || grid < 1 {
		return nil, errors.New("shortcut: an image of 8 bits a sample and a grid are needed")
	}
	if !(region.W > 0 && region.H > 0) {
		return nil, errors.New("shortcut: a grid that lies nowhere")
	}
	corner, edge := (grid+3)/4, max((grid+7)/14, 1)
	rect := func(y0, y1, x0, x1 int) Zone {
		z := make(Zone, grid*grid)
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				z[y*grid+x] = 1
			}
		}
		return z
	}
	border := rect(0, grid, 0, grid)
	for y := edge; y < grid-edge; y++ {
		for x := edge; x < grid-edge; x++ {
			border[y*grid+x] = 0
		}
	}
	zones := map[Place]Zone{TopLeft: rect(0, corner, 0, corner), TopRight: rect(0, corner, grid-corner, grid), BottomLeft: rect(grid-corner, grid, 0, corner),
		BottomRight: rect(grid-corner, grid, grid-corner, grid), Border: border}
	if z := marks(img, region, grid); z != nil {
		zones[Marks] = z
	}
	return zones, nil
}

// Marks are looked for in a picture of at most this side, and have these sizes, in shares of the side or of its square.
const (
	markSide    = 256
	markLongest = 0.2   // of a letter or a word
	markLargest = 0.01  // pixels of one
	markFrom    = 0.2   // from the edge
	markLevel   = 0.7   // of the brightest, at least
	markAbove   = 0.3   // of the range, above the mean around
	markAround  = 0.125 // side of that
)

// marks finds small bright marks near the edge; nil if there is none.
func marks(img *imaging.Image, region imaging.Region, grid int) Zone {
	grey, w, h := brightness(img)
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range grey {
		low, high = min(low, v), max(high, v)
	}
	if high-low < 8 {
		return nil
	}
	side := float64(max(w, h))
	around := means(grey, w, h, max(int(markAround*side/2), 1))
	bright := make([]bool, len(grey))
	for i, v := range grey {
		bright[i] = v-low >= markLevel*(high-low) && v-around[i] >= markAbove*(high-low)
	}
	zone, any := make(Zone, grid*grid), false
	zoom := float64(img.W) / float64(w)
	for _, c := range components(bright, w, h) {
		x, y := float64(c.x0+c.x1+1)/2, float64(c.y0+c.y1+1)/2
		near := min(min(x, float64(w)-x), min(y, float64(h)-y)) <= markFrom*side
		if c.n < 3 || float64(c.n) > markLargest*side*side || float64(max(c.x1-c.x0, c.y1-c.y0)) > markLongest*side || !near {
			continue
		}
		// The whole box: a letter has gaps.
		for py := c.y0; py <= c.y1; py++ {
			for px := c.x0; px <= c.x1; px++ {
				gx := int(math.Floor(((float64(px)+0.5)*zoom - region.X) / region.W * float64(grid)))
				gy := int(math.Floor(((float64(py)+0.5)*zoom - region.Y) / region.H * float64(grid)))
				if gx >= 0 && gx < grid && gy >= 0 && gy < grid {
					perPatch := region.W * region.H / zoom / zoom / float64(grid*grid)
					zone[gy*grid+gx] = min(zone[gy*grid+gx]+1/perPatch, 1)
					any = true
				}
			}
		}
	}
	if !any {
		return nil
	}
	return zone
}

// brightness is an image as grey values, its longer side at most markSide: means of blocks of pixels.
func brightness(img *imaging.Image) (grey []float64, w, h int) {
	step := (max(img.W, img.H) + markSide - 1) / markSide
	w, h = (img.W+step-1)/step, (img.H+step-1)/step
	grey = make([]float64, w*h)
	n := make([]float64, w*h)
	for y := range img.H {
		for x := range img.W {
			at, to := (y*img.W+x)*img.C, y/step*w+x/step
			v := 0.0
			for c := range img.C {
				v += float64(img.Pix8[at+c]) / float64(img.C)
			}
			grey[to] += v
			n[to]++
		}
	}
	for i := range grey {
		grey[i] /= n[i]
	}
	return grey, w, h
}

// means are those over squares of 2 radius + 1 around each pixel, cut at the edge.
func means(v []float64, w, h, radius int) []float64 {
	sums := make([]float64, (w+1)*(h+1))
	for y := range h {
		row := 0.0
		for x := range w {
			row += v[y*w+x]
			sums[(y+1)*(w+1)+x+1] = sums[y*(w+1)+x+1] + row
		}
	}
	out := make([]float64, len(v))
	for y := range h {
		for x := range w {
			x0, x1, y0, y1 := max(x-radius, 0), min(x+radius+1, w), max(y-radius, 0), min(y+radius+1, h)
			sum := sums[y1*(w+1)+x1] - sums[y0*(w+1)+x1] - sums[y1*(w+1)+x0] + sums[y0*(w+1)+x0]
			out[y*w+x] = sum / float64((x1-x0)*(y1-y0))
		}
	}
	return out
}

// component is a connected part of a picture.
type component struct{ n, x0, y0, x1, y1 int }

// components finds the parts that are connected over edges and corners of pixels.
func components(in []bool, w, h int) []component {
	var list []component
	seen := make([]bool, len(in))
	var stack []int
	for start, yes := range in {
		if !yes || seen[start] {
			continue
		}
		c := component{x0: w, y0: h, x1: -1, y1: -1}
		stack = append(stack[:0], start)
		seen[start] = true
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := i%w, i/w
			c.n++
			c.x0, c.x1, c.y0, c.y1 = min(c.x0, x), max(c.x1, x), min(c.y0, y), max(c.y1, y)
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					if x+dx < 0 || x+dx >= w || y+dy < 0 || y+dy >= h {
						continue
					}
					if k := (y+dy)*w + x + dx; in[k] && !seen[k] {
						seen[k] = true
						stack = append(stack, k)
					}
				}
			}
		}
		list = append(list, c)
	}
	return list
}
