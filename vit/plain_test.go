package vit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/golden"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/plain"
)

// TestAgainstPlain: features, and the gradients of every weight and of adapters at every site, are those of the plain
// engine, for every golden model, for the families, and for random descriptions.
func TestAgainstPlain(t *testing.T) {
	pool := testPool(2, t.Cleanup)
	for kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			m, err := Open(golden.Open(t, kind).Dir, Options{Image: goldenKinds[kind], Workers: pool})
			if err != nil {
				t.Fatal(err)
			}
			checkAgainstPlain(t, m, 1)
		})
	}
	for name, c := range families() {
		t.Run(name, func(t *testing.T) { checkAgainstPlain(t, Random(pool, c, F32, 0.3, 1), 2) })
	}
	rng := rand.New(rand.NewPCG(17, 4))
	for i := range 60 {
		c := randomConfig(rng)
		t.Run(fmt.Sprintf("random %d", i), func(t *testing.T) { checkAgainstPlain(t, Random(pool, c, F32, 0.3, uint64(i)), uint64(i)) })
	}
}

// randomConfig draws a description that is valid.
func randomConfig(rng *rand.Rand) Config {
	for {
		coin := func() bool { return rng.IntN(2) == 0 }
		c := Config{Heads: 1 + rng.IntN(3), Depth: 1 + rng.IntN(2), MLP: 5 + rng.IntN(40), Patch: 2 + rng.IntN(3), Channels: 3,
			Class: coin(), Dist: rng.IntN(6) == 0, Registers: rng.IntN(3), PosPrefix: coin(), NoPosEmbed: coin(), Rotary: arch.Rotary(rng.IntN(3)),
			RotaryHalf: coin(), RotaryTheta: 100, RotaryGrid: rng.IntN(2) * 3, RelBlocks: coin(), RelShared: rng.IntN(3) == 0,
			PreNorm: rng.IntN(4) == 0, FinalNorm: coin(), PoolNorm: coin(), QKVBias: coin(), NoKeyBias: coin(), AttnNorm: coin(), SwiGLU: coin(),
			MLPNorm: coin(), LayerScale: coin(), Act: Activation(1 + rng.IntN(3)), Eps: 1e-5, Pooling: Pooling(rng.IntN(6))}
		c.Width = c.Heads * 4 * (1 + rng.IntN(3))
		c.Image = c.Patch * (1 + rng.IntN(4))
		if c.Dist {
			c.Class = true
		}
		if c.Pooling == PoolClassDist && !c.Dist {
			continue
		}
		if c.Validate() == nil {
			return c
		}
	}
}

func checkAgainstPlain(t *testing.T, m *Model, seed uint64) {
	t.Helper()
	const n = 3
	p, err := plain.New(m.Config, m.Parameter)
	if err != nil {
		t.Fatalf("%+v: %v", m.Config, err)
	}
	images, weights := randomImages(n, &m.Config, seed), normals(seed, n*m.Features(), 1)
	golden.CheckSlices(t, "features", m.NewEngine(n).Features(images, n), p.NewEngine(n).Features(images, n), tapTol)

	var deltas []compute.Delta // at a part of the sites, so that what lies between them is passed, too
	for i, site := range m.Sites() {
		if rng := rand.New(rand.NewPCG(seed, uint64(i))); rng.IntN(3) > 0 {
			in, out := m.SiteDims(site)
			deltas = append(deltas, compute.Delta{Site: site, Rank: 2, Scale: 1.5,
				A: compute.Numbers{F32: normals(uint64(2*i), 2*in, 0.3)}, B: compute.Numbers{F32: normals(uint64(2*i+1), 2*out, 0.3)}})
		}
	}
	segment := compute.Segment{Adapter: compute.NewAdapter(deltas, nil, F32), Images: 2}
	got, want := m.NewEngine(n).Features(images, n, segment, compute.Segment{Images: 1}), p.NewEngine(n).Features(images, n, segment, compute.Segment{Images: 1})
	golden.CheckSlices(t, "features with an adapter", got, want, tapTol)
	compareTraining(t, m, p, compute.Training{Deltas: deltas}, images, weights)
	if len(deltas) > 1 {
		compareTraining(t, m, p, compute.Training{Deltas: deltas[len(deltas)-1:]}, images, weights) // in the last block or pooling
	}
	compareTraining(t, m, p, compute.Training{All: true}, images, weights)
}

// compareTraining compares the features and the gradients of a pass of both engines.
func compareTraining(t *testing.T, m, p *Model, what compute.Training, images, weights []float32) {
	t.Helper()
	const n = 3
	run := func(m *Model) ([]float32, map[string][]float32) {
		tr, err := m.NewTrainer(n, what)
		if err != nil {
			t.Fatal(err)
		}
		f := slices.Clone(tr.Forward(images, n, true))
		tr.Backward(weights)
		grads := map[string][]float32{}
		for _, q := range tr.Params() {
			grads[q.Name] = q.Grad
		}
		return f, grads
	}
	gotF, got := run(m)
	wantF, want := run(p)
	golden.CheckSlices(t, "features in training", gotF, wantF, tapTol)
	for name, g := range got {
		w, ok := want[name]
		if stem, last, fused := strings.Cut(name, ".kv."); fused { // the bias of k has no gradient without rotation: it is noise
			k := want[stem+".k."+last]
			w, ok = want[stem+".v."+last], true
			if len(g) > len(w) && last == "bias" && m.Rotary == arch.RotaryNone {
				g = g[len(g)-len(w):]
			} else if len(g) > len(w) {
				w = append(slices.Clone(k), w...)
			}
		}
		if !ok {
			t.Errorf("the plain engine does not train %s", name)
			continue
		}
		size := float32(0)
		for _, v := range w {
			size = max(size, v, -v)
		}
		if size < 1e-3 { // of sums that cancel, rounding is left
			for i := range g {
				if d := g[i] - w[i]; d > 1e-4 || d < -1e-4 {
					t.Errorf("%s: %g, expected %g", name, g[i], w[i])
				}
			}
			continue
		}
		golden.CheckSlices(t, name, g, w, gradTol)
	}
}

func normals(seed uint64, n int, std float64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 77))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(std * rng.NormFloat64())
	}
	return x
}
