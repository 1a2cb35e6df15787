package main

import (
	"context"
	"fmt"
	"path/filepath"

	facade "melo.example/melo"

	"melo.example/melo/experiment"
	"melo.example/melo/report/study"
)

// runExisting compares adapters that are there, and answers of other programs, without any training.
func (o *compareOptions) runExisting(ctx context.Context, s *stdio) error {
	base, err := facade.Open(o.Base, facade.Workers(o.Workers), facade.Batch(o.Pass), facade.Remember(cacheDir()), facade.ImageSize(o.ImageSize))
	if err != nil {
		return hintPrepare(err)
	}
	defer base.Close()
	w := s.watch(false)
	defer w.close()
	e := experiment.DefaultEvaluateOptions(o.Data)
	e.Split, e.Resamples, e.Workers, e.Reading = o.Split, o.Resamples, o.Workers, o.settings().Reading
	d, err := base.CompareExisting(ctx, o.Adapters, o.Answers, e, o.Margin/100, w.event)
	if err != nil {
		return err
	}
	w.close()
	printExisting(s, d)
	return s.document(d)
}

// printExisting shows such a comparison to people.
func printExisting(s *stdio, d *experiment.ExistingDocument) {
	if s.json {
		return
	}
	s.printf("%s, %s: %d images", d.Data.Path, d.Data.Split, d.Answers[0].N)
	s.printf("\n  answers                   AUC  95 %%            accuracy    ECE")
	for i := range d.Answers {
		a := &d.Answers[i]
		s.printf("  %s  %s  %s%s    %s  %s", cut(filepath.Base(a.Name), nameWidth, false), share(a.AUC), interval95(a.AUCInterval), marked("auc", a.Approximate), share(a.Accuracy), share(a.ECE))
	}
	s.printf("\n  first less                AUC  95 %%                  p  accuracy      p")
	for i := range d.Differences {
		x := &d.Differences[i]
		s.printf("  %s %s  %s  %s    %s  %s", cut(filepath.Base(x.Second), nameWidth, false), study.Signed(x.AUC.Difference), signedRange(x.AUC.Interval), study.PText(x.AUC.P),
			study.Signed(x.Accuracy.Difference), study.PText(x.Accuracy.P))
	}
	for i := range d.Differences {
		x := d.Differences[i]
		x.First, x.Second = "first", fmt.Sprint(i+2)
		printNotInferior(s, &x)
	}
	s.printf("\n  p: paired bootstrap over %ss; of these weights: training again may differ", d.Bootstrap.Unit)
	s.notef("%s", notice)
}
