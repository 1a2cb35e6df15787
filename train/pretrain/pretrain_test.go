package pretrain

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/par"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// tiny is a run that takes a second.
func tiny() *Config {
	return &Config{Width: 32, Depth: 2, Heads: 2, MLP: 64, Image: 48, Patch: 16, Batches: 6, Batch: 8, LR: 3e-3, Warmup: 2, Average: 0.99,
		Optimizer:   train.AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.05, Clip: 1},
		LocalWeight: 1, Distract: Distract{Mask: 0.5, Exposure: 0.3, Noise: 0.1}, Seed: 3}
}

// newRun makes a run on some workers, in passes of some images.
func newRun(t *testing.T, c *Config, epochs, workers, pass int) (*Model, *train.Loop) {
	t.Helper()
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	shape := c.shape()
	data, err := NewData(&shape, c.Batch, c.Batches, c.Seed, c.Distract, workers)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(first(t, pool, shape, c.Seed), pass, data.Global(), data.Local(), vit.F32, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := c.Loop(m, data, pool, epochs)
	if err != nil {
		t.Fatal(err)
	}
	return m, loop
}

func first(t *testing.T, w compute.Workers, c vit.Config, seed uint64) *vit.Model {
	t.Helper()
	m, err := Init(w, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// weights joins all parameters.
func weights(m *Model) []float32 {
	var all []float32
	for _, p := range m.Params() {
		all = append(all, p.Data...)
	}
	return all
}

// TestLossFalls: a tiny run learns.
func TestLossFalls(t *testing.T) {
	c := tiny()
	c.Batches = 16
	_, loop := newRun(t, c, 3, 2, 8)
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, last := loop.State.History[0].Loss, loop.State.History[2].Loss
	if !(last < 0.97*first) {
		t.Errorf("loss %.4f in the first epoch, %.4f in the last", first, last)
	}
}

// TestResume: a run that is stopped and resumed, on other workers and in other passes, gives the same bits.
func TestResume(t *testing.T) {
	c := tiny()
	whole, loop := newRun(t, c, 2, 2, 8)
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	path, id := filepath.Join(t.TempDir(), "checkpoint.safetensors"), &train.Identity{Data: "formula"}
	_, loop = newRun(t, c, 2, 1, 4)
	ctx, stop := context.WithCancel(t.Context())
	loop.Hooks = append(loop.Hooks, train.Hook{Step: func(l *train.Loop) error {
		if l.State.Step == 8 {
			stop()
		}
		return nil
	}}, train.Checkpoints(path, id, 1<<40, func(err error) { t.Error(err) }))
	if err := loop.Run(ctx); !errors.As(err, new(*train.InterruptedError)) {
		t.Fatalf("error %v, expected an interruption", err)
	}
	parted, loop := newRun(t, c, 2, 3, 8)
	if err := loop.Resume(path, id); err != nil {
		t.Fatal(err)
	}
	if loop.State.Step < 8 || loop.State.Step >= 12 {
		t.Fatalf("resumed after step %d", loop.State.Step)
	}
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weights(whole), weights(parted)) {
		t.Error("the weights differ")
	}
}

// TestBackward compares gradients with differences of the loss along random directions of each parameter.
func TestBackward(t *testing.T) {
	c := tiny()
	c.Batch = 2
	m, loop := newRun(t, c, 1, 1, 2)
	var batch *dataset.Batch
	for b, err := range loop.Data.EpochFrom(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		batch = b
		break
	}
	targets := train.Targets{Label: batch.Labels, Present: batch.Targets}
	losses, dlogits := make([]float64, 2), make([]float32, 2*m.Classes())
	loss := func() float64 {
		m.Updated()
		loop.Loss.Backward(losses, dlogits, m.Forward(batch.Images, 2, true), targets, 2)
		return losses[0] + losses[1]
	}
	loss()
	m.Backward(dlogits)
	for _, p := range m.Params() {
		old := slices.Clone(p.Data)
		var slope float64
		direction := make([]float32, len(p.Data))
		var norm float64
		for i, g := range p.Grad { // steepest: what differences show best in float32
			norm += float64(g) * float64(g)
			direction[i] = g
		}
		norm = math.Sqrt(norm)
		if norm < 1e-6 {
			continue
		}
		const h = 2e-3
		at := func(sign float32) float64 {
			for i := range p.Data {
				p.Data[i] = old[i] + sign*h*direction[i]/float32(norm)
			}
			return loss()
		}
		slope = (at(1) - at(-1)) / (2 * h)
		copy(p.Data, old)
		// Differences of a loss of about 2 in float32: 1e-6 over 4e-3, and curvature.
		if math.Abs(slope-norm) > 0.03*norm+1e-3 {
			t.Errorf("%s: the gradient's norm is %g, the loss rises by %g along it", p.Name, norm, slope)
		}
	}
}

func TestNewDataRefuses(t *testing.T) {
	c := tiny()
	shape := c.shape()
	if _, err := NewData(&shape, 0, 1, 1, Distract{}, 1); err == nil {
		t.Error("batches of no images")
	}
	shape.Patch = 8
	if _, err := NewData(&shape, 8, 1, 1, Distract{}, 1); err == nil {
		t.Error("patches of side 8")
	}
}

// TestShorterRun: a run of fewer epochs is the beginning of a longer one.
func TestShorterRun(t *testing.T) {
	c := tiny()
	short, loop := newRun(t, c, 1, 2, 8)
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	long, loop := newRun(t, c, 2, 2, 8)
	var then []float32
	loop.Hooks = append(loop.Hooks, train.Hook{Epoch: func(l *train.Loop) error {
		return l.Averaged(func() error {
			if then == nil {
				then = weights(long)
			}
			return nil
		})
	}})
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weights(short), then) {
		t.Error("after an epoch the weights differ")
	}
	if slices.Equal(weights(long), then) {
		t.Error("the second epoch changed nothing")
	}
}

// TestDescribe: descriptors tell bright from dark, upright from level edges, and where they are.
func TestDescribe(t *testing.T) {
	const side, patch = 48, 16
	d := newDescriber(side, patch)
	global, local := make([]float32, d.globalSize()), make([]float32, 9*localSize)
	pix := make([]float32, 3*side*side)
	for c := range 3 {
		for y := range side {
			for x := range side {
				v := float32(0.25)
				if x < patch && y < patch { // level stripes in the first patch
					v += 0.5 * float32(y/2%2)
				}
				pix[(c*side+y)*side+x] = v
			}
		}
	}
	d.describe(global, local, pix)
	first, other := local[:localSize], local[4*localSize:5*localSize]
	mean := (4*turns + 2) + (levels-1)*bins
	if !(first[mean] > 0.45 && first[mean] < 0.55) || math.Abs(float64(other[mean])-0.25) > 1e-5 {
		t.Errorf("mean brightness %v and %v", first[mean], other[mean])
	}
	if level, upright := first[turns/2], first[0]; !(level > upright+1) {
		t.Errorf("level edges %v, upright edges %v", level, upright)
	}
	if !(first[turns/2] > other[turns/2]+1) {
		t.Errorf("edges %v where there are some, %v where there are none", first[turns/2], other[turns/2])
	}
	for k, v := range append(global, local...) {
		if v-v != 0 {
			t.Fatalf("descriptor %d is %v", k, v)
		}
	}
}

// TestProbe: a probe on a backbone tells pictures apart that differ in brightness, and needs enough of them.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	for k := range 40 {
		writePNG(t, filepath.Join(dir, []string{"dark", "bright"}[k%2], fmt.Sprintf("%02d.png", k)), uint8(60+100*(k%2)+k))
	}
	ds, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := tiny().shape()
	p, err := NewProbe(t.Context(), "brightness", ds, Recipe(&c), 40)
	if err != nil {
		t.Fatal(err)
	}
	pool := par.New(1)
	defer pool.Close()
	auc, err := p.AUC(t.Context(), first(t, pool, c, 1))
	if err != nil || auc < 0.95 {
		t.Errorf("AUC %v, %v", auc, err)
	}
	if _, err := NewProbe(t.Context(), "brightness", ds, Recipe(&c), 4); err == nil {
		t.Error("two images for two labels")
	}
}

// writePNG writes an even image of a brightness, with a little texture.
func writePNG(t *testing.T, path string, level uint8) {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 48, 48))
	for i := range m.Pix {
		m.Pix[i] = level + uint8(i*7%5)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestStandardised: the numbers of the class token have mean 0 and one spread, and say what they said.
func TestStandardised(t *testing.T) {
	m, loop := newRun(t, tiny(), 1, 2, 8)
	data := loop.Data.(*Data)
	base, err := m.Base()
	if err != nil {
		t.Fatal(err)
	}
	before, beforeStd := data.classToken(base)
	x, err := data.Standardised(base)
	if err != nil {
		t.Fatal(err)
	}
	mean, std := data.classToken(x)
	for k := range mean {
		// Sums of float32 features around a mean: 1e-3 of the spread.
		if math.Abs(mean[k]) > 1e-3*spread || math.Abs(std[k]-spread) > 1e-3*spread {
			t.Errorf("number %d: mean %g, spread %g; before %g, %g", k, mean[k], std[k], before[k], beforeStd[k])
		}
	}
	same := slices.Equal(x.Parameter("blocks.0.k.weight"), base.Parameter("blocks.0.k.weight"))
	if !same || base.Parameter("norm.weight")[0] != 1 {
		t.Error("more than the last norm is other, or the base itself was changed")
	}
}
