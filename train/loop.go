// Package train fits a model to labelled images.
//
// Suggested reading order: [Loop] is the training loop, [AdamW] the optimizer, [Cosine] the schedule, [Loss]
// what is minimised, [Average] an average of the parameters that may be kept instead of the last ones,
// [Evaluator] the validation, [Hook] an extension of the loop, and [Identity] what a checkpoint belongs to. The
// result of a run depends only on its configuration, data, seed and class of machine, but not on the number of
// workers, the size of passes, or interruptions.
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
	// Params returns the trainable parameters with their gradients, in a fixed order.
	Params() []compute.Param
	// Classes is the number of logits per image, MaxBatch the maximum number of images per pass.
	Classes() int
	MaxBatch() int
	// SetStep announces the optimizer step, and the index in its batch of the first image of the next pass.
	SetStep(step, image int)
	// Forward returns the logits [n*Classes] of n images. They are valid until the next call.
	Forward(images []float32, n int, training bool) []float32
	// Backward accumulates parameter gradients, given dlogits for the last Forward.
	Backward(dlogits []float32)
	// Updated is called after each change of the parameters.
	Updated()
}

// Data yields the batches of an epoch, starting at a given one. The batches of an epoch are always the same.
// *dataset.Loader is one.
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
	Validate  func(context.Context) (Scores, error) // called after each epoch; nil: no validation
	Average   *Average                              // validated and kept instead of the parameters; nil: none
	// Last keeps the last epoch instead of the best one, for runs with too few validation samples to choose
	// (see CanChoose).
	Last bool
	// Returns keeps copies of the initial parameters for ReturnToStart and, with Last, of those of the epoch with the
	// best validation for ReturnToTop.
	Returns bool
	// Retreats is the number of times that the run may return to the start of an epoch and halve its learning
	// rates, after a loss or gradient that is not finite, or an epoch with a rising loss.
	Retreats int
	// Blind is the loss of the best constant prediction. A run whose first epoch has a higher loss has
	// diverged. 0: unknown.
	Blind float64
	Hooks []Hook
	State State

	start   [][]float32 // the initial parameters, with Returns
	best    [][]float32 // parameters of State.BestEpoch or, with Last, of State.TopEpoch
	mark    *mark       // state at the start of the epoch, with Retreats
	dlogits []float32
	losses  []float64
}

// Run trains until all epochs are done or a hook stops it. The parameters are then those of the best epoch or,
// with Last or without validation, of the last one (or their average); State.Kept says which. When ctx is
// cancelled it calls the hooks' Interrupted and returns an *InterruptedError.
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

// epoch trains on the remaining batches of the epoch.
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

// Rate returns the learning rate of a step, counted from 0: that of the schedule, halved for each retreat to
// that step or an earlier one.
func (l *Loop) Rate(step int) float64 {
	rate := l.Schedule(step)
	for _, r := range l.State.Retreats {
		if r.To <= step {
			rate /= 2
		}
	}
	return rate
}

// Averaged calls f with the average in place of the parameters, if there is one.
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

// step updates the parameters with one batch, in as many passes as necessary.
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

// endEpoch validates and completes the epoch's record.
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

// validate evaluates the parameters, and keeps them if they are the best so far.
func (l *Loop) validate(ctx context.Context, e *Epoch) error {
	s := &l.State
	var err error
	if e.Val, err = l.Validate(ctx); err != nil {
		return err
	}
	if l.Last {
		s.BestEpoch, s.Best = e.Epoch, e.Val
		if l.Returns && (s.TopEpoch == 0 || e.Val.Better(s.Top)) {
			s.TopEpoch, s.Top = e.Epoch, e.Val
			l.keepBest()
		}
		return nil
	}
	if s.BestEpoch == 0 || e.Val.Better(s.Best) {
		s.BestEpoch, s.Best = e.Epoch, e.Val
		l.keepBest()
	}
	return nil
}

// interrupted calls the hooks if the context was cancelled.
func (l *Loop) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if err := l.each(Hook.interrupted); err != nil {
		return err
	}
	return &InterruptedError{l.State.Epoch + 1, l.State.Step, ctx.Err()}
}

// part returns the targets of n images, starting at image i.
func (t Targets) part(i, n, classes int) Targets {
	return Targets{t.Label[i : i+n], t.Present[i*classes : (i+n)*classes]}
}

func grow[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}

// InterruptedError reports that a run was cancelled, after its hooks were called.
type InterruptedError struct {
	Epoch int   // epoch in progress, counted from 1
	Step  int   // completed steps
	Err   error // error of the context
}

// Error says how far the run got.
func (e *InterruptedError) Error() string {
	return fmt.Sprintf("train: interrupted in epoch %d, after step %d", e.Epoch, e.Step)
}

// Unwrap returns the context's error.
func (e *InterruptedError) Unwrap() error { return e.Err }

// DataError reports that images could not be loaded.
type DataError struct{ Err error }

// Error returns the message of Err, which names the file if one is at fault.
func (e *DataError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DataError) Unwrap() error { return e.Err }

// NotFiniteError reports that a loss or gradient is not finite. The parameters are those before the step.
type NotFiniteError struct {
	Step int // counted from 0
	What string
}

// Error names the step, counted from 1.
func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("train: step %d: %s: a smaller learning rate may help", e.Step+1, e.What)
}
