package vit

import (
	"math/rand/v2"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit/arch"
)

// randomModel returns a backbone of shape c with weights large enough that every path matters.
func randomModel(w compute.Workers, c Config, seed uint64) *model {
	return inside(Random(w, c, F32, 0.3, seed))
}

// inside returns the packed weights behind a Model of this package.
func inside(m *Model) *model { return m.Backend.(*model) }

// families are small shapes that together take every branch of forward and backward.
func families() map[string]Config {
	base := Config{Width: 24, Depth: 3, Heads: 3, MLP: 40, Image: 12, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
	with := func(f func(*Config)) Config { c := base; f(&c); return c }
	return map[string]Config{
		"vit":        base,
		"mean":       with(func(c *Config) { c.Pooling, c.FinalNorm, c.PoolNorm = PoolMean, false, true }),
		"deit":       with(func(c *Config) { c.Dist, c.Pooling = true, PoolClassDist }),
		"dinov2":     with(func(c *Config) { c.LayerScale, c.Registers, c.SwiGLU = true, 4, true }),
		"class+mean": with(func(c *Config) { c.LayerScale, c.Pooling = true, PoolClassMean }),
		"dinov3": with(func(c *Config) {
			c.LayerScale, c.Registers, c.SwiGLU, c.NoKeyBias, c.NoPosEmbed, c.PosPrefix = true, 2, true, true, true, false
			c.Rotary, c.RotaryHalf, c.RotaryTheta = arch.RotaryCentred, true, 100
		}),
		"eva02": with(func(c *Config) {
			c.AttnNorm, c.MLPNorm, c.SwiGLU, c.NoKeyBias, c.Pooling, c.PoolNorm, c.FinalNorm = true, true, true, true, PoolMean, true, false
			c.Rotary, c.RotaryTheta, c.RotaryGrid = arch.RotaryIndex, 10000, 2
		}),
		"beit": with(func(c *Config) {
			c.LayerScale, c.RelBlocks, c.RelShared, c.NoKeyBias, c.NoPosEmbed, c.PosPrefix = true, true, true, true, true, false
		}),
		"siglip": with(func(c *Config) {
			c.Class, c.PosPrefix, c.Pooling, c.Act = false, false, arch.PoolAttention, arch.GELUTanh
		}),
		"tokens": with(func(c *Config) { c.Pooling = PoolTokens }),
		"clip": with(func(c *Config) {
			c.PreNorm, c.FinalNorm, c.PoolNorm, c.Act = true, false, true, arch.GELUQuick
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
