package phantom

import "math"

// texture is smooth noise over the plane: values at the corners of a grid, blended in between (value noise), as
// a sum of octaves. About normal, with mean 0 and deviation near 1.
type texture struct {
	octaves []octave
	scale   float64
}

// octave is one grid; its side is a power of two, and it repeats.
type octave struct {
	grid      []float64
	mask      int
	frequency float64
	weight    float64
	shift     point
}

const octaveSide = 32

// newTexture draws noise with grains of about the given size, and octaves of half the size and keep times the
// weight each.
func newTexture(r *random, size float64, octaves int, keep float64) *texture {
	t := &texture{}
	weight, sum := 1.0, 0.0
	for range octaves {
		o := octave{grid: make([]float64, octaveSide*octaveSide), mask: octaveSide - 1, frequency: 1 / size, weight: weight,
			shift: point{r.in(0, octaveSide), r.in(0, octaveSide)}}
		for i := range o.grid {
			o.grid[i] = r.normal()
		}
		t.octaves = append(t.octaves, o)
		sum += weight * weight
		weight *= keep
		size /= 2
	}
	t.scale = 1.6 / math.Sqrt(sum) // blending corners makes the deviation of an octave smaller
	return t
}

// at is the noise at a point.
func (t *texture) at(x, y float64) float64 {
	sum := 0.0
	for i := range t.octaves {
		sum += t.octaves[i].weight * t.octaves[i].at(x, y)
	}
	return sum * t.scale
}

func (o *octave) at(x, y float64) float64 {
	// The shift keeps coordinates above zero, so that truncation is the floor.
	x, y = x*o.frequency+o.shift.x+octaveSide, y*o.frequency+o.shift.y+octaveSide
	if x < 0 || y < 0 {
		return 0
	}
	i, j := int(x), int(y)
	fx, fy := x-float64(i), y-float64(j)
	fx, fy = fx*fx*(3-2*fx), fy*fy*(3-2*fy)
	i0, i1 := i&o.mask, (i+1)&o.mask
	j0, j1 := (j&o.mask)*octaveSide, ((j+1)&o.mask)*octaveSide
	a := mix(o.grid[j0+i0], o.grid[j0+i1], fx)
	b := mix(o.grid[j1+i0], o.grid[j1+i1], fx)
	return mix(a, b, fy)
}
