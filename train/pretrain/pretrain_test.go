package pretrain

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"melo/dataset"
	"melo/internal/kernel"
	"melo/internal/par"
	"melo/train"
	"melo/vit"
)

// tiny is a run that takes a second.
func tiny() *Config {
	return &Config{Width: 32, Depth: 2, Heads: 2, MLP: 64, Image: 48, Patch: 16, Epochs: 2, Batches: 6, Batch: 8, LR: 3e-3, Warmup: 2,
		Optimizer:   train.AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.05, Clip: 1},
		LocalWeight: 1, Distract: Distract{Mask: 0.5, Exposure: 0.3, Noise: 0.1}, Seed: 3}
}

// shape is that of a run.
func (c *Config) shape() vit.Config {
	s := Small()
	s.Width, s.Depth, s.Heads, s.MLP, s.Image, s.Patch = c.Width, c.Depth, c.Heads, c.MLP, c.Image, c.Patch
	return s
}

// newRun makes a run on some workers, in passes of some images.
func newRun(t *testing.T, c *Config, workers, pass int) (*Model, *train.Loop) {
	t.Helper()
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	shape := c.shape()
	data, err := NewData(&shape, c.Batch, c.Batches, c.Seed, c.Distract, workers)
	if err != nil {
		t.Fatal(err)
	}
	m := NewModel(Init(kernel.NewExec(pool), shape, c.Seed), pool, pass, data.Global(), data.Local(), vit.F32, c.Seed)
	return m, c.Loop(m, data, pool)
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
	c.Epochs, c.Batches = 3, 16
	_, loop := newRun(t, c, 2, 8)
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
	whole, loop := newRun(t, c, 2, 8)
	if err := loop.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	path, id := filepath.Join(t.TempDir(), "checkpoint.safetensors"), &train.Identity{Data: "formula"}
	_, loop = newRun(t, c, 1, 4)
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
	parted, loop := newRun(t, c, 3, 8)
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
	m, loop := newRun(t, c, 1, 2)
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
