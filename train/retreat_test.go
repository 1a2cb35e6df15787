package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"melo.example/melo/lora"
)

// steepRun is a run whose rate is far too high, with an average and leave to retreat.
func steepRun(t testing.TB, method lora.Method, workers int) *Loop {
	t.Helper()
	l := testRun(t, method, workers, goldenBatch)
	l.Schedule = Cosine(steep[method], 0, 2, 3*goldenSteps)
	l.Retreats, l.Returns, l.Blind = 3, true, math.Log(goldenK)
	var err error
	if l.Average, err = NewAverage(l.Model.Params(), 0.9, l.Optimizer.workers); err != nil {
		t.Fatal(err)
	}
	return l
}

// steep are rates at which the loss rises.
var steep = map[lora.Method]float64{lora.MeLo: 0.3, lora.LinearOnly: 3, lora.FullTuning: 0.3}

// TestRetreat: where the loss rises over an epoch the run begins it again with half the rates, at most as often as it
// may, and says so; and the loss is the lower for it.
func TestRetreat(t *testing.T) {
	for _, method := range methods {
		l := steepRun(t, method, 1)
		finish(t, l)
		s := &l.State
		if len(s.Retreats) == 0 || len(s.Retreats) > 3 {
			t.Fatalf("%s: retreats %+v", method, s.Retreats)
		}
		for i, r := range s.Retreats {
			if r.From <= r.To || r.To%goldenSteps != 0 || r.Epoch != r.To/goldenSteps+1 || r.Reason == "" {
				t.Errorf("%s: retreat %d: %+v", method, i, r)
			}
		}
		if got, want := l.Rate(s.Step-1), l.Schedule(s.Step-1)/math.Pow(2, float64(len(s.Retreats))); got != want {
			t.Errorf("%s: rate %v, want %v", method, got, want)
		}
		bold := steepRun(t, method, 1)
		bold.Retreats = 0
		finish(t, bold)
		last := func(l *Loop) float64 { return l.State.History[len(l.State.History)-1].Loss }
		if last(l) >= last(bold) {
			t.Errorf("%s: loss %v with retreats, %v without", method, last(l), last(bold))
		}
	}
}

// TestRetreatFromNotFinite: a loss that is not finite is a reason, too; and an error when the run may not retreat any more.
func TestRetreatFromNotFinite(t *testing.T) {
	for _, retreats := range []int{0, 2} {
		l := testRun(t, lora.MeLo, 1, goldenBatch)
		l.Retreats = retreats
		l.Schedule = Constant(math.MaxFloat32, 0)
		err := l.Run(t.Context())
		var unfit *NotFiniteError
		if !errors.As(err, &unfit) || len(l.State.Retreats) != retreats {
			t.Errorf("%v, retreats %+v", err, l.State.Retreats)
		}
	}
}

// TestRelationResumeWithRetreats: a run that retreats is stopped anywhere, and its resumption changes no bit.
func TestRelationResumeWithRetreats(t *testing.T) {
	for _, method := range methods {
		want := finish(t, steepRun(t, method, 2))
		total := 3 * goldenSteps
		for _, r := range want.State.Retreats {
			total += r.From - r.To
		}
		for stop := 1; stop <= total; stop += 5 {
			path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
			ctx, cancel := context.WithCancel(t.Context())
			l := steepRun(t, method, 2)
			done := 0
			l.Hooks = []Hook{
				{Step: func(*Loop) error {
					if done++; done == stop {
						cancel()
					}
					return nil
				}},
				Checkpoints(path, testIdentity, math.MaxInt64, func(err error) { t.Error(err) }),
			}
			if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: stop at %d of %d: %v", method, stop, total, err)
			}
			l = steepRun(t, method, 1)
			if err := l.Resume(path, testIdentity); err != nil {
				t.Fatal(err)
			}
			got := finish(t, l)
			got.State.Loss, got.State.Norm = want.State.Loss, want.State.Norm
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: stopped after %d steps: the result differs", method, stop)
			}
		}
	}
}

// TestReturnToStart: a run can go back to the parameters that it began with, resumed or not, whatever it kept.
func TestReturnToStart(t *testing.T) {
	for _, last := range []bool{false, true} {
		l := testRun(t, lora.MeLo, 1, goldenBatch)
		l.Returns, l.Last = true, last
		first := outcomeOf(l).Params
		path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
		l.Hooks = []Hook{Checkpoints(path, testIdentity, math.MaxInt64, func(err error) { t.Error(err) })}
		got := finish(t, l)
		if want := map[bool]Kept{false: KeptBest, true: KeptLast}[last]; got.State.Kept != want || reflect.DeepEqual(got.Params, first) {
			t.Errorf("last %v: kept %q", last, got.State.Kept)
		}
		if last && got.State.BestEpoch != 3 {
			t.Errorf("the last epoch is 3, kept %d", got.State.BestEpoch)
		}
		resumed := testRun(t, lora.MeLo, 1, goldenBatch)
		resumed.Returns, resumed.Last = true, last
		if err := resumed.Resume(path, testIdentity); err != nil {
			t.Fatal(err)
		}
		finish(t, resumed)
		for _, l := range []*Loop{l, resumed} {
			l.ReturnToStart()
			if got := outcomeOf(l); got.State.Kept != KeptStart || !reflect.DeepEqual(got.Params, first) {
				t.Errorf("last %v: kept %q, not the first parameters", last, got.State.Kept)
			}
		}
	}
}

// TestReturnToTop: a run that keeps its last epoch can go back to the one that validated best, resumed or not.
func TestReturnToTop(t *testing.T) {
	run := func() *Loop {
		l := testRun(t, lora.MeLo, 1, goldenBatch)
		l.Returns, l.Last = true, true
		l.Validate = func(context.Context) (Scores, error) {
			return Scores{AUC: []float64{0.7, 0.9, 0.8}[len(l.State.History)]}, nil
		}
		return l
	}
	path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
	l := run()
	l.Hooks = []Hook{{Name: "epoch 2", Epoch: func(l *Loop) error {
		if l.State.Epoch == 2 {
			return l.Save(path, testIdentity)
		}
		return nil
	}}}
	var second [][]float32
	l.Hooks = append(l.Hooks, Hook{Name: "copy", Epoch: func(l *Loop) error {
		if l.State.Epoch == 2 {
			second = outcomeOf(l).Params
		}
		return nil
	}})
	end := finish(t, l)
	resumed := run()
	if err := resumed.Resume(path, testIdentity); err != nil {
		t.Fatal(err)
	}
	finish(t, resumed)
	for name, l := range map[string]*Loop{"at once": l, "resumed": resumed} {
		if l.State.TopEpoch != 2 || l.State.BestEpoch != 3 {
			t.Errorf("%s: top epoch %d, kept %d, expected 2 and 3", name, l.State.TopEpoch, l.State.BestEpoch)
		}
		undo := l.ReturnToTop()
		if got := outcomeOf(l); got.State.Kept != KeptBest || got.State.BestEpoch != 2 || !reflect.DeepEqual(got.Params, second) {
			t.Errorf("%s: kept %q of epoch %d, not the parameters of epoch 2", name, got.State.Kept, got.State.BestEpoch)
		}
		undo()
		if got := outcomeOf(l); got.State.Kept != KeptLast || got.State.BestEpoch != 3 || !reflect.DeepEqual(got.Params, end.Params) {
			t.Errorf("%s: undone, kept %q of epoch %d, not the last parameters", name, got.State.Kept, got.State.BestEpoch)
		}
	}
}

// TestEarlyStoppingWaitsForTheRate: no run stops while its rate is high, however long validation has been worse.
func TestEarlyStoppingWaitsForTheRate(t *testing.T) {
	l := testRun(t, lora.LinearOnly, 1, goldenBatch)
	l.Epochs = 20
	l.Schedule = Cosine(1e-3, 0, 0, 20*goldenSteps)
	l.Validate = func(context.Context) (Scores, error) {
		return Scores{AUC: 1 / float64(1+len(l.State.History)), LogLoss: 1}, nil
	}
	l.Hooks = []Hook{EarlyStopping(2, 0.1)}
	s := finish(t, l).State
	if !s.Stopped || s.BestEpoch != 1 || l.Rate(s.Step) > 0.1e-3 || l.Rate(s.Step-goldenSteps) <= 0.1e-3 {
		t.Errorf("stopped after epoch %d, rate %v", s.Epoch, l.Rate(s.Step))
	}
}

func TestMeanError(t *testing.T) {
	if m, se := meanError([]float64{1, 2, 3, 6}); m != 3 || math.Abs(se-math.Sqrt(14.0/3/4)) > 1e-15 {
		t.Errorf("%v, %v", m, se)
	}
	if m, se := meanError(slices.Repeat([]float64{2}, 1)); m != 2 || se != 0 {
		t.Errorf("%v, %v", m, se)
	}
}
