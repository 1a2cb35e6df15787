package explain

import "melo.example/melo/vit/arch"

// activation computes the maps of [GradCAM] from the activations and gradients of a pass.
type activation struct {
	c    *arch.Config
	maps []float32 // [n, Grid, Grid]
}

func (a *activation) SawAttention(_, _, _ int, _, _ []float32) {}

func (a *activation) SawNormed(_, image int, x, dx []float32) {
	c := a.c
	patches, d := c.Grid()*c.Grid(), c.Width
	x, dx = x[c.Prefix()*d:], dx[c.Prefix()*d:]
	weights := make([]float64, d)
	for i, g := range dx {
		weights[i%d] += float64(g)
	}
	for p := range patches {
		sum := 0.0
		for i, v := range x[p*d : (p+1)*d] {
			sum += weights[i] * float64(v)
		}
		a.maps[image*patches+p] = float32(max(sum/float64(patches), 0))
	}
}
