package vit

import (
	"math/rand/v2"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/checkpoint"
)

// Random returns a backbone of shape c in precision p without a head, for measurements and tests. Matrices are
// normal with standard deviation std, gains are near 1, LayerScale near 0.5. The same seed gives the same
// weights.
func Random(w compute.Workers, c Config, p Precision, std float64, seed uint64) *Model {
	r := randomWeights{ex: kernel.NewExec(w), rng: rand.New(rand.NewPCG(seed, 1)), std: std, has: shapes(&c)}
	m := newModel(&checkpoint.Description{Config: c}, Options{Workers: w, Precision: p})
	for _, piece := range m.pieces() {
		r.prec = edgePrecision(p)
		if piece.block {
			r.prec = p
		}
		r.fill(piece)
	}
	return m.self()
}

// randomWeights draws weights.
type randomWeights struct {
	ex   *kernel.Exec
	rng  *rand.Rand
	std  float64
	prec Precision
	has  map[string][]int
}

func (r *randomWeights) vector(n int, mean, std float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + std*r.rng.NormFloat64())
	}
	return v
}

// fill draws one part of the model, if the network has it.
func (r *randomWeights) fill(p piece[linear]) {
	switch {
	case p.linear != nil:
		if shape := r.has[p.of[0]+".weight"]; shape != nil {
			*p.linear = r.linear(length(shape[1:]), shape[0]*len(p.of), r.has[p.of[0]+".bias"] != nil)
			if last := p.of[len(p.of)-1]; p.linear.Bias == nil && r.has[last+".bias"] != nil { // only v has a bias
				p.linear.Bias = append(make([]float32, shape[0]), r.vector(shape[0], 0, 0.2)...)
			}
		}
	case p.norm != nil:
		if shape := r.has[p.name+".weight"]; shape != nil {
			*p.norm = norm{r.vector(shape[0], 1, 0.2), r.vector(shape[0], 0, 0.2)}
		}
	case r.has[p.name] != nil:
		mean, std := 0.0, 0.5
		switch {
		case strings.HasSuffix(p.name, "rel_pos"):
		case p.block: // LayerScale
			mean, std = 0.5, 0.2
		case p.name == "pos_embed":
			std = 0.3
		}
		*p.vector = r.vector(length(r.has[p.name]), mean, std)
	}
}

func (r *randomWeights) linear(in, out int, bias bool) linear {
	l := linear{In: in, Out: out, W: kernel.PackAs(r.ex, elem(r.prec), r.vector(in*out, 0, r.std), out, in)}
	if bias {
		l.Bias = r.vector(out, 0, 0.2)
	}
	return l
}

func length(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}
