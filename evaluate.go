package melo

import (
	"context"

	"melo.example/melo/experiment"
	"melo.example/melo/imaging"
)

// Evaluate evaluates an adapter on labelled images, with confidence intervals. A nil adapter means the base's
// own head. The caller closes the evaluation.
func (b *Base) Evaluate(ctx context.Context, a *Adapter, data Data) (*experiment.Evaluation, error) {
	if err := data.check(); err != nil {
		return nil, err
	}
	return b.EvaluateWith(ctx, a, data.evaluateOptions(0), nil)
}

// EvaluateWith is like Evaluate with all options. hook receives events; it may be nil.
func (b *Base) EvaluateWith(ctx context.Context, a *Adapter, o experiment.EvaluateOptions, hook experiment.Hook) (*experiment.Evaluation, error) {
	a, err := b.attached(a)
	if err != nil {
		return nil, err
	}
	return experiment.Evaluate(ctx, predictor{a, b}, &o, hook)
}

// CompareExisting evaluates adapters and other programs' answers on the same images. tables are CSV files with
// the columns path and probability:LABEL for each label. The first adapter is compared with each of the others;
// margin is the margin of non-inferiority in AUC (0 means 0.01). hook may be nil.
func (b *Base) CompareExisting(ctx context.Context, adapters, tables []string, o experiment.EvaluateOptions, margin float64,
	hook experiment.Hook) (*experiment.ExistingDocument, error) {
	return experiment.CompareExisting(ctx, adapters, tables, shared{b}.Attach, &o, margin, hook)
}

// predictor implements the adapter interface of package experiment.
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

// opened is a base to which a comparison attaches adapters, and which it closes.
type opened struct{ *Base }

func (o opened) Attach(path string) (experiment.Predictor, error) { return shared{o.Base}.Attach(path) }

// shared is a base that a comparison uses without closing it.
type shared struct{ base *Base }

// Attach reads an adapter.
func (s shared) Attach(path string) (experiment.Predictor, error) {
	a, err := s.base.Adapter(path)
	if err != nil {
		return nil, err
	}
	return predictor{a, s.base}, nil
}

// Close does nothing: the owner closes the base.
func (s shared) Close() error { return nil }

// Opener returns a function with which a comparison opens a base for testing.
func Opener(path string, options ...Option) func() (experiment.Opened, error) {
	return func() (experiment.Opened, error) {
		b, err := Open(path, options...)
		if err != nil {
			return nil, err
		}
		return opened{b}, nil
	}
}
