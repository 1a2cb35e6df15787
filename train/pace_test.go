package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// paceShape is a ViT of a published width (S 384, B 768, L 1024), shallow and for small images so that it is quick.
func paceShape(width int) vit.Config {
	return vit.Config{Family: "vit", Width: width, Depth: 2, Heads: width / 64, MLP: 4 * width, Image: 64, Patch: 16, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Eps: 1e-6}
}

// effect sums up what an adapter adds to the outputs of q and v, beside the outputs, and how that has changed since the
// last look.
type effect struct {
	adapter       *lora.Adapter
	last          map[vit.Site][]float64
	now           map[vit.Site][]float64
	change, total map[vit.Kind]float64
}

func (e *effect) Wants(s vit.Site) bool { return s.Kind == vit.Q || s.Kind == vit.V }

func (e *effect) See(s vit.Site, x, y []float32) {
	d := e.adapter.Delta(s)
	u := make([]float64, d.Rank)
	for r := range u {
		for j, v := range x {
			u[r] += float64(v) * float64(d.A[r*len(x)+j])
		}
	}
	for i, v := range y {
		z := 0.0
		for r, w := range u {
			z += float64(d.Scale) * w * float64(d.B[i*d.Rank+r])
		}
		at := len(e.now[s])
		before := 0.0
		if last := e.last[s]; last != nil {
			before = last[at]
		}
		e.now[s] = append(e.now[s], z)
		e.change[s.Kind] += (z - before) * (z - before)
		e.total[s.Kind] += float64(v) * float64(v)
	}
}

// look returns the change since the last look beside the outputs, of q and of v.
func (e *effect) look(engine compute.Engine, images []float32, n int) (q, v float64) {
	e.last, e.now = e.now, map[vit.Site][]float64{}
	e.change, e.total = map[vit.Kind]float64{}, map[vit.Kind]float64{}
	engine.(compute.Observed).Observe(images, n, e)
	return math.Sqrt(e.change[vit.Q] / e.total[vit.Q]), math.Sqrt(e.change[vit.V] / e.total[vit.V])
}

// changes are how far the first step moves q and v, and how far all of the first ones do on average.
func changes(t *testing.T, width int, cfg lora.Config, std float64) (list []float64) {
	t.Helper()
	const n, classes = 8, 4
	pool := compute.NewPool(2)
	defer pool.Close()
	m := vit.Random(pool, paceShape(width), vit.F32, std, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	images := make([]float32, n*3*64*64)
	for i := range images {
		images[i] = float32(rng.NormFloat64())
	}
	a, err := lora.New(&m.Config, cfg, classes, 1)
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := lora.NewTuner(m, n, lora.MeLo, a, lora.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := m.NewEngine(n)
	gauge := lora.NewGauge(vit.Q, vit.V)
	features, err := gauge.Measure(engine, images, n)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range features {
		sum += math.Abs(float64(v))
	}
	tuner.SetPace(lora.Pace{A: 0.2, B: 0.03, Head: 0.1}, gauge, sum/n)
	loss, err := NewLoss(dataset.MultiClass, classes, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	targets := Targets{Present: make([]float32, n*classes)}
	for i := range n {
		targets.Label = append(targets.Label, i%classes)
	}
	opt := NewAdamW(tuner.Params(), AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-12}, pool)
	e := &effect{adapter: a}
	e.look(engine, images, n)
	losses, dlogits := make([]float64, n), make([]float32, n*classes)
	const steps = 6
	mean := [2]float64{}
	for step := range steps {
		loss.Backward(losses, dlogits, tuner.Forward(images, n, true), targets, n)
		tuner.Backward(dlogits)
		if _, err := opt.Step(1); err != nil {
			t.Fatal(err)
		}
		q, v := e.look(engine, images, n)
		mean[0], mean[1] = mean[0]+q/steps, mean[1]+v/steps
		if step == 0 {
			list = append(list, q, v)
		}
	}
	return append(list, mean[:]...)
}

// TestRelationPace: a step moves the outputs of q and v as far, within a factor of 1.5, whatever the width of the base, the
// size of its weights, the rank and the scale.
func TestRelationPace(t *testing.T) {
	want := changes(t, 384, lora.Config{Rank: 8}, 0.02)
	for _, c := range []struct {
		width int
		cfg   lora.Config
		std   float64
	}{
		{768, lora.Config{Rank: 8}, 0.02},
		{1024, lora.Config{Rank: 8}, 0.02},
		{384, lora.Config{Rank: 8, Scale: 16}, 0.02},
		{384, lora.Config{Rank: 4}, 0.02},
		{384, lora.Config{Rank: 16, RSLoRA: true}, 0.02},
		{384, lora.Config{Rank: 8}, 0.06},
	} {
		t.Run(fmt.Sprintf("width %d %+v std %v", c.width, c.cfg, c.std), func(t *testing.T) {
			got := changes(t, c.width, c.cfg, c.std)
			for i, w := range want {
				if r := got[i] / w; r > 1.5 || r < 1/1.5 {
					t.Errorf("%s of %c: %.4f, with ViT-S %.4f", []string{"first step", "mean step"}[i/2], "qv"[i%2], got[i], w)
				}
			}
		})
	}
	if want[0] < 0.003 || want[0] > 0.03 {
		t.Errorf("the first step moves q by %v, expected no more than the pace of 0.03, and not far less", want[0])
	}
}
