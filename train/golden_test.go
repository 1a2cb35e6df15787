package train

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Tolerances of docs/numerics.md: one step's gradients, and ten steps of AdamW, which divides by the root of
// small second moments and so magnifies rounding early on.
const (
	gradTol  = 1e-5
	lossTol  = 1e-5
	finalTol = 1e-4
)

const (
	goldenSteps = 10
	goldenBatch = 4
	goldenK     = 3
)

// goldenData yields the stored batches, one an epoch's batch.
type goldenData struct {
	images []float32
	labels []int64
}

func (goldenData) Batches() int { return goldenSteps }

func (g goldenData) EpochFrom(ctx context.Context, _, from int) iter.Seq2[*dataset.Batch, error] {
	return func(yield func(*dataset.Batch, error) bool) {
		size := len(g.images) / goldenSteps
		for i := from; i < goldenSteps; i++ {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			b := &dataset.Batch{Number: i, N: goldenBatch, Images: g.images[i*size : (i+1)*size],
				Targets: make([]float32, goldenBatch*goldenK)}
			for j, l := range g.labels[i*goldenBatch : (i+1)*goldenBatch] {
				b.Indices, b.Labels = append(b.Indices, i*goldenBatch+j), append(b.Labels, int(l))
				b.Targets[j*goldenK+int(l)] = 1
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// openTrainBase opens testdata/golden/train and its batches.
func openTrainBase(t testing.TB, pool *par.Pool) (*vit.Model, goldenData) {
	t.Helper()
	c := golden.Open(t, "train")
	m, err := vit.Open(c.Dir, vit.Options{Workers: pool})
	if err != nil {
		t.Fatal(err)
	}
	return m, goldenData{c.Data("images"), c.Tensor("labels").Ints}
}

// goldenStart is the adapter that a run begins with.
func goldenStart(t testing.TB, c *golden.Case, m *vit.Model) *lora.Adapter {
	t.Helper()
	a := &lora.Adapter{Head: &vit.Head{Classes: goldenK, Features: m.Features(),
		W: slices.Clone(c.Data("init.head.weight")), Bias: slices.Clone(c.Data("init.head.bias"))}}
	for _, name := range c.Names("init.block.") {
		var block int
		var kind, factor string
		if n, _ := fmt.Sscan(strings.ReplaceAll(strings.TrimPrefix(name, "init.block."), ".", " "), &block, &kind, &factor); n != 3 || factor != "A" {
			continue
		}
		k, err := vit.ParseKind(kind)
		if err != nil {
			t.Fatal(err)
		}
		rank := c.Tensor(name).Shape[0]
		a.Deltas = append(a.Deltas, lora.Delta{Site: vit.Site{Block: block, Kind: k}, Rank: rank, Alpha: float32(rank), Scale: 1,
			A: slices.Clone(c.Data(name)), B: slices.Clone(c.Data(strings.TrimSuffix(name, "A") + "B"))})
	}
	a.Sort()
	return a
}

// goldenLoop is the loop of a case, with PyTorch's rule that everything decays.
func goldenLoop(t testing.TB, c *golden.Case, workers, pass int) (*Loop, *lora.Tuner) {
	t.Helper()
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	m, data := openTrainBase(t, pool)
	method, _, _ := strings.Cut(strings.TrimPrefix(c.Dir[strings.LastIndex(c.Dir, "train_"):], "train_"), "_")
	tuner, err := lora.NewTuner(m, pass, lora.Method(method), goldenStart(t, c, m), lora.Options{})
	if err != nil {
		t.Fatal(err)
	}
	loss, err := NewLoss(dataset.MultiClass, goldenK, 0.1, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01}
	schedule := Schedule(func(int) float64 { return 1e-3 })
	if strings.HasSuffix(c.Dir, "_adam") {
		cfg.WeightDecay = 0
		cosine := Cosine(1e-3, 1e-6, 0, goldenSteps)
		schedule = func(step int) float64 { return cosine(step / 2 * 2) } // stepped once an epoch of two batches
	}
	params := slices.Clone(tuner.Params())
	for i := range params {
		params[i].Decay = true
	}
	return &Loop{Model: tuner, Data: data, Loss: loss, Optimizer: NewAdamW(params, cfg, pool), Schedule: schedule, Epochs: 1}, tuner
}

// TestGoldenTraining: from the same weights and batches, the first logits and gradients, ten losses, ten
// learning rates and the final weights are PyTorch's.
func TestGoldenTraining(t *testing.T) {
	for _, name := range []string{"train_melo", "train_melo_adam", "train_linear", "train_full"} {
		for _, pass := range []int{goldenBatch, 1} {
			t.Run(fmt.Sprintf("%s/pass %d", name, pass), func(t *testing.T) {
				c := golden.Open(t, name)
				l, tuner := goldenLoop(t, c, 2, pass)
				checkFirstStep(t, c, l, tuner)
				var losses []float32
				l.Hooks = []Hook{{Step: func(l *Loop) error {
					want := c.Data("lr")[len(losses)]
					if lr := l.Schedule(len(losses)); math.Abs(lr-float64(want)) > 1e-6*float64(want) { // stored as float32
						t.Errorf("step %d: learning rate %v, want %v", len(losses), lr, want)
					}
					losses = append(losses, float32(l.State.Loss))
					return nil
				}}}
				if err := l.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				golden.CheckSlices(t, "losses", losses, c.Data("losses"), lossTol)
				if c.Data("losses")[goldenSteps-1] > 0.95*c.Data("losses")[0] {
					t.Error("the golden run learns nothing: the test shows little")
				}
				checkFinal(t, c, tuner)
			})
		}
	}
}

// paramNames maps the golden's names of a run to ours.
func goldenName(name string) string {
	return strings.Replace(name, "block.", "blocks.", 1)
}

func checkFirstStep(t *testing.T, c *golden.Case, l *Loop, tuner *lora.Tuner) {
	t.Helper()
	for b, err := range l.Data.EpochFrom(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n := tuner.MaxBatch()
		var logits []float32
		losses, d := make([]float64, n), make([]float32, n*goldenK)
		all := Targets{b.Labels, b.Targets}
		for i := 0; i < b.N; i += n {
			z := tuner.Forward(b.Images[i*len(b.Images)/b.N:], n, true)
			logits = append(logits, z...)
			l.Loss.Backward(losses, d, z, all.part(i, n, goldenK), l.Loss.Weight(all))
			tuner.Backward(d)
		}
		c.Check(t, "logits0", logits, gradTol)
		break
	}
	seen := 0
	for _, p := range tuner.Params() {
		for _, name := range c.Names("grad0.") {
			if goldenName(strings.TrimPrefix(name, "grad0.")) == p.Name {
				c.Check(t, name, p.Grad, gradTol)
				seen++
			}
		}
		clear(p.Grad)
	}
	if seen != len(c.Names("grad0.")) {
		t.Errorf("%d gradients compared, the case has %d", seen, len(c.Names("grad0.")))
	}
}

func checkFinal(t *testing.T, c *golden.Case, tuner *lora.Tuner) {
	t.Helper()
	seen := 0
	for _, p := range tuner.Params() {
		for _, name := range c.Names("final.") {
			if goldenName(strings.TrimPrefix(name, "final.")) == p.Name {
				c.Check(t, name, p.Data, finalTol)
				seen++
			}
		}
	}
	if seen != len(c.Names("final.")) || seen == 0 {
		t.Errorf("%d final tensors compared, the case has %d", seen, len(c.Names("final.")))
	}
	if !strings.HasSuffix(c.Dir, "train_full") {
		return
	}
	pool := par.New(1)
	defer pool.Close()
	m, err := vit.Open(c.Dir, vit.Options{Workers: pool})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]compute.Param{}
	all, err := m.NewTrainer(1, compute.Training{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Params() {
		want[p.Name] = p
	}
	for _, p := range tuner.Params() {
		w, ok := want[p.Name]
		if !ok {
			continue // the head
		}
		got, ref := p.Data, w.Data
		if strings.HasSuffix(p.Name, "kv.bias") { // keys' biases are noise: Adam divides a gradient of zero by its own size
			got, ref = got[len(got)/2:], ref[len(ref)/2:]
		}
		golden.CheckSlices(t, "final "+p.Name, got, ref, finalTol)
		delete(want, p.Name)
	}
	if len(want) > 0 {
		t.Errorf("%d tensors of the base were not trained", len(want))
	}
}
