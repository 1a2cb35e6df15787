package lines

import (
	"fmt"
	"path/filepath"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/report/study"
)

// Comparison shows a comparison to people.
func Comparison(l Writer, c *experiment.Comparison) {
	d := &c.ComparisonDocument
	l.Printf("%s on %s", filepath.Base(filepath.Clean(d.Base)), d.Data.Path)
	if d.Folds > 0 {
		l.Printf("  every image is tested on by an adapter that has not seen it: %d images, %s", d.Data.Test, d.Data.Rule)
	} else {
		l.Printf("  test split: %d images, %s; %s", d.Data.Test, d.Data.Rule, study.SeedsText(len(d.Seeds)))
	}
	of := fmt.Sprintf("%d images", d.Data.Test)
	if d.Bootstrap.Unit == "group" {
		of = fmt.Sprintf("%d groups", d.Bootstrap.Units)
	}
	l.Printf("  intervals: 95 %%, over %s; ~ may miss that\n", of)
	l.Printf("  method   trainable parameters   of base       file  s/epoch  peak memory")
	for i := range d.Methods {
		m := &d.Methods[i]
		l.Printf("  %-8s %20s %7.2f %% %10s %8.1f %12s", m.Method, text.Count(m.Params.Trained+m.Params.Head), 100*m.Params.WithHead(), text.Bytes(m.Bytes),
			m.SecondsPerEpoch, study.MemoryText(m.PeakMemory))
	}
	l.Printf("\n  method      AUC  95 %%              sd  accuracy    ECE  uncalibrated")
	for i := range d.Methods {
		m := &d.Methods[i]
		l.Printf("  %-8s  %s  %s%s %s     %s  %s         %s", m.Method, share(m.AUC), interval95(m.AUCInterval), marked("auc", m.Approximate), share(m.AUCDeviation), share(m.Accuracy),
			share(m.ECE), share(m.Uncalibrated.ECE))
	}
	if len(d.Differences) > 0 {
		l.Printf("\n  difference         AUC  95 %%                  p  accuracy      p")
	}
	for i := range d.Differences {
		x := &d.Differences[i]
		l.Printf("  %-15s %s  %s  %s    %s  %s", x.First+" - "+x.Second, study.Signed(x.AUC.Difference), signedRange(x.AUC.Interval), study.PText(x.AUC.P),
			study.Signed(x.Accuracy.Difference), study.PText(x.Accuracy.P))
	}
	for i := range d.Differences {
		printNotInferior(l, &d.Differences[i])
	}
	printFolds(l, d)
	over := "seeds"
	if d.Folds > 0 {
		over = "repeats"
	}
	l.Printf("\n  trainable parameters: with the head; sd: of the AUC over %s", over)
	switch {
	case len(d.Differences) == 0:
	case d.Differences[0].OverSeeds:
		l.Printf("  p: of no difference, over images and %s; not adjusted for their number", over)
	default:
		l.Printf("  p: of no difference, over images alone: one %s does not tell about others", strings.TrimSuffix(over, "s"))
	}
	l.Printf("\nreport: %s", filepath.Join(d.Folder, experiment.ComparisonReport))
}

// printFolds shows how the folds differ.
func printFolds(l Writer, d *experiment.ComparisonDocument) {
	if d.Folds == 0 {
		return
	}
	l.Printf("\n  over folds    AUC     sd  least  greatest")
	for i := range d.Methods {
		m := &d.Methods[i]
		f := m.PerFold
		l.Printf("  %-8s    %s  %s  %s     %s", m.Method, share(f.Mean), share(f.Deviation), share(f.Least), share(f.Greatest))
	}
	for i := range d.Differences {
		x := &d.Differences[i]
		l.Printf("  %-15s %s  %s  p %s (corrected for what folds share)", x.First+" - "+x.Second, study.Signed(x.PerFold.Difference),
			signedRange(x.PerFold.Interval), strings.TrimSpace(study.PText(x.PerFold.P)))
	}
}

// printNotInferior says whether the first method is at most a margin worse than the second.
func printNotInferior(l Writer, x *experiment.Difference) {
	if x.NotInferior == nil {
		return
	}
	verdict := "not shown"
	if *x.NotInferior < 0.025 {
		verdict = "shown"
	}
	l.Printf("  %-15s under %.1f points of AUC worse: %s (p %s, at 0.025)", x.First+" - "+x.Second, 100*x.Margin, verdict, strings.TrimSpace(study.PText(x.NotInferior)))
}

// Existing shows such a comparison to people.
func Existing(l Writer, d *experiment.ExistingDocument) {
	l.Printf("%s, %s: %d images", d.Data.Path, d.Data.Split, d.Answers[0].N)
	l.Printf("\n  answers                   AUC  95 %%            accuracy    ECE")
	for i := range d.Answers {
		a := &d.Answers[i]
		l.Printf("  %s  %s  %s%s    %s  %s", cut(filepath.Base(a.Name), nameWidth, false), share(a.AUC), interval95(a.AUCInterval), marked("auc", a.Approximate), share(a.Accuracy), share(a.ECE))
	}
	l.Printf("\n  first less                AUC  95 %%                  p  accuracy      p")
	for i := range d.Differences {
		x := &d.Differences[i]
		l.Printf("  %s %s  %s  %s    %s  %s", cut(filepath.Base(x.Second), nameWidth, false), study.Signed(x.AUC.Difference), signedRange(x.AUC.Interval), study.PText(x.AUC.P),
			study.Signed(x.Accuracy.Difference), study.PText(x.Accuracy.P))
	}
	for i := range d.Differences {
		x := d.Differences[i]
		x.First, x.Second = "first", fmt.Sprint(i+2)
		printNotInferior(l, &x)
	}
	l.Printf("\n  p: paired bootstrap over %ss; of these weights: training again may differ", d.Bootstrap.Unit)
}

// Shots shows the curves to people, as a table.
func Shots(l Writer, d *experiment.ShotsDocument) {
	first := &d.Results[0].Comparison
	l.Printf("%s on %s", filepath.Base(filepath.Clean(d.Base)), first.Data.Path)
	if first.Folds > 0 {
		l.Printf("  tested on %d images, %s, each on training images of its own", first.Data.Test, first.Data.Rule)
	} else {
		l.Printf("  test split: %d images; %s, each with training images of its own", first.Data.Test, study.SeedsText(len(first.Seeds)))
	}
	l.Printf("  intervals: 95 %%, over the test images; ~ may miss that\n")
	l.Printf("  of each label  train  method      AUC  95 %%              sd  accuracy")
	for _, r := range d.Results {
		for i := range r.Comparison.Methods {
			m := &r.Comparison.Methods[i]
			l.Printf("  %13d %6d  %-8s  %s  %s%s %s     %s", r.Shots, r.Comparison.Data.Train, m.Method, share(m.AUC), interval95(m.AUCInterval), marked("auc", m.Approximate),
				share(m.AUCDeviation), share(m.Accuracy))
		}
	}
	l.Printf("\n  sd: of the AUC over seeds. Differences are in the report of each number of images.")
	l.Printf("\nreport: %s", filepath.Join(d.Folder, experiment.ComparisonReport))
}
