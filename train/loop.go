// Package train fits a model to labelled images.
//
// Read it from the top: [Loop] is the loop, [AdamW] the optimizer, [Cosine] the schedule, [Loss] what is
// minimised, [Average] what may be kept in the place of the last parameters, [Evaluator] the validation, [Hook]
// everything that a loop may have besides, and [Identity] what a checkpoint belongs to. A run depends on its configuration, data, seed and class of machine alone: not on
// workers, on the size of passes, or on whether it was stopped and resumed.
package train

import (
	"context"
	"fmt"
	"iter"
	"math"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
)

// Model is what a Loop trains; *lora.Tuner is one.
type Model interface {
	// Params returns what is trained, with gradients, in a fixed order.
	Params() []compute.Param
	// Classes is the number of logits of an image, MaxBatch the most images of a pass.
	Classes() int
	MaxBatch() int
	// SetStep says which step is computed and which image of its batch comes first in the next pass.
	SetStep(step, image int)
	// Forward returns the logits [n*Classes] of n images; valid until the next call.
	Forward(images []float32, n int, training bool) []float32
	// Backward adds the gradients for dlogits of the last Forward to those of the parameters.
	Backward(dlogits []float32)
	// Updated is called after the parameters have changed.
	Updated()
}

// Data yields the batches of an epoch, from a number on, always the same ones; *dataset.Loader is one.
type Data interface {
	Batches() int
	EpochFrom(ctx context.Context, epoch, from int) iter.Seq2[*dataset.Batch, error]
}

// Loop is the training loop. Set the fields, then call Run.
type Loop struct {
	Model     Model
	Data      Data
	Loss      Loss
	Optimizer *AdamW
	Schedule  Schedule
	Epochs    int
	Validate  func(context.Context) (Scores, error) // after each epoch; nil: never
	Average   *Average                              // is validated and kept in the place of the parameters; nil: none
	// Last keeps the last epoch instead of the best one: where validation is too small to choose by (see CanChoose).
	Last bool
	// Returns says that the run keeps its first parameters, too, for ReturnToStart.
	Returns bool
	// Retreats is how often the run may go back to the begin of an epoch and halve its rates: when a loss or gradient is
	// not finite, or the loss of an epoch has risen.
	Retreats int
	// Blind is the loss of an answer that is the same for every image: a run whose first epoch has a higher one has
	// diverged. 0: unknown.
	Blind float64
	Hooks []Hook
	State State

	start   [][]float32 // the first parameters, with Returns
	best    [][]float32 // parameters of State.BestEpoch
	mark    *mark       // of the epoch's begin, with Retreats
	dlogits []float32
	losses  []float64
}

// Run trains until the epochs are over or a hook stops it; the parameters are then those of the best epoch or,
// with Last or without validation, of the last (or their average). State.Kept says which.
// When ctx is done it calls the hooks' Interrupted and returns an *InterruptedError.
func (l *Loop) Run(ctx context.Context) error {
	s := &l.State
	l.keepStart()
	for s.Epoch < l.Epochs && !s.Stopped {
		l.setMark()
		if err := l.epoch(ctx); err != nil {
			if l.retreat(err) {
				continue
			}
			return err
		}
		if err := l.risen(); err != nil && l.retreat(err) {
			continue
		}
		if err := l.endEpoch(ctx); err != nil {
			return l.interrupted(ctx, err)
		}
		if err := l.each(Hook.epoch); err != nil {
			return err
		}
	}
	l.keep()
	return nil
}

// epoch trains on the batches that are left of the epoch.
func (l *Loop) epoch(ctx context.Context) error {
	for batch, err := range l.Data.EpochFrom(ctx, l.State.Epoch, l.State.Batch) {
		if err != nil {
			return l.interrupted(ctx, &DataError{err})
		}
		if err := l.step(batch); err != nil {
			return err
		}
		if err := l.each(Hook.step); err != nil {
			return err
		}
	}
	return nil
}

// Rate is the rate of a step, counted from 0: that of the schedule, halved by each retreat to it or before it.
func (l *Loop) Rate(step int) float64 {
	rate := l.Schedule(step)
	for _, r := range l.State.Retreats {
		if r.To <= step {
			rate /= 2
		}
	}
	return rate
}

// Averaged calls f while the parameters are the average, if there is one.
func (l *Loop) Averaged(f func() error) error {
	if l.Average == nil {
		return f()
	}
	swap := func() {
		l.Average.swap()
		l.Model.Updated()
	}
	swap()
	defer swap()
	return f()
}

// step updates the parameters by one batch, in as many passes as it takes.
func (l *Loop) step(b *dataset.Batch) error {
	s, k, pass := &l.State, l.Model.Classes(), l.Model.MaxBatch()
	values := len(b.Images) / b.N
	targets := Targets{b.Labels, b.Targets}
	weight := l.Loss.Weight(targets)
	loss := 0.0
	for i := 0; i < b.N; i += pass {
		n := min(pass, b.N-i)
		losses, dlogits := grow(&l.losses, n), grow(&l.dlogits, n*k)
		l.Model.SetStep(s.Step, i)
		logits := l.Model.Forward(b.Images[i*values:(i+n)*values], n, true)
		l.Loss.Backward(losses, dlogits, logits, targets.part(i, n, k), weight)
		for _, v := range losses {
			loss += v
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return &NotFiniteError{s.Step, "the loss is not finite"}
		}
		l.Model.Backward(dlogits)
	}
	norm, err := l.Optimizer.Step(l.Rate(s.Step))
	if err != nil {
		return &NotFiniteError{s.Step, err.Error()}
	}
	l.Model.Updated()
	s.Step, s.Batch = s.Step+1, b.Number+1
	if l.Average != nil {
		l.Average.add(s.Step)
	}
	s.LossSum, s.Images, s.Losses = s.LossSum+loss*float64(b.N), s.Images+b.N, append(s.Losses, loss)
	s.Loss, s.Norm = loss, norm
	return nil
}

// endEpoch validates and closes the epoch's record.
func (l *Loop) endEpoch(ctx context.Context) error {
	s := &l.State
	e := Epoch{Epoch: s.Epoch + 1, Step: s.Step, LR: l.Rate(max(s.Step-1, 0))}
	if s.Images > 0 {
		e.Loss = s.LossSum / float64(s.Images)
		_, e.LossError = meanError(s.Losses)
	}
	if l.Validate != nil {
		if err := l.Averaged(func() error { return l.validate(ctx, &e) }); err != nil {
			return err
		}
	}
	s.History = append(s.History, e)
	s.Epoch++
	s.beginEpoch()
	return nil
}

// validate measures the parameters, and keeps them if they are the best so far.
func (l *Loop) validate(ctx context.Context, e *Epoch) error {
	s := &l.State
	var err error
	if e.Val, err = l.Validate(ctx); err != nil {
		return err
	}
	if l.Last || s.BestEpoch == 0 || e.Val.Better(s.Best) {
		s.BestEpoch, s.Best = e.Epoch, e.Val
		if !l.Last {
			l.keepBest()
		}
	}
	return nil
}

// interrupted lets the hooks save if the context was the reason.
func (l *Loop) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if err := l.each(Hook.interrupted); err != nil {
		return err
	}
	return &InterruptedError{l.State.Epoch + 1, l.State.Step, ctx.Err()}
}

// part returns the targets of n images from number i on.
func (t Targets) part(i, n, classes int) Targets {
	return Targets{t.Label[i : i+n], t.Present[i*classes : (i+n)*classes]}
}

func grow[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}

// InterruptedError says that a run was stopped from outside, after the hooks had their say.
type InterruptedError struct {
	Epoch int   // in which it was, counted from 1
	Step  int   // steps done
	Err   error // of the context
}

// Error says how far the run was.
func (e *InterruptedError) Error() string {
	return fmt.Sprintf("train: interrupted in epoch %d, after step %d", e.Epoch, e.Step)
}

// Unwrap returns the context's error.
func (e *InterruptedError) Unwrap() error { return e.Err }

// DataError says that images could not be loaded.
type DataError struct{ Err error }

// Error is that of Err, which names the file where one is to blame.
func (e *DataError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DataError) Unwrap() error { return e.Err }

// NotFiniteError says that a loss or gradient was not a finite number. The parameters are those before the
// step.
type NotFiniteError struct {
	Step int // counted from 0
	What string
}

// Error names the step, counted from 1.
func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("train: step %d: %s: a smaller learning rate may help", e.Step+1, e.What)
}
