package lines

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"melo.example/melo/experiment"
)

// evalPrinter prints the parts of an evaluation.
type evalPrinter struct {
	doc *experiment.EvaluationDocument
	l   Writer
}

// Evaluation shows an evaluation to people.
func Evaluation(l Writer, d *experiment.EvaluationDocument) {
	j := evalPrinter{d, l}
	l.Printf("%s on %s", filepath.Base(d.Adapter.Path), d.Data.Path)
	rule := ""
	if d.Data.Rule != "" && d.Data.Split != "all" {
		rule = ", split " + d.Data.Rule
	}
	l.Printf("  %s: %d images%s", d.Data.Split, d.N, rule)
	of := fmt.Sprintf("%d images", d.N)
	if d.Bootstrap.Unit == "group" {
		of = fmt.Sprintf("%d groups", d.Bootstrap.Units)
	}
	l.Printf("  intervals: 95 %%, over %s; ~ may miss that", of)
	l.Printf("")
	j.printNumbers()
	j.printLabels()
	j.printUtility()
	j.printConfusion()
	j.printFit()
	j.printSets()
	j.printSubgroups()
	if d.Predictions != "" {
		l.Printf("\npredictions: %s", d.Predictions)
	}
	if d.Report != "" {
		l.Printf("report: %s", d.Report)
	}
}

func (j evalPrinter) printNumbers() {
	d := j.doc
	line := func(name, key string, v *float64, ci *[2]float64, remark string) {
		j.l.Printf("%s", strings.TrimRight(fmt.Sprintf("  %s %s  %s%s %s", cut(name, nameWidth, false), share(v), interval95(ci), marked(key, d.Approximate), remark), " "))
	}
	macro := ""
	if len(d.Labels) > 1 {
		macro = "mean over labels"
	}
	line("AUC", "auc", d.AUC, d.AUCInterval, macro)
	line("accuracy", "accuracy", d.Accuracy, d.AccuracyInterval, "")
	line("balanced accuracy", "balanced_accuracy", d.Balanced, d.BalancedInterval, "")
	line("F1", "f1", d.F1, d.F1Interval, macro)
	c := &d.Calibration
	if len(c.Temperatures) == 0 {
		line("calibration error", "ece", d.ECE, d.ECEInterval, "ECE, not calibrated")
		line("Brier score", "brier", d.Brier, d.BrierInterval, "")
		return
	}
	line("calibration error", "ece", d.ECE, d.ECEInterval, "ECE, calibrated")
	line("  uncalibrated", "ece", c.Uncalibrated.ECE, c.Uncalibrated.ECEInterval, "")
	line("Brier score", "brier", d.Brier, d.BrierInterval, "calibrated")
	line("  uncalibrated", "brier", c.Uncalibrated.Brier, c.Uncalibrated.BrierInterval, "")
}

func (j evalPrinter) printLabels() {
	d := j.doc
	j.l.Printf("\n  %s     n    AUC  95 %%            threshold  sens.  spec.", cut("label", nameWidth, false))
	for l := range d.PerLabel {
		x, t := &d.PerLabel[l], &d.Thresholds[l]
		j.l.Printf("  %s %5d  %s  %s%s %9s  %s  %s", cut(x.Label, nameWidth, false), x.Positives, share(x.AUC), interval95(x.AUCInterval), marked("auc", x.Approximate),
			thresholdText(&d.Decision, t), share(x.Sensitivity), share(x.Specificity))
	}
	j.l.Printf("  sens., spec.: sensitivity and specificity of the decisions that accuracy and")
	j.l.Printf("  the table of counts below are of, too")
	j.wrapped("decided for: " + d.Decision.Text)
	for _, a := range d.Decision.Alternatives {
		last := a.PerLabel[len(a.PerLabel)-1]
		j.wrapped(fmt.Sprintf("by %s: accuracy %s, balanced %s; %s: sensitivity %s, specificity %s", a.Text, share(a.Accuracy), share(a.Balanced), last.Label,
			share(last.Sensitivity), share(last.Specificity)))
	}
}

// wrapped prints a sentence in lines of at most 78 columns.
func (j evalPrinter) wrapped(sentence string) {
	line := " "
	for _, word := range strings.Fields(sentence) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 78 && line != " " {
			j.l.Printf("%s", line)
			line = " "
		}
		line += " " + word
	}
	j.l.Printf("%s", line)
}

// printUtility prints calibration, agreement and predictive values of the labels.
func (j evalPrinter) printUtility() {
	j.l.Printf("\n  %s slope  in large    MCC  kappa    PPV    NPV  at share", cut("label", nameWidth, false))
	signed := func(v *float64) string {
		if v == nil {
			return "       -"
		}
		return fmt.Sprintf("%+8.3f", *v)
	}
	for i := range j.doc.Utility {
		u := &j.doc.Utility[i]
		j.l.Printf("  %s %s  %s  %s  %s  %s  %s     %.3f", cut(u.Label, nameWidth, false), share(u.Slope), signed(u.InTheLarge), share(u.MCC), share(u.Kappa),
			share(u.PPV), share(u.NPV), u.Prevalence)
	}
	for _, g := range j.doc.Gaps {
		if g.Worst && g.Difference != nil {
			j.wrapped(fmt.Sprintf("lowest AUC of %s: %s, %+.3f against everybody else (%+.3f to %+.3f)", g.Column, cmp.Or(g.Value, "(empty)"), *g.Difference, g.Interval[0], g.Interval[1]))
		}
	}
}

// thresholdText writes the threshold that decides about a label in five columns, if there is one.
func thresholdText(d *experiment.Decision, t *experiment.Threshold) string {
	if d.Rule == experiment.MostProbable {
		return "    -"
	}
	return fmt.Sprintf("%.3f", t.Threshold)
}

// maxShownClasses is how many columns of counts fit.
const maxShownClasses = 8

func (j evalPrinter) printConfusion() {
	d := j.doc
	if d.Confusion.Counts == nil || len(d.Labels) > maxShownClasses {
		return
	}
	width := min(10, (78-nameWidth)/len(d.Labels)-1)
	line := "  " + cut("true \\ decided", nameWidth, false)
	for _, name := range d.Labels {
		line += " " + cut(name, width, true)
	}
	j.l.Printf("\n%s", line)
	for l, row := range d.Confusion.Counts {
		line = "  " + cut(d.Labels[l], nameWidth, false)
		for _, n := range row {
			line += fmt.Sprintf(" %*d", width, n)
		}
		j.l.Printf("%s", line)
	}
}

// printFit tells how many images are unlike those of the training, and what the others come to.
func (j evalPrinter) printFit() {
	f := j.doc.Fit
	if f == nil {
		j.l.Printf("\n  whether these are like the training images is not known")
		return
	}
	j.l.Printf("\n  unlike the training images: %d of %d (%.1f %%, chosen for %.1f %%)", f.Unlike, j.doc.N, 100*f.Share, 100*f.Refusal)
	if f.Like != nil {
		j.l.Printf("  without them: AUC %s, accuracy %s", strings.TrimSpace(share(f.Like.AUC)), strings.TrimSpace(share(f.Like.Accuracy)))
	}
}

// printSets shows what prediction sets come to, and the accuracy where the less certain half is not answered.
func (j evalPrinter) printSets() {
	x := j.doc.Sets
	if x == nil || x.N == 0 {
		return
	}
	j.l.Printf("\n  sets for %.4g %% hold the truth of %.1f %% (%.1f to %.1f); %.2f labels each", 100*x.Coverage, 100**x.Held, 100*x.HeldInterval[0], 100*x.HeldInterval[1], x.MeanSize)
	if x.SingleRight != nil {
		j.l.Printf("  of one label: %.1f %%, right for %.1f %% (%.1f to %.1f) of these", 100**x.Single, 100**x.SingleRight, 100*x.RightRange[0], 100*x.RightRange[1])
	}
	for _, a := range x.Abstention {
		if a.Answered >= 0.5 {
			j.l.Printf("  the most certain %.0f %% alone: accuracy %.3f (%.3f to %.3f)", 100*a.Answered, a.Accuracy, a.Interval[0], a.Interval[1])
			return
		}
	}
}

func (j evalPrinter) printSubgroups() {
	last, small := "", false
	for i := range j.doc.Subgroups {
		g := &j.doc.Subgroups[i]
		if g.Column != last {
			j.l.Printf("\n  %s     n    AUC  95 %%            accuracy  95 %%", cut(g.Column, nameWidth, false))
			last = g.Column
		}
		mark := ""
		if g.Small {
			mark, small = "*", true
		}
		j.l.Printf("  %s %5d  %s  %s   %s  %s%s", cut(cmp.Or(g.Value, "(empty)"), nameWidth, false), g.N,
			share(g.AUC), interval95(g.AUCInterval), share(g.Accuracy), strings.TrimRight(interval95(g.AccuracyInterval), " "), mark)
	}
	if small {
		j.l.Printf("  * few images: the numbers are uncertain, and differences may be chance")
	}
}
