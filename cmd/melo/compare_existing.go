package main

import (
	"cmp"
	"context"

	facade "melo.example/melo"

	"melo.example/melo/experiment"
	"melo.example/melo/report/lines"
)

// runExisting compares existing adapters, and answers of other programs, without training.
func (o *compareOptions) runExisting(ctx context.Context, s *stdio) error {
	base, err := facade.Open(o.Base, facade.Workers(o.Workers), facade.Batch(cmp.Or(o.Pass, experiment.UsualPass)), facade.Remember(cacheDir()), facade.ImageSize(o.ImageSize))
	if err != nil {
		return hintPrepare(err)
	}
	defer base.Close()
	w := s.watch(false)
	defer w.close()
	e := experiment.DefaultEvaluateOptions(o.Data)
	e.Split, e.Resamples, e.Workers, e.Reading = o.Split, o.Resamples, o.Workers, o.settings().Reading
	d, err := base.CompareExisting(ctx, o.Adapters, o.Answers, e, o.Margin/100, w.Event)
	if err != nil {
		return err
	}
	w.close()
	lines.Existing(s.lines(), d)
	s.notice()
	return s.document(d)
}
