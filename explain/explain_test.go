package explain

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/vit"
)

// subject is a golden model with its adapter, and random inputs.
func subject(t *testing.T, n int) (Subject, []float32) {
	t.Helper()
	c := golden.Open(t, "timm_vit")
	m, err := vit.Open(c.Dir, vit.Options{Workers: pool(t)})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n*3*m.Image*m.Image)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	g := goldenCase{Lora: "loraall"}
	return Subject{Model: m, Adapter: g.adapter(m, c)}, x
}

// TestBatchesAndWorkers: maps do not depend on how images are grouped, on who computes, or on what came before.
func TestBatchesAndWorkers(t *testing.T) {
	const n = 5
	s, x := subject(t, n)
	for _, method := range Methods() {
		want := maps(t, s, Options{Method: method, Batch: n}, x, n, Score{1, 0})
		for _, batch := range []int{1, 2, 8} {
			if got := maps(t, s, Options{Method: method, Batch: batch}, x, n, Score{1, 0}); !slices.Equal(got, want) {
				t.Errorf("%s in batches of %d differs", method, batch)
			}
		}
		one := maps(t, s, Options{Method: method}, x[4*len(x)/n:], 1, Score{1, 0})
		if !slices.Equal(one, want[4*len(want)/n:]) {
			t.Errorf("%s of an image alone differs", method)
		}
	}
}

// TestMirror: the map of a subject that looks at both sides is the mean of the maps of both, turned back.
func TestMirror(t *testing.T) {
	const n = 2
	s, x := subject(t, n)
	turned := slices.Clone(x)
	imaging.Mirror(turned, s.Model.Image)
	both := s
	both.Mirror = true
	grid := s.Model.Grid()
	for _, method := range Methods() {
		o := Options{Method: method, Window: 2}
		got := maps(t, both, o, x, n, Score{2, Nothing})
		a, b := maps(t, s, o, x, n, Score{2, Nothing}), maps(t, s, o, turned, n, Score{2, Nothing})
		want := make([]float32, len(a))
		for i := range want {
			want[i] = (a[i] + b[i/grid*grid+grid-1-i%grid]) / 2
		}
		golden.CheckSlices(t, string(method), got, want, 1e-4)
	}
}

// TestOcclusionOfOneColour: what has one colour loses nothing when a part of it is covered, and a patch of another colour
// changes what is covered.
func TestOcclusionOfOneColour(t *testing.T) {
	s, x := subject(t, 1)
	for i := range x {
		x[i] = 0.5
	}
	if got := maps(t, s, Options{Method: Occlusion}, x, 1, Score{0, Nothing}); slices.Max(got) > 1e-5 || slices.Min(got) < -1e-5 {
		t.Errorf("an image of one colour has the map %v", got)
	}
	FillPatch(x, s.Model.Image, s.Model.Patch, 5, [3]float32{2, -1, 3})
	for i, v := range x {
		c, y, at := i/256, i/16%16, i%16
		want := float32(0.5)
		if y/4 == 1 && at/4 == 1 {
			want = []float32{2, -1, 3}[c]
		}
		if v != want {
			t.Fatalf("channel %d, row %d, column %d: %v, expected %v", c, y, at, v, want)
		}
	}
	if got := maps(t, s, Options{Method: Occlusion, Window: 1}, x, 1, Score{0, Nothing}); slices.Max(got)-slices.Min(got) < 1e-3 {
		t.Errorf("a patch of another colour counts for nothing: %v", got)
	}
}

// TestRefusals: what cannot be explained is an error that says why.
func TestRefusals(t *testing.T) {
	s, x := subject(t, 1)
	for what, o := range map[string]Options{
		"unknown method": {Method: "magic"}, "window of": {Window: 5}, "stride of": {Window: 2, Stride: 3}, "batch of": {Batch: -1},
	} {
		if _, err := New(s, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, expected one about the %s", err, what)
		}
	}
	headless := Subject{Model: s.Model, Adapter: compute.NewAdapter(nil, nil, compute.F32)}
	if _, err := New(headless, Options{}); err == nil {
		t.Error("an adapter without a head is explained")
	}
	if _, err := New(Subject{}, Options{}); err == nil {
		t.Error("nothing is explained")
	}
	e, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, score := range []Score{{-1, Nothing}, {5, Nothing}, {0, 5}, {0, -2}, {1, 1}} {
		if _, err := e.Maps(x, 1, []Score{score}); err == nil {
			t.Errorf("score %v is explained", score)
		}
	}
	if _, err := e.Maps(x[1:], 1, []Score{{0, Nothing}}); err == nil {
		t.Error("an input that is too short is explained")
	}
}
