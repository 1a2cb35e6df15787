package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/report/study"
)

// printComparison shows a comparison to people.
func printComparison(s *stdio, c *experiment.Comparison) {
	d := &c.ComparisonDocument
	if s.json {
		return
	}
	s.printf("%s on %s", filepath.Base(filepath.Clean(d.Base)), d.Data.Path)
	if d.Folds > 0 {
		s.printf("  every image is tested on by an adapter that has not seen it: %d images, %s", d.Data.Test, d.Data.Rule)
	} else {
		s.printf("  test split: %d images, %s; %s", d.Data.Test, d.Data.Rule, study.SeedsText(len(d.Seeds)))
	}
	of := fmt.Sprintf("%d images", d.Data.Test)
	if d.Bootstrap.Unit == "group" {
		of = fmt.Sprintf("%d groups", d.Bootstrap.Units)
	}
	s.printf("  intervals: 95 %%, over %s; ~ may miss that\n", of)
	s.printf("  method    trained numbers   of base       file  s/epoch  peak memory")
	for i := range d.Methods {
		m := &d.Methods[i]
		s.printf("  %-8s %16s %7.2f %% %10s %8.1f %12s", m.Method, text.Count(m.Params.Trained+m.Params.Head), 100*m.Params.WithHead(), text.Bytes(m.Bytes),
			m.SecondsPerEpoch, study.MemoryText(m.PeakMemory))
	}
	s.printf("\n  method      AUC  95 %%              sd  accuracy    ECE  uncalibrated")
	for i := range d.Methods {
		m := &d.Methods[i]
		s.printf("  %-8s  %s  %s%s %s     %s  %s         %s", m.Method, share(m.AUC), interval95(m.AUCInterval), marked("auc", m.Approximate), share(m.AUCDeviation), share(m.Accuracy),
			share(m.ECE), share(m.Uncalibrated.ECE))
	}
	if len(d.Differences) > 0 {
		s.printf("\n  difference         AUC  95 %%                  p  accuracy      p")
	}
	for i := range d.Differences {
		x := &d.Differences[i]
		s.printf("  %-15s %s  %s  %s    %s  %s", x.First+" - "+x.Second, study.Signed(x.AUC.Difference), signedRange(x.AUC.Interval), study.PText(x.AUC.P),
			study.Signed(x.Accuracy.Difference), study.PText(x.Accuracy.P))
	}
	for i := range d.Differences {
		printNotInferior(s, &d.Differences[i])
	}
	printFolds(s, d)
	over := "seeds"
	if d.Folds > 0 {
		over = "repeats"
	}
	s.printf("\n  trained numbers: with the head; sd: of the AUC over %s; p: of no difference", over)
	if len(d.Differences) > 0 && d.Differences[0].OverSeeds {
		s.printf("  over images and %s; not adjusted for the number of comparisons", over)
	} else {
		s.printf("  over images alone: one %s does not tell what another would give", strings.TrimSuffix(over, "s"))
	}
	s.printf("\nreport: %s", filepath.Join(d.Folder, experiment.ComparisonReport))
	s.notef("%s", notice)
}

// printFolds shows how the folds differ.
func printFolds(s *stdio, d *experiment.ComparisonDocument) {
	if d.Folds == 0 {
		return
	}
	s.printf("\n  over folds    AUC     sd  least  greatest")
	for i := range d.Methods {
		m := &d.Methods[i]
		f := m.PerFold
		s.printf("  %-8s    %s  %s  %s     %s", m.Method, share(f.Mean), share(f.Deviation), share(f.Least), share(f.Greatest))
	}
	for i := range d.Differences {
		x := &d.Differences[i]
		s.printf("  %-15s %s  %s  p %s (corrected for what folds share)", x.First+" - "+x.Second, study.Signed(x.PerFold.Difference),
			signedRange(x.PerFold.Interval), strings.TrimSpace(study.PText(x.PerFold.P)))
	}
}

// printNotInferior says whether the first method is at most a margin worse than the second.
func printNotInferior(s *stdio, x *experiment.Difference) {
	if x.NotInferior == nil {
		return
	}
	verdict := "not shown"
	if *x.NotInferior < 0.025 {
		verdict = "shown"
	}
	s.printf("  %-15s worse by under %.1f points of AUC: %s (p %s, at 0.025)", x.First+" - "+x.Second, 100*x.Margin, verdict, strings.TrimSpace(study.PText(x.NotInferior)))
}

// signedRange writes the interval of a difference in 16 columns.
func signedRange(v *[2]float64) string {
	if v == nil {
		return "-               "
	}
	return fmt.Sprintf("%+.3f to %+.3f", v[0], v[1])
}
