package vit

import (
	"math/rand/v2"

	"melo.example/melo/internal/kernel"
)

// Random returns a backbone of shape c in precision p without a head, for measurements and tests: the matrices
// are normal with standard deviation std, gains are near 1, LayerScale (family "dinov2") near 0.5. The same
// seed gives the same weights.
func Random(ex *kernel.Exec, c Config, p Precision, std float64, seed uint64) *Model {
	r := randomWeights{ex: ex, rng: rand.New(rand.NewPCG(seed, 1)), std: std, prec: edgePrecision(p)}
	m := &Model{Config: c, Precision: p, PatchEmbed: r.linear(c.Channels*c.Patch*c.Patch, c.Width)}
	r.prec = p
	rows := c.Grid() * c.Grid()
	if c.Class {
		m.ClassToken = r.vector(c.Width, 0, 0.5)
	}
	if c.Dist {
		m.DistToken = r.vector(c.Width, 0, 0.5)
	}
	if c.PosPrefix {
		rows += c.Prefix() - c.Registers
	}
	if c.Registers > 0 {
		m.Register = r.vector(c.Registers*c.Width, 0, 0.5)
	}
	m.Pos = r.vector(rows*c.Width, 0, 0.3)
	if c.PreNorm {
		m.Pre = r.norm(c.Width)
	}
	for range c.Depth {
		m.Blocks = append(m.Blocks, r.block(&c))
	}
	if c.FinalNorm {
		m.Final = r.norm(c.Width)
	}
	if c.PoolNorm {
		m.Pool = r.norm(c.Width)
	}
	return m
}

// randomWeights draws weights.
type randomWeights struct {
	ex   *kernel.Exec
	rng  *rand.Rand
	std  float64
	prec Precision
}

func (r *randomWeights) vector(n int, mean, std float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + std*r.rng.NormFloat64())
	}
	return v
}

func (r *randomWeights) linear(in, out int) Linear {
	return Linear{In: in, Out: out, W: kernel.PackAs(r.ex, r.prec, r.vector(in*out, 0, r.std), out, in), Bias: r.vector(out, 0, 0.2)}
}

func (r *randomWeights) norm(width int) Norm {
	return Norm{r.vector(width, 1, 0.2), r.vector(width, 0, 0.2)}
}

func (r *randomWeights) block(c *Config) Block {
	_, up := c.Dims(FC1)
	b := Block{Norm1: r.norm(c.Width), Norm2: r.norm(c.Width), Q: r.linear(c.Width, c.Width), KV: r.linear(c.Width, 2*c.Width),
		Proj: r.linear(c.Width, c.Width), FC1: r.linear(c.Width, up), FC2: r.linear(c.MLP, c.Width)}
	if c.Family == "dinov2" {
		b.Scale1, b.Scale2 = r.vector(c.Width, 0.5, 0.2), r.vector(c.Width, 0.5, 0.2)
	}
	return b
}
