package lora

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

var allKinds = []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}

// testBase is a small random backbone with every weight large enough to matter.
func testBase(w compute.Workers) *vit.Model {
	c := vit.Config{Width: 24, Depth: 3, Heads: 3, MLP: 40, Image: 12, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
	c.LayerScale = true
	return vit.Random(w, c, vit.F32, 0.3, 1)
}

func normal(rng *rand.Rand, n int, mean, std float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + std*rng.NormFloat64())
	}
	return v
}

// randomAdapter has non-zero B, so that it changes the output.
func randomAdapter(t *testing.T, base *vit.Model, cfg Config, classes int, seed uint64) *Adapter {
	t.Helper()
	a, err := New(&base.Config, cfg, classes, seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	for _, d := range a.Deltas {
		copy(d.B, normal(rng, len(d.B), 0, 0.3))
	}
	return a
}

func setup(t *testing.T, workers int) *vit.Model {
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	return testBase(pool)
}

func images(n int) []float32 { return normal(rand.New(rand.NewPCG(5, 5)), n*3*12*12, 0, 1) }

// TestRelationZeroBIsBase: a new adapter (B zero) changes no bit of the features.
func TestRelationZeroBIsBase(t *testing.T) {
	base := setup(t, 2)
	e := base.NewEngine(2)
	want := slices.Clone(e.Features(images(2), 2))
	a, err := New(&base.Config, Config{Kinds: []vit.Kind{vit.Q, vit.K, vit.V, vit.FC1}}, 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	s := []Segment{{Adapter: a.Resident(vit.F32), Images: 2}}
	if got := e.Features(images(2), 2, s...); !slices.Equal(got, want) {
		t.Fatal("features with B = 0 differ from the bare base")
	}
}

// TestRelationMixedBatchEqualsSingles: every image of a batch over different adapters (and none) gets
// the bits that it gets alone.
func TestRelationMixedBatchEqualsSingles(t *testing.T) {
	base := setup(t, 3)
	adapters := []*Adapter{
		randomAdapter(t, base, Config{}, 2, 1),
		nil,
		randomAdapter(t, base, Config{Kinds: allKinds, Rank: 7}, 5, 2),
		randomAdapter(t, base, Config{Kinds: allKinds[2:], Rank: 1, Blocks: []int{2}}, 3, 3),
		randomAdapter(t, base, Config{Kinds: allKinds[:3], Rank: 16, RSLoRA: true}, 3, 4),
	}
	counts := []int{1, 2, 1, 3, 1} // images of each
	n := 0
	segs := make([]Segment, len(adapters))
	for i, a := range adapters {
		segs[i] = Segment{Adapter: a.Resident(vit.F32), Images: counts[i]}
		n += counts[i]
	}
	x := images(n)
	var singles []float32
	e, each := base.NewEngine(n), len(x)/n
	for i, a := range adapters {
		s := []Segment{{Adapter: a.Resident(vit.F32), Images: 1}}
		for range counts[i] {
			at := len(singles) / base.Features() * each
			singles = append(singles, e.Features(x[at:at+each], 1, s...)...)
		}
	}
	for _, pass := range []int{n, 3, 2, 1} { // parts begin and end within segments
		e.(interface{ LimitPass(int) }).LimitPass(pass)
		if !slices.Equal(e.Features(x, n, segs...), singles) {
			t.Errorf("alone and in a mixed batch that passes %d by %d differ", pass, pass)
		}
	}
}

// TestRelationMergedEqualsUnmerged: folding the deltas into the weights gives the same features up to
// rounding, and leaves the base as it was, bit for bit.
func TestRelationMergedEqualsUnmerged(t *testing.T) {
	base := setup(t, 2)
	x := images(2)
	e := base.NewEngine(2)
	before := slices.Clone(e.Features(x, 2))
	a := randomAdapter(t, base, Config{Kinds: allKinds, Rank: 5, Alpha: 8}, 0, 2)
	s := []Segment{{Adapter: a.Resident(vit.F32), Images: 2}}
	want := slices.Clone(e.Features(x, 2, s...))
	merged, err := Merge(base, a)
	if err != nil {
		t.Fatal(err)
	}
	got := merged.NewEngine(2).Features(x, 2)
	// 1e-4 relative: float32 rounding of W + sBA, carried through three blocks.
	if d := relL2(got, want); d > 1e-4 {
		t.Errorf("merged differs from unmerged by %g", d)
	}
	if relL2(want, before) < 1e-2 {
		t.Error("the adapter has no effect: the test shows nothing")
	}
	if !slices.Equal(e.Features(x, 2), before) {
		t.Error("merging changed the base")
	}
}

func relL2(a, b []float32) float64 {
	var d, n float64
	for i := range a {
		d += float64(a[i]-b[i]) * float64(a[i]-b[i])
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / n)
}

// TestTunerGradients compares the gradients of A, B and head, at every site and with dropout, with
// central differences.
func TestTunerGradients(t *testing.T) {
	for name, cfg := range map[string]Config{
		"q,v": {}, "all": {Kinds: allKinds, Rank: 3, Alpha: 6}, "last block": {Kinds: allKinds, Blocks: []int{2}},
		"proj": {Kinds: []vit.Kind{vit.Proj}, Blocks: []int{1}}, "fc": {Kinds: []vit.Kind{vit.FC1, vit.FC2}, Blocks: []int{1, 2}},
		"dropout": {Kinds: allKinds, Dropout: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			base := setup(t, 2)
			a := randomAdapter(t, base, cfg, 3, 4)
			tu, err := NewTuner(base, 2, MeLo, a, Options{Dropout: cfg.Dropout})
			if err != nil {
				t.Fatal(err)
			}
			x, w := images(2), normal(rand.New(rand.NewPCG(7, 7)), 6, 0, 1)
			loss := func() float64 {
				var l float64
				for i, v := range tu.Forward(x, 2, true) {
					l += float64(v) * float64(w[i])
				}
				return l
			}
			loss()
			tu.Backward(w)
			for _, p := range tu.Params() {
				checkGradient(t, p.Name, p.Data, p.Grad, loss)
			}
		})
	}
}

// checkGradient moves x along the sign of its gradient and compares the change of the loss with what
// the gradient says.
func checkGradient(t *testing.T, name string, x, grad []float32, loss func() float64) {
	t.Helper()
	var slope float64
	for _, g := range grad {
		slope += math.Abs(float64(g))
	}
	h := float32(2e-3 / math.Max(1, slope/50))
	old := slices.Clone(x)
	at := func(s float32) float64 {
		for i, g := range grad {
			x[i] = old[i]
			if g != 0 {
				x[i] += s * float32(math.Copysign(1, float64(g)))
			}
		}
		return loss()
	}
	got := (at(h) - at(-h)) / (2 * float64(h))
	copy(x, old)
	// 2 %: curvature over a step in all coordinates at once, and float32 rounding of the loss.
	if math.Abs(got-slope) > 0.02*slope+0.05 {
		t.Errorf("%s: difference %.6g, gradient says %.6g", name, got, slope)
	}
}

// TestRelationAccumulation: gradients of a batch are, bit for bit, those of its images one after another,
// with dropout, too.
func TestRelationAccumulation(t *testing.T) {
	base := setup(t, 3)
	const n = 4
	x, w := images(n), normal(rand.New(rand.NewPCG(7, 7)), n*3, 0, 1)
	run := func(group int) [][]float32 {
		tu, err := NewTuner(base, n, MeLo, randomAdapter(t, base, Config{Kinds: allKinds}, 3, 4), Options{Dropout: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < n; i += group {
			tu.SetStep(5, i)
			tu.Forward(x[i*len(x)/n:], group, true)
			tu.Backward(w[i*3 : (i+group)*3])
		}
		var g [][]float32
		for _, p := range tu.Params() {
			g = append(g, p.Grad)
		}
		return g
	}
	want := run(n)
	for _, group := range []int{1, 2} {
		for i, g := range run(group) {
			if !slices.Equal(g, want[i]) {
				t.Fatalf("groups of %d: gradient %d differs", group, i)
			}
		}
	}
}

// TestStepAllocatesNothing: a step of each method allocates nothing in the steady state.
func TestStepAllocatesNothing(t *testing.T) {
	for _, m := range []Method{MeLo, LinearOnly, FullTuning} {
		base := setup(t, 2)
		cfg := Config{Kinds: allKinds}
		a := randomAdapter(t, base, cfg, 3, 4)
		if m != MeLo {
			a.Deltas = nil
		}
		tu, err := NewTuner(base, 2, m, a, Options{})
		if err != nil {
			t.Fatal(err)
		}
		x, w := images(2), make([]float32, 6)
		step := func() {
			tu.Forward(x, 2, true)
			tu.Backward(w)
			tu.Updated()
		}
		step()
		if got := testing.AllocsPerRun(5, step); got != 0 {
			t.Errorf("%s: %v allocations a step", m, got)
		}
	}
}

// TestFullInBF16: full fine-tuning with bf16 products trains float32 weights, about as in float32, and gives them back.
func TestFullInBF16(t *testing.T) {
	if !vit.Supports(vit.BF16) {
		t.Skip("no bf16 instructions")
	}
	base := setup(t, 2)
	x, w := images(2), []float32{1, -1, 0.5, -0.5, 1, -1}
	logits := map[vit.Precision][]float32{}
	for _, p := range []vit.Precision{vit.F32, vit.BF16} {
		start := randomAdapter(t, base, Config{Kinds: allKinds}, 3, 4)
		start.Deltas = nil
		tu, err := NewTuner(base, 2, FullTuning, start, Options{Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		tu.Forward(x, 2, true)
		tu.Backward(w)
		for _, q := range tu.Params() {
			for i, g := range q.Grad {
				q.Data[i] -= 1e-3 * g
			}
		}
		tu.Updated()
		exact := tu.Float32Base()
		if exact.Precision != vit.F32 {
			t.Fatalf("%v: the base is in %v", p, exact.Precision)
		}
		f := exact.NewEngine(2).Features(x, 2)
		y := make([]float32, 6)
		tu.Adapter().Head.Logits(y, f)
		logits[p] = y
		// The same weights: products of numbers rounded to 8 bits, through three blocks.
		if d := relL2(tu.Forward(x, 2, false), y); d > 0.03 {
			t.Errorf("%v: logits differ by %g from those of the float32 base", p, d)
		}
	}
	if d := relL2(logits[vit.BF16], logits[vit.F32]); d == 0 || d > 0.01 {
		t.Errorf("after a step in bf16 logits differ by %g from those after one in f32", d)
	}
}
