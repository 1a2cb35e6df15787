package arch

import "math"

// Rotations returns the cosines and sines [patches, HeadDim/2] by which queries and keys of the patches are rotated, in
// the order of the grid's rows. The first half of the angles is of the row, the second of the column.
func (c *Config) Rotations() (cos, sin []float64) {
	g, n := c.Grid(), c.HeadDim()/4 // frequencies
	for y := range g {
		for x := range g {
			for _, at := range [2]int{y, x} {
				for i := range n {
					angle := c.coordinate(at) * math.Pow(float64(c.RotaryTheta), -float64(i)/float64(n))
					cos, sin = append(cos, math.Cos(angle)), append(sin, math.Sin(angle))
				}
			}
		}
	}
	return cos, sin
}

// coordinate returns the place of row or column i as rotations count it.
func (c *Config) coordinate(i int) float64 {
	g := float64(c.Grid())
	switch {
	case c.Rotary == RotaryCentred:
		return 2 * math.Pi * (2*(float64(i)+0.5)/g - 1)
	case c.RotaryGrid > 0:
		return float64(i) / g * float64(c.RotaryGrid)
	}
	return float64(i)
}

// RotaryPair returns which two numbers of a head are rotated by its angle i.
func (c *Config) RotaryPair(i int) (first, second int) {
	if c.RotaryHalf {
		return i, i + c.HeadDim()/2
	}
	return 2 * i, 2*i + 1
}

// Distances returns how many numbers a table of relative positions has for a head: one for each distance of two patches
// in rows and columns, and three for pairs with the class token.
func (c *Config) Distances() int {
	side := 2*c.Grid() - 1
	return side*side + 3
}

// Distance returns where in a table of relative positions the pair of a query and a key is, tokens counted from the
// class token.
func (c *Config) Distance(query, key int) int {
	g, n := c.Grid(), c.Distances()
	switch {
	case query == 0 && key == 0:
		return n - 1
	case query == 0:
		return n - 3
	case key == 0:
		return n - 2
	}
	query, key = query-1, key-1
	return (query/g-key/g+g-1)*(2*g-1) + query%g - key%g + g - 1
}
