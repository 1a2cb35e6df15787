package arch

import "math"

// Rotations returns the cosines and sines [patches, HeadDim/2] of the rotary position embedding, with patches
// in row-major order. The first half of the angles depends on the row, the second on the column.
func (c *Config) Rotations() (cos, sin []float64) {
	g, n := c.Grid(), c.HeadDim()/4 // n: number of frequencies
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

// coordinate returns the coordinate of row or column i in the units that the rotary embedding uses.
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

// RotaryPair returns the indices of the two values of a head that are rotated by angle i.
func (c *Config) RotaryPair(i int) (first, second int) {
	if c.RotaryHalf {
		return i, i + c.HeadDim()/2
	}
	return 2 * i, 2*i + 1
}

// Distances returns the number of entries per head of a relative position table: one for each offset between
// two patches in rows and columns, and three for pairs with the class token.
func (c *Config) Distances() int {
	side := 2*c.Grid() - 1
	return side*side + 3
}

// Distance returns the index in a relative position table of a query and key pair. Tokens are counted from the
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
