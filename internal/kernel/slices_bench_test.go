package kernel_test

import (
	"math/rand/v2"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
)

// Benchmarks of the functions over slices at the width of ViT-B's rows, for each kernel set: time per element
// and, as MB/s, the bytes that are read and written.

func BenchmarkSlices(b *testing.B) {
	const n = 3072
	for _, c := range sliceCases() {
		rng := rand.New(rand.NewPCG(1, 2))
		_, x := newCase(rng, c, n)
		benchmark(b, c.name, n, 4*n*len(x), func() { c.run(x) })
	}
}

func BenchmarkRows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, keys = 768, 197
	row := func(n int) []float32 { return randomRow(rng, n, 0).x }
	dst, x, gain, bias, dy := row(n), row(n), row(n), row(n), row(n)
	benchmark(b, "LayerNorm", n, 16*n, func() { kernel.LayerNorm(dst, x, gain, bias, 1e-6) })
	benchmark(b, "LayerNormGrad", n, 16*n, func() { kernel.LayerNormGrad(dst, dy, x, gain, 0.1, 0.9, false) })
	benchmark(b, "Dot", n, 8*n, func() { kernel.Dot(x, dy) })
	benchmark(b, "Dot64", 64, 8*64, func() { kernel.Dot(x[:64], dy[:64]) })
	p := row(keys)
	benchmark(b, "Softmax", keys, 8*keys, func() { kernel.Softmax(p, 0.125) })
	benchmark(b, "SoftmaxFromLSE", keys, 8*keys, func() { kernel.SoftmaxFromLSE(p, 0.125, 3) })
	benchmark(b, "SoftmaxGrad", keys, 12*keys, func() { kernel.SoftmaxGrad(p, p, dy[:keys], 0.1, 0.125) })
}

// benchmark runs f, which handles n elements and so many bytes, with each kernel set.
func benchmark(b *testing.B, name string, n, bytes int, f func()) {
	before := kernel.Name()
	for _, set := range kernel.Names() {
		if err := kernel.Use(set); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/"+set, func(b *testing.B) {
			b.SetBytes(int64(bytes))
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/elem")
		})
	}
	if err := kernel.Use(before); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAttention has one image of ViT-B on one thread; an element is a score. The products are in it.
func BenchmarkAttention(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const tokens, heads, dim = 197, 12, 64
	m := func() kernel.Mat { m, _ := matrix(rng, tokens, heads*dim, 16); return m }
	q, k, v, o, do, dq, dk, dv := m(), m(), m(), m(), m(), m(), m(), m()
	lse := make([]float32, heads*tokens)
	s := kernel.AttnShape{Images: 1, Queries: tokens, Keys: tokens, Heads: heads, Scale: 0.125}
	pool := par.New(1)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	const bytes = 4 * 4 * tokens * heads * dim
	benchmark(b, "forward", heads*tokens*tokens, bytes, func() { ex.Attention(s, o, q, k, v, lse) })
	benchmark(b, "backward", heads*tokens*tokens, 2*bytes, func() { ex.AttentionGrad(s, dq, dk, dv, do, o, q, k, v, lse) })
}
