package vit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/golden"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/plain"
)

// album keeps what a witness was shown.
type album map[string][]float32

func (a album) SawNormed(block, image int, x, dx []float32) {
	a[fmt.Sprintf("normed %d of %d", block, image)] = slices.Clone(x)
	a[fmt.Sprintf("gradient of normed %d of %d", block, image)] = slices.Clone(dx)
}

func (a album) SawAttention(block, image, queries int, p, dp []float32) {
	a[fmt.Sprintf("attention %d of %d", block, image)] = slices.Clone(p)
	a[fmt.Sprintf("gradient of attention %d of %d", block, image)] = slices.Clone(dp)
}

// TestTraceAgainstPlain: what a witness sees on the way back is what the plain engine shows, for every golden model, for the
// families, and for random descriptions; with adapters on some of the images, from any block on.
func TestTraceAgainstPlain(t *testing.T) {
	pool := testPool(2, t.Cleanup)
	for kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			m, err := Open(golden.Open(t, kind).Dir, Options{Image: goldenKinds[kind], Workers: pool})
			if err != nil {
				t.Fatal(err)
			}
			checkTrace(t, m, 1)
		})
	}
	for name, c := range families() {
		t.Run(name, func(t *testing.T) { checkTrace(t, Random(pool, c, F32, 0.3, 1), 2) })
	}
	rng := rand.New(rand.NewPCG(18, 5))
	for i := range 40 {
		c := randomConfig(rng)
		t.Run(fmt.Sprintf("random %d", i), func(t *testing.T) { checkTrace(t, Random(pool, c, F32, 0.3, uint64(i)), uint64(i)) })
	}
}

func checkTrace(t *testing.T, m *Model, seed uint64) {
	t.Helper()
	const n = 3
	p, err := plain.New(m.Config, m.Parameter)
	if err != nil {
		t.Fatal(err)
	}
	images, weights := randomImages(n, &m.Config, seed), normals(seed, n*m.Features(), 1)
	var deltas []compute.Delta
	for i, site := range m.Sites() {
		if i%3 != int(seed%3) {
			in, out := m.SiteDims(site)
			deltas = append(deltas, compute.Delta{Site: site, Rank: 2, Scale: 1.5,
				A: compute.Numbers{F32: normals(uint64(2*i), 2*in, 0.3)}, B: compute.Numbers{F32: normals(uint64(2*i+1), 2*out, 0.3)}})
		}
	}
	segments := []compute.Segment{{Adapter: compute.NewAdapter(deltas, nil, F32), Images: 2}, {Images: 1}}
	what := compute.Tracing{From: int(seed) % m.Depth, Normed: true, Attention: true}
	run := func(m *Model, what compute.Tracing) ([]float32, album) {
		tr, err := m.NewTracer(n, what)
		if err != nil {
			t.Fatal(err)
		}
		f, a := slices.Clone(tr.Features(images, n, segments...)), album{}
		tr.Back(weights, a)
		return f, a
	}
	gotF, got := run(m, what)
	wantF, want := run(p, what)
	golden.CheckSlices(t, "features", gotF, wantF, tapTol)
	if len(got) != len(want) || len(got) < 4*n*(m.Depth-what.From) {
		t.Errorf("%d pages, expected %d", len(got), len(want))
	}
	for name, g := range got {
		checkPage(t, name, g, want[name], m)
	}
	for _, part := range []compute.Tracing{{From: what.From, Normed: true}, {From: what.From, Attention: true}} { // one kind alone is the same
		_, alone := run(m, part)
		for name, g := range alone {
			if !slices.Equal(g, got[name]) {
				t.Errorf("%s differs where it is asked for alone", name)
			}
		}
	}
}

// checkPage compares one thing that was seen. The plain engine shows all queries, and has gradients of zero for those that
// nobody reads.
func checkPage(t *testing.T, name string, got, want []float32, m *Model) {
	t.Helper()
	tokens := m.Tokens()
	if each := len(got) / m.Heads; len(got) < len(want) && len(got) == m.Heads*tokens {
		var first []float32
		for h := range m.Heads {
			first = append(first, want[h*len(want)/m.Heads:][:each]...)
		}
		want = first
	}
	largest := float32(0)
	for _, v := range want {
		largest = max(largest, v, -v)
	}
	if largest < 1e-4 && len(got) == len(want) {
		for i, v := range got {
			if d := v - want[i]; d > 1e-5 || d < -1e-5 {
				t.Errorf("%s: %g, expected %g", name, v, want[i])
				return
			}
		}
		return
	}
	golden.CheckSlices(t, name, got, want, gradTol)
}

// TestTraceIsRefused: a way back to a block that there is not.
func TestTraceIsRefused(t *testing.T) {
	m := Random(testPool(1, t.Cleanup), arch.Config{Width: 8, Depth: 2, Heads: 2, MLP: 16, Image: 4, Patch: 2, Channels: 3, Class: true, PosPrefix: true,
		FinalNorm: true, Act: arch.GELUErf, Eps: 1e-6}, F32, 0.3, 1)
	for _, from := range []int{-1, 2} {
		if _, err := m.NewTracer(1, compute.Tracing{From: from}); err == nil {
			t.Errorf("a way back to block %d of 2 is made", from)
		}
	}
}

// TestTraceNarrow: beside a base of narrow weights, with an adapter in 16 bits, gradients are those of float32 but for rounding.
func TestTraceNarrow(t *testing.T) {
	c := arch.Config{Width: 64, Depth: 3, Heads: 2, MLP: 128, Image: 16, Patch: 4, Channels: 3, Class: true, PosPrefix: true, QKVBias: true,
		FinalNorm: true, Act: arch.GELUErf, Eps: 1e-6}
	var deltas []compute.Delta
	for i, site := range c.Sites() {
		in, out := c.SiteDims(site)
		deltas = append(deltas, compute.Delta{Site: site, Rank: 2, Scale: 1,
			A: compute.Numbers{F32: normals(uint64(2*i), 2*in, 0.1)}, B: compute.Numbers{F32: normals(uint64(2*i+1), 2*out, 0.1)}})
	}
	run := func(p Precision) album {
		m := Random(testPool(2, t.Cleanup), c, p, 0.1, 1)
		tr, err := m.NewTracer(2, compute.Tracing{Normed: true, Attention: true})
		if err != nil {
			t.Fatal(err)
		}
		tr.Features(randomImages(2, &c, 3), 2, compute.Segment{Adapter: compute.NewAdapter(deltas, nil, p), Images: 2})
		a := album{}
		tr.Back(normals(5, 2*c.Width, 1), a)
		return a
	}
	want := run(F32)
	for _, p := range []Precision{BF16, I8} {
		if !Supports(p) {
			continue
		}
		for name, g := range run(p) {
			if d, err := golden.Compare(g, want[name], 1); err != nil || d.RelL2 > 0.1 {
				t.Errorf("%v: %s: relative L2 %.3g, %v", p, name, d.RelL2, err)
			}
		}
	}
}

// TestTracedBytes: a tracer takes no more than is estimated, and at least a half of it.
func TestTracedBytes(t *testing.T) {
	c := arch.Config{Width: 192, Depth: 12, Heads: 3, MLP: 768, Image: 224, Patch: 16, Channels: 3, Class: true, PosPrefix: true, QKVBias: true,
		FinalNorm: true, Act: arch.GELUErf, Eps: 1e-6}
	for _, p := range []Precision{F32, BF16} {
		if !Supports(p) {
			continue
		}
		m := Random(testPool(1, t.Cleanup), c, p, 0.1, 1)
		for _, way := range []compute.Tracing{{Attention: true}, {From: 11, Normed: true}} {
			images, gradient := randomImages(2, &c, 3), normals(5, 2*c.Width, 1)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tr, err := m.NewTracer(2, way)
			if err != nil {
				t.Fatal(err)
			}
			tr.Features(images, 2)
			tr.Back(gradient, nobody{})
			runtime.ReadMemStats(&after)
			took, estimate := int64(after.TotalAlloc-before.TotalAlloc), TracedBytes(&c, p, way, 2)
			if took > estimate || 2*took < estimate {
				t.Errorf("%v %+v: took %d bytes, estimated %d", p, way, took, estimate)
			}
		}
	}
}

// nobody looks at nothing.
type nobody struct{}

func (nobody) SawNormed(int, int, []float32, []float32)         {}
func (nobody) SawAttention(int, int, int, []float32, []float32) {}
