package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/report/study"
)

// runShots compares on few images, once for each number of them.
func (o *compareOptions) runShots(ctx context.Context, s *stdio) error {
	w := s.watch(true)
	defer w.close()
	set, base, err := openInputs(ctx, s, w, o.Base, o.Data, &o.trainSettings)
	if err != nil {
		return err
	}
	defer base.Close()
	defer set.close(s)
	e := o.options()
	e.Command = s.args
	for _, folder := range e.ShotsFolders(o.Shots) {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return fmt.Errorf("folder for the comparison: %w", err)
		}
		if err := atomicfile.TryFolder(folder); err != nil {
			return err
		}
	}
	d, err := experiment.CompareShots(ctx, e, o.Shots, base, set.Set, w.event)
	if err == nil {
		err = writeShots(ctx, d, s.sameCommand("--restart"), o.Pictures)
	}
	if err != nil {
		return o.unfinished(s, d != nil, hintPrepare(err))
	}
	w.close()
	printShots(s, d)
	return s.document(d)
}

// writeShots leaves the results of all comparisons in their folders, and the curves over them beside these.
func writeShots(ctx context.Context, d *experiment.ShotsDocument, command string, pictures int) error {
	for _, c := range d.Comparisons() {
		if err := writeComparison(ctx, c, command, pictures); err != nil {
			return err
		}
	}
	if err := writePage(filepath.Join(d.Folder, experiment.ComparisonReport), study.Shots(d, command)); err != nil {
		return err
	}
	return d.Write()
}

// printShots shows the curves to people, as a table.
func printShots(s *stdio, d *experiment.ShotsDocument) {
	if s.json {
		return
	}
	first := &d.Results[0].Comparison
	s.printf("%s on %s", filepath.Base(filepath.Clean(d.Base)), first.Data.Path)
	s.printf("  test split: %d images; %s, each with images of its own", first.Data.Test, study.SeedsText(len(first.Seeds)))
	s.printf("  intervals: 95 %%, over the test images; ~ may miss that\n")
	s.printf("  of each label  train  method      AUC  95 %%              sd  accuracy")
	for _, r := range d.Results {
		for i := range r.Comparison.Methods {
			m := &r.Comparison.Methods[i]
			s.printf("  %13d %6d  %-8s  %s  %s%s %s     %s", r.Shots, r.Comparison.Data.Train, m.Method, share(m.AUC), interval95(m.AUCInterval), marked("auc", m.Approximate),
				share(m.AUCDeviation), share(m.Accuracy))
		}
	}
	s.printf("\n  sd: of the AUC over seeds. Differences are in the report of each number of images.")
	s.printf("\nreport: %s", filepath.Join(d.Folder, experiment.ComparisonReport))
	s.notef("%s", notice)
}
