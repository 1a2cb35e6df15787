package melo

import (
	"context"

	"melo.example/melo/experiment"
	"melo.example/melo/imaging"
)

// Evaluate measures an adapter on labelled images, with intervals; nil is the base's own head. Close the evaluation when done.
func (b *Base) Evaluate(ctx context.Context, a *Adapter, data Data) (*experiment.Evaluation, error) {
	if err := data.check(); err != nil {
		return nil, err
	}
	return b.EvaluateWith(ctx, a, data.evaluateOptions(0), nil)
}

// EvaluateWith is Evaluate with everything that there is to choose. The hook is told what happens; it may be nil.
func (b *Base) EvaluateWith(ctx context.Context, a *Adapter, o experiment.EvaluateOptions, hook experiment.Hook) (*experiment.Evaluation, error) {
	a, err := b.attached(a)
	if err != nil {
		return nil, err
	}
	return experiment.Evaluate(ctx, predictor{a, b}, &o, hook)
}

// CompareExisting measures adapters on the same images, and beside them tables of answers of other programs (CSV: path, and
// probability:LABEL for each label). The first adapter is compared with each of the others; margin is that of non-inferiority,
// in AUC (0: one point). The hook may be nil.
func (b *Base) CompareExisting(ctx context.Context, adapters, tables []string, o experiment.EvaluateOptions, margin float64,
	hook experiment.Hook) (*experiment.ExistingDocument, error) {
	return experiment.CompareExisting(ctx, adapters, tables, shared{b}.Attach, &o, margin, hook)
}

// predictor is an adapter on its base: what experiments ask.
type predictor struct {
	*Adapter
	base *Base
}

func (p predictor) BasePath() string { return p.base.Path() }

func (p predictor) Precision() string { return p.base.Model().Precision.String() }

func (p predictor) PredictEach(ctx context.Context, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, p Prediction, err error) error) error {
	return p.base.predictEach(ctx, p.Adapter, n, image, use)
}

// opened is a base that a comparison attaches its adapters to, and closes.
type opened struct{ *Base }

func (o opened) Attach(path string) (experiment.Predictor, error) { return shared{o.Base}.Attach(path) }

// shared is a base that somebody else closes.
type shared struct{ base *Base }

// Attach reads an adapter.
func (s shared) Attach(path string) (experiment.Predictor, error) {
	a, err := s.base.Adapter(path)
	if err != nil {
		return nil, err
	}
	return predictor{a, s.base}, nil
}

// Close leaves the base open.
func (s shared) Close() error { return nil }

// Opener returns how a comparison opens a base for testing.
func Opener(path string, options ...Option) func() (experiment.Opened, error) {
	return func() (experiment.Opened, error) {
		b, err := Open(path, options...)
		if err != nil {
			return nil, err
		}
		return opened{b}, nil
	}
}
