package vit

import (
	"math/rand/v2"

	"melo/internal/kernel"
	"melo/internal/par"
)

// randomModel returns a backbone of shape c with weights large enough that every path matters.
func randomModel(ex *kernel.Exec, c Config, seed uint64) *Model {
	rng := rand.New(rand.NewPCG(seed, 1))
	vec := func(n int, mean, std float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(mean + std*rng.NormFloat64())
		}
		return v
	}
	lin := func(in, out int) Linear {
		return Linear{In: in, Out: out, W: kernel.Pack(ex, vec(in*out, 0, 0.3), out, in), Bias: vec(out, 0, 0.2)}
	}
	norm := func() Norm { return Norm{vec(c.Width, 1, 0.2), vec(c.Width, 0, 0.2)} }
	m := &Model{Config: c, PatchEmbed: lin(c.Channels*c.Patch*c.Patch, c.Width)}
	rows := c.Grid() * c.Grid()
	if c.Class {
		m.ClassToken = vec(c.Width, 0, 0.5)
	}
	if c.Dist {
		m.DistToken = vec(c.Width, 0, 0.5)
	}
	if c.PosPrefix {
		rows += c.Prefix() - c.Registers
	}
	if c.Registers > 0 {
		m.Register = vec(c.Registers*c.Width, 0, 0.5)
	}
	m.Pos = vec(rows*c.Width, 0, 0.3)
	if c.PreNorm {
		m.Pre = norm()
	}
	for range c.Depth {
		_, up := c.Dims(FC1)
		b := Block{Norm1: norm(), Norm2: norm(), Q: lin(c.Width, c.Width), KV: lin(c.Width, 2*c.Width),
			Proj: lin(c.Width, c.Width), FC1: lin(c.Width, up), FC2: lin(c.MLP, c.Width)}
		if c.Family == "dinov2" {
			b.Scale1, b.Scale2 = vec(c.Width, 0.5, 0.2), vec(c.Width, 0.5, 0.2)
		}
		m.Blocks = append(m.Blocks, b)
	}
	if c.FinalNorm {
		m.Final = norm()
	}
	if c.PoolNorm {
		m.Pool = norm()
	}
	return m
}

// families are small shapes that together take every branch of forward and backward.
func families() map[string]Config {
	base := Config{Width: 24, Depth: 3, Heads: 3, MLP: 40, Image: 12, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: kernel.GELUErf, Eps: 1e-6}
	with := func(f func(*Config)) Config { c := base; f(&c); return c }
	return map[string]Config{
		"vit":        base,
		"mean":       with(func(c *Config) { c.Pooling, c.FinalNorm, c.PoolNorm = PoolMean, false, true }),
		"deit":       with(func(c *Config) { c.Dist, c.Pooling = true, PoolClassDist }),
		"dinov2":     with(func(c *Config) { c.Family, c.Registers, c.SwiGLU = "dinov2", 4, true }),
		"class+mean": with(func(c *Config) { c.Family, c.Pooling = "dinov2", PoolClassMean }),
		"clip": with(func(c *Config) {
			c.PreNorm, c.FinalNorm, c.PoolNorm, c.Act = true, false, true, kernel.GELUQuick
		}),
	}
}

func randomImages(n int, c *Config, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n*c.Channels*c.Image*c.Image)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func testPool(workers int, cleanup func(func())) *par.Pool {
	p := par.New(workers)
	cleanup(p.Close)
	return p
}
