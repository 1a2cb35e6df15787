package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
)

// averagedRun is testRun with an average.
func averagedRun(t testing.TB, method lora.Method, workers int) *Loop {
	t.Helper()
	l := testRun(t, method, workers, goldenBatch)
	pool := par.New(workers)
	t.Cleanup(pool.Close)
	var err error
	if l.Average, err = NewAverage(l.Model.Params(), 0.9, pool); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestAverageByHand follows a parameter in float64.
func TestAverageByHand(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	p := compute.Param{Name: "w", Data: []float32{1, -2}}
	a, err := NewAverage([]compute.Param{p}, 0.4, pool)
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{1, -2}
	for step, d := range []float64{2.0 / 11, 3.0 / 12, 4.0 / 13, 5.0 / 14, 0.4, 0.4} {
		p.Data[0], p.Data[1] = float32(step), float32(-2*step)
		for i, v := range p.Data {
			want[i] = d*want[i] + (1-d)*float64(v)
		}
		a.add(step + 1)
		for i, v := range want {
			if math.Abs(float64(a.data[0][i])-v) > 1e-6 { // a few roundings of numbers of order 1 to 10
				t.Errorf("step %d: average %v, want %v", step+1, a.data[0][i], v)
			}
		}
	}
	now := slices.Clone(p.Data)
	a.swap()
	if math.Abs(float64(p.Data[0])-want[0]) > 1e-6 || a.data[0][0] != now[0] {
		t.Errorf("swapped: %v and %v", p.Data, a.data[0])
	}
	for _, decay := range []float64{0, 1, -0.5, math.NaN()} {
		if _, err := NewAverage(nil, decay, pool); err == nil {
			t.Errorf("decay %v accepted", decay)
		}
	}
}

// TestAverageIsKept: what is validated and left at the end is the average, and training goes on as without it.
func TestAverageIsKept(t *testing.T) {
	for _, method := range methods {
		plain, l := testRun(t, method, 2, goldenBatch), averagedRun(t, method, 2)
		plain.Validate, l.Validate = nil, nil
		last := finish(t, plain).Params
		got := finish(t, l).Params
		if reflect.DeepEqual(got, last) {
			t.Errorf("%s: the average is not kept", method)
		}
		if !reflect.DeepEqual(got, l.Average.data) {
			t.Errorf("%s: what is left is not the average", method)
		}
		if !reflect.DeepEqual(plain.State.History, l.State.History) {
			t.Errorf("%s: the average changes the training", method)
		}
		// Validation sees the average: its scores are those of a run that is left with it.
		l = averagedRun(t, method, 1)
		l.Epochs = 1
		finish(t, l)
		scores, err := l.Validate(t.Context())
		if err != nil || !reflect.DeepEqual(scores, l.State.Best) {
			t.Errorf("%s: %v, validation during training %v, %v", method, scores, l.State.Best, err)
		}
	}
}

// TestRelationAverageResume: stopped after any step or while it validates, and resumed, a run with an average gives
// the same bits.
func TestRelationAverageResume(t *testing.T) {
	for _, method := range methods {
		want := finish(t, averagedRun(t, method, 2))
		for _, stop := range []int{1, 7, goldenSteps, 2*goldenSteps - 1, 2 * goldenSteps, 25} {
			path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
			ctx, cancel := context.WithCancel(t.Context())
			l := averagedRun(t, method, 2)
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
			l = averagedRun(t, method, 1)
			if err := l.Resume(path, testIdentity); err != nil {
				t.Fatal(err)
			}
			got := finish(t, l)
			got.State.Loss, got.State.Norm = want.State.Loss, want.State.Norm
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: stopped at step %d: the result differs", method, stop)
			}
			// A run without an average cannot go on from it.
			if err := testRun(t, method, 1, goldenBatch).Resume(path, testIdentity); err == nil || !strings.Contains(err.Error(), "tensors") {
				t.Errorf("resumed without the average: %v", err)
			}
		}
	}
}
