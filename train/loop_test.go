package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/dataset"
	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
)

var testIdentity = &Identity{Base: "sha256:b", Data: "sha256:d", Split: "sha256:s",
	Config: map[string]any{"lr": 1e-3, "epochs": 3, "seed": uint64(1)<<63 + 1, "augment": map[string]any{"flip": true}}}

// testRun is a run of three epochs with validation, dropout, clipping and a cosine.
func testRun(t testing.TB, method lora.Method, workers, pass int) *Loop {
	t.Helper()
	return testRunOf(t, method, lora.Config{}, workers, pass)
}

func testRunOf(t testing.TB, method lora.Method, cfg lora.Config, workers, pass int) *Loop {
	t.Helper()
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	m, data := openTrainBase(t, pool)
	start, err := lora.New(&m.Config, cfg, goldenK, 7)
	if err != nil {
		t.Fatal(err)
	}
	if method != lora.MeLo {
		start.Deltas = nil
	}
	tuner, err := lora.NewTuner(m, pass, method, start, lora.Options{Dropout: 0.1, BRatio: 4, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	loss, err := NewLoss(dataset.MultiClass, goldenK, 0.1, []float64{1, 2, 0.5})
	if err != nil {
		t.Fatal(err)
	}
	evaluator := &Evaluator{Model: tuner, Data: data, Task: dataset.MultiClass}
	return &Loop{
		Model: tuner, Data: data, Loss: loss, Epochs: 3,
		Optimizer: NewAdamW(tuner.Params(), AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.05, Clip: 1}, pool),
		Schedule:  Cosine(3e-3, 0, 4, 3*goldenSteps),
		Validate:  evaluator.Scores,
	}
}

// outcome is all that a run leaves, bit for bit.
type outcome struct {
	Params [][]float32
	State  State
}

func outcomeOf(l *Loop) outcome {
	o := outcome{State: l.State}
	for _, p := range l.Model.Params() {
		o.Params = append(o.Params, slices.Clone(p.Data))
	}
	return o
}

func finish(t testing.TB, l *Loop) outcome {
	t.Helper()
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return outcomeOf(l)
}

var methods = []lora.Method{lora.MeLo, lora.LinearOnly, lora.FullTuning}

// TestRelationWorkersAndPasses: neither workers nor the cutting of batches changes a bit.
func TestRelationWorkersAndPasses(t *testing.T) {
	for _, method := range methods {
		want := finish(t, testRun(t, method, 1, goldenBatch))
		if len(want.State.History) != 3 || want.State.BestEpoch == 0 {
			t.Fatalf("%s: %+v", method, want.State)
		}
		for _, c := range []struct{ workers, pass int }{{3, goldenBatch}, {2, 1}, {1, 3}} {
			if got := finish(t, testRun(t, method, c.workers, c.pass)); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %d workers, passes of %d: the result differs", method, c.workers, c.pass)
			}
		}
	}
}

// TestRelationResume: a run that is stopped after any step, or while it validates, and resumed in a new
// process gives the same bits as one that was not.
func TestRelationResume(t *testing.T) {
	for _, method := range methods {
		want := finish(t, testRun(t, method, 2, goldenBatch))
		for stop := 1; stop <= 3*goldenSteps; stop += 4 {
			path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
			ctx, cancel := context.WithCancel(t.Context())
			l := testRun(t, method, 2, goldenBatch)
			l.Hooks = []Hook{
				{Step: func(l *Loop) error {
					if l.State.Step == stop {
						cancel()
					}
					return nil
				}},
				Checkpoints(path, testIdentity, math.MaxInt64, func(err error) { t.Error(err) }),
			}
			if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("stop at %d: %v", stop, err)
			}
			l = testRun(t, method, 1, goldenBatch)
			if err := l.Resume(path, testIdentity); err != nil {
				t.Fatal(err)
			}
			if l.State.Step != stop {
				t.Fatalf("resumed at step %d, stopped at %d", l.State.Step, stop)
			}
			got := finish(t, l)
			got.State.Loss, got.State.Norm = want.State.Loss, want.State.Norm // of the last step, if this run had any
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: stopped at step %d: the result differs", method, stop)
			}
		}
	}
}

// TestResumeAfterTheEnd: a finished run's checkpoint gives the finished parameters.
func TestResumeAfterTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	l := testRun(t, lora.MeLo, 1, 4)
	l.Hooks = []Hook{Checkpoints(path, testIdentity, math.MaxInt64, func(err error) { t.Error(err) })}
	want := finish(t, l)
	l = testRun(t, lora.MeLo, 1, 4)
	if err := l.Resume(path, testIdentity); err != nil {
		t.Fatal(err)
	}
	if got := finish(t, l); !reflect.DeepEqual(got.Params, want.Params) {
		t.Error("the parameters differ")
	}
}

func TestResumeRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
	l := testRun(t, lora.MeLo, 1, 4)
	if err := l.Save(path, testIdentity); err != nil {
		t.Fatal(err)
	}
	other := func(change func(*Identity)) *Identity {
		id := *testIdentity
		id.Config = map[string]any{}
		for k, v := range testIdentity.Config {
			id.Config[k] = v
		}
		change(&id)
		return &id
	}
	for _, c := range []struct {
		says string
		id   *Identity
	}{
		{`base: expected X, found sha256:b`, other(func(i *Identity) { i.Base = "X" })},
		{`data: expected X`, other(func(i *Identity) { i.Data = "X" })},
		{`split: expected X`, other(func(i *Identity) { i.Split = "X" })},
		{`setting lr: expected 0.002, found 0.001`, other(func(i *Identity) { i.Config["lr"] = 2e-3 })},
		{`setting seed: expected 9223372036854775808, found 9223372036854775809`, other(func(i *Identity) { i.Config["seed"] = uint64(1) << 63 })},
		{`setting more: expected 1, found none`, other(func(i *Identity) { i.Config["more"] = 1 })},
		{`setting lr: expected none`, other(func(i *Identity) { delete(i.Config, "lr") })},
	} {
		var mismatch *MismatchError
		err := testRun(t, lora.MeLo, 1, 4).Resume(path, c.id)
		if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("want %q, got %v", c.says, err)
		}
	}
	if err := testRun(t, lora.LinearOnly, 1, 4).Resume(path, testIdentity); err == nil {
		t.Error("a checkpoint with other tensors was accepted")
	}
	if err := l.Resume(filepath.Join(t.TempDir(), "missing"), testIdentity); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// TestResumeRefusesDamage: a checkpoint whose bytes are damaged is an error that names the file.
func TestResumeRefusesDamage(t *testing.T) {
	l := testRun(t, lora.MeLo, 1, 4)
	l.State.History = make([]Epoch, 2) // does not fit State.Epoch
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := l.Save(path, testIdentity); err != nil {
		t.Fatal(err)
	}
	l.State.History = nil
	nan := filepath.Join(t.TempDir(), "n.safetensors")
	if err := l.Save(nan, testIdentity); err != nil {
		t.Fatal(err)
	}
	l.Model.Params()[0].Data[3] = float32(math.NaN())
	before, err := os.ReadFile(nan)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Save(nan, testIdentity); err == nil || !strings.Contains(err.Error(), "finite") {
		t.Errorf("a NaN was saved: %v", err)
	}
	if now, err := os.ReadFile(nan); err != nil || !slices.Equal(now, before) {
		t.Errorf("the checkpoint from before is gone: %v", err)
	}
	copy(before[len(before)-4:], []byte{0, 0, 0xc0, 0x7f}) // the last number
	if err := os.WriteFile(nan, before, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, nan, filepath.Join(golden.Open(t, "train").Dir, "model.safetensors")} {
		if err := testRun(t, lora.MeLo, 1, 4).Resume(p, testIdentity); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// FuzzCheckpoint: whatever is in the file, reading it neither panics nor accepts an impossible state.
func FuzzCheckpoint(f *testing.F) {
	l := testRun(f, lora.LinearOnly, 1, 4)
	path := filepath.Join(f.TempDir(), "c")
	if err := l.Save(path, testIdentity); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := safetensors.Parse(data, "fuzz")
		if err != nil {
			return
		}
		if l.resume(file, "fuzz", testIdentity) == nil {
			if err := l.State.check(l.Epochs, l.Data.Batches()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestNotFinite: a loss or gradient that is not finite ends the run with the step; parameters, and so the
// last checkpoint, stay as they were.
func TestNotFinite(t *testing.T) {
	for name, spoil := range map[string]func(*Loop){
		"loss":     func(l *Loop) { l.Model.Params()[0].Data[0] = float32(math.NaN()) },
		"gradient": func(l *Loop) { l.Model.Params()[0].Grad[0] = float32(math.Inf(1)) },
	} {
		l := testRun(t, lora.MeLo, 1, 4)
		path := filepath.Join(t.TempDir(), "c")
		var before [][]float32
		l.Hooks = []Hook{
			{Step: func(l *Loop) error {
				if l.State.Step == goldenSteps+3 {
					spoil(l)
					before = outcomeOf(l).Params
				}
				return nil
			}},
			Checkpoints(path, testIdentity, math.MaxInt64, func(err error) { t.Error(err) }),
		}
		var bad *NotFiniteError
		err := l.Run(t.Context())
		if !errors.As(err, &bad) || bad.Step != goldenSteps+3 || !strings.Contains(err.Error(), fmt.Sprintf("step %d: the %s", goldenSteps+4, name)) {
			t.Errorf("%s: %v", name, err)
		}
		for i, p := range outcomeOf(l).Params {
			for j, v := range p {
				if math.Float32bits(v) != math.Float32bits(before[i][j]) {
					t.Fatalf("%s: parameter %d was changed", name, i)
				}
			}
		}
		fresh := testRun(t, lora.MeLo, 1, 4)
		if err := fresh.Resume(path, testIdentity); err != nil || fresh.State.Step != goldenSteps {
			t.Errorf("%s: the last checkpoint: %v, step %d", name, err, fresh.State.Step)
		}
	}
}

// TestEarlyStoppingKeepsTheBest: validation gets worse on purpose; the run ends after the patience and the
// parameters are those of the best epoch.
func TestEarlyStoppingKeepsTheBest(t *testing.T) {
	l := testRun(t, lora.MeLo, 1, 4)
	l.Epochs = 50
	scores := []float64{0.6, 0.8, 0.7, 0.75, 0.8}
	var atBest [][]float32
	l.Validate = func(context.Context) (Scores, error) {
		n := len(l.State.History)
		if n == 1 {
			atBest = outcomeOf(l).Params
		}
		return Scores{AUC: scores[min(n, len(scores)-1)], LogLoss: 1 + float64(n)}, nil
	}
	l.Hooks = []Hook{EarlyStopping(3, 1)}
	got := finish(t, l)
	if got.State.BestEpoch != 2 || got.State.Epoch != 5 || !got.State.Stopped {
		t.Errorf("%+v", got.State)
	}
	if !reflect.DeepEqual(got.Params, atBest) {
		t.Error("the parameters are not those of the best epoch")
	}
}

func TestBetter(t *testing.T) {
	for _, c := range []struct {
		a, b Scores
		want bool
	}{
		{Scores{AUC: 0.8, LogLoss: 2}, Scores{AUC: 0.7, LogLoss: 1}, true},
		{Scores{AUC: 0.7, LogLoss: 1}, Scores{AUC: 0.8, LogLoss: 2}, false},
		{Scores{AUC: 0.8, LogLoss: 1}, Scores{AUC: 0.8, LogLoss: 2}, true},
		{Scores{AUC: 0.8, LogLoss: 1}, Scores{AUC: 0.8, LogLoss: 1}, false},
		{Scores{LogLoss: 1}, Scores{LogLoss: 2}, true},
	} {
		if got := c.a.Better(c.b); got != c.want {
			t.Errorf("%v better than %v: %v", c.a, c.b, got)
		}
	}
}

// TestStepAllocatesNothing: passes, loss and optimizer of a step allocate nothing in the steady state.
func TestStepAllocatesNothing(t *testing.T) {
	for _, method := range methods {
		l := testRun(t, method, 2, 3)
		for b, err := range l.Data.EpochFrom(t.Context(), 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			step := func() {
				if err := l.step(b); err != nil {
					t.Fatal(err)
				}
				if err := l.each(Hook.step); err != nil {
					t.Fatal(err)
				}
			}
			step()
			if got := testing.AllocsPerRun(5, step); got != 0 {
				t.Errorf("%s: %v allocations a step", method, got)
			}
			break
		}
	}
}

// TestStateSurvivesJSON: a checkpoint's document keeps every bit of the state.
func TestStateSurvivesJSON(t *testing.T) {
	s := State{Epoch: 2, Step: 9, LossSum: math.Pi * 1e-300, BestEpoch: 1, Best: Scores{AUC: 1.0 / 3},
		Losses: []float64{1.0 / 7}, Kept: KeptLast, Retreats: []Retreat{{1, 0, 3, "the loss rose"}},
		History: []Epoch{{1, 4, 1e-3, 0.1 + 0.2, 1.0 / 9, Scores{LogLoss: 2.0 / 7}}, {Epoch: 2}}}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%v, %+v", err, back)
	}
}

// counted counts the images that pass the frozen part.
type counted struct {
	*lora.Tuner
	images int
}

func (c *counted) Prefix(dst, images []float32, n int) {
	c.images += n
	c.Tuner.Prefix(dst, images, n)
}

// listed is goldenData with what a cache asks for; images of step 2 are unreadable.
type listed struct{ goldenData }

const lost = 2 * goldenBatch

func (listed) Samples() int           { return goldenSteps * goldenBatch }
func (listed) Bad() []dataset.BadFile { return []dataset.BadFile{{Index: lost}} }

func (listed) Plan(int) [][]int {
	plan := make([][]int, goldenSteps)
	for i := range plan {
		for k := range goldenBatch {
			plan[i] = append(plan[i], i*goldenBatch+k)
		}
	}
	return plan
}

func (l listed) EpochFrom(ctx context.Context, epoch, from int) iter.Seq2[*dataset.Batch, error] {
	return func(yield func(*dataset.Batch, error) bool) {
		for b, err := range l.goldenData.EpochFrom(ctx, epoch, from) {
			if err == nil && b.Indices[0] == lost {
				size := len(b.Images) / b.N
				b.N, b.Indices, b.Labels, b.Images, b.Targets = b.N-1, b.Indices[1:], b.Labels[1:], b.Images[size:], b.Targets[goldenK:]
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// TestRelationCache: training from kept features, or from what enters the lowest adapted block, is, bit for bit,
// training that computes them every time, wherever they are kept; each readable image passes the frozen part once.
func TestRelationCache(t *testing.T) {
	for _, method := range []lora.Method{lora.LinearOnly, lora.MeLo} {
		for _, memory := range []int64{1 << 30, 3000, 0} { // all in memory, some, nothing
			t.Run(fmt.Sprintf("%s, memory %d", method, memory), func(t *testing.T) {
				checkCache(t, method, CacheLimits{Memory: memory, Dir: t.TempDir()})
			})
		}
	}
}

func checkCache(t *testing.T, method lora.Method, limits CacheLimits) {
	run := func(cached bool, from *State) (outcome, int) {
		l := testRunOf(t, method, lora.Config{Blocks: []int{1}}, 2, 3)
		l.Data = listed{l.Data.(goldenData)}
		model := &counted{Tuner: l.Model.(*lora.Tuner)}
		if cached {
			c := NewCache(model, l.Data.(Source), limits)
			defer func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if left, _ := os.ReadDir(limits.Dir); len(left) > 0 {
					t.Errorf("%d files are left", len(left))
				}
			}()
			l.Model, l.Data = c, c
		}
		l.Validate = (&Evaluator{Model: l.Model, Data: l.Data, Task: dataset.MultiClass}).Scores
		if from != nil {
			l.State = *from
		}
		return finish(t, l), model.images
	}
	for _, from := range []*State{nil, {Batch: 7}} { // from the start, and from the middle of an epoch
		want, _ := run(false, from)
		got, images := run(true, from)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("from %+v: the results differ", from)
		}
		if images != goldenSteps*goldenBatch-1 {
			t.Errorf("from %+v: %d images passed the base, want %d", from, images, goldenSteps*goldenBatch-1)
		}
	}
}
