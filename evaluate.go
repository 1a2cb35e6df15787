package melo

import (
	"context"

	"melo.example/melo/experiment"
	"melo.example/melo/imaging"
)

// Evaluate measures an adapter on labelled images; nil is the base's own head. Close the evaluation when done.
func (b *Base) Evaluate(ctx context.Context, a *Adapter, o experiment.EvaluateOptions, hook experiment.Hook) (*experiment.Evaluation, error) {
	a, err := b.orOwnHead(a)
	if err != nil {
		return nil, err
	}
	return experiment.Evaluate(ctx, attached{a, b}, &o, hook)
}

// attached is an adapter on its base: what experiments ask.
type attached struct {
	*Adapter
	base *Base
}

func (a attached) BasePath() string { return a.base.Path() }

func (a attached) PredictEach(ctx context.Context, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
	use func(i int, p Prediction, err error) error) error {
	return a.base.PredictEach(ctx, a.Adapter, n, image, use)
}

// opened is a base that a comparison attaches its adapters to.
type opened struct{ *Base }

func (o opened) Attach(path string) (experiment.Predictor, error) {
	a, err := o.Adapter(path)
	if err != nil {
		return nil, err
	}
	return attached{a, o.Base}, nil
}

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
