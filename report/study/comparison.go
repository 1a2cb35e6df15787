package study

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/report"
)

// comparison draws the report of one.
type comparison struct {
	*experiment.Comparison
	judged  judgement
	command string
}

// Comparison is the report of a comparison, with the images of at most so many mistakes of each method. command is how it
// is made again.
func Comparison(ctx context.Context, c *experiment.Comparison, command string, pictures int) (*report.Page, error) {
	return comparison{c, judgement{Judgement: c.Judgement}, command}.page(ctx, pictures)
}

// WriteComparison leaves a comparison's report, table and document in its folder.
func WriteComparison(ctx context.Context, c *experiment.Comparison, command string, pictures int) error {
	page, err := Comparison(ctx, c, command, pictures)
	if err != nil {
		return err
	}
	if err := page.WriteFile(filepath.Join(c.Folder, experiment.ComparisonReport)); err != nil {
		return err
	}
	return c.Write()
}

// WriteShots leaves the results of all comparisons of few-shot curves in their folders, and the curves beside these.
func WriteShots(ctx context.Context, d *experiment.ShotsDocument, command string, pictures int) error {
	for _, c := range d.Comparisons() {
		if err := WriteComparison(ctx, c, command, pictures); err != nil {
			return err
		}
	}
	if err := Shots(d, command).WriteFile(filepath.Join(d.Folder, experiment.ComparisonReport)); err != nil {
		return err
	}
	return d.Write()
}

func (j comparison) page(ctx context.Context, pictures int) (*report.Page, error) {
	d := &j.ComparisonDocument
	p := &report.Page{Title: strings.Join(j.methods(), ", ") + " on " + filepath.Base(filepath.Clean(d.Data.Path)), Notice: capital(experiment.Notice) + ".",
		Lead:     j.lead(),
		Warnings: d.Warnings, Facts: j.facts()}
	roc, precision, err := j.judged.curves(ctx)
	if err != nil {
		return nil, err
	}
	p.Sections = []report.Section{j.results(), {Title: "Labels", Parts: []report.Part{j.labels()}}, roc, precision, j.judged.calibration(), j.judged.decisions()}
	var runs []learned
	for m, method := range j.Options.Methods {
		for k, folder := range j.Options.RunFolders(method) {
			runs = append(runs, learned{name: string(method), color: m + 1, best: d.Methods[m].Runs[k].BestEpoch, steps: experiment.Epochs(folder)})
		}
	}
	if s := learning(runs); len(s.Parts) > 0 {
		p.Sections = append(p.Sections, s)
	}
	if pictures > 0 {
		s, err := j.judged.worst(ctx, pictures)
		if err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, s)
	}
	p.Sections = append(p.Sections, report.Section{Title: "Runs", Parts: []report.Part{j.runTable()}})
	return p, nil
}

// lead says what the numbers are of, in a sentence.
func (j comparison) lead() string {
	d := &j.ComparisonDocument
	if d.Folds > 0 {
		return fmt.Sprintf("The same %d folds and seeds for every method, %s; each of %d images is answered by the adapter that was not trained on it.",
			d.Folds, repeatsText(len(d.Seeds)), d.Data.Test)
	}
	return fmt.Sprintf("The same split and seeds for every method: %d images to train, %d to validate, %d to test; %s.", d.Data.Train, d.Data.Val, d.Data.Test,
		SeedsText(len(d.Seeds)))
}

// repeatsText says how often all folds were made.
func repeatsText(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// results is the paper's table, and the differences.
func (j comparison) results() report.Section {
	t := &report.Table{Caption: "Methods, with 95\u00a0% intervals", Head: []string{"method", "AUC", "accuracy", "calibration error", "uncalibrated", "trainable parameters", "of the base", "file",
		"seconds per epoch", "peak memory"}}
	for m, x := range j.judged.All {
		d := &j.Methods[m]
		auc := report.Stacked(x.Numbers.AUC)
		if d.AUCDeviation != nil {
			auc += fmt.Sprintf(", sd %.3f", *d.AUCDeviation)
		}
		t.Rows = append(t.Rows, []string{MethodName(x.Name), auc, report.Stacked(x.Numbers.Accuracy), report.Stacked(x.Numbers.ECE), report.Stacked(x.RawAll.ECE),
			text.Count(d.Params.Trained + d.Params.Head), fmt.Sprintf("%.2f %%", 100*d.Params.WithHead()), text.Bytes(d.Bytes), strconv.FormatFloat(d.SecondsPerEpoch, 'f', 1, 64), MemoryText(d.PeakMemory)})
	}
	s := report.Section{Title: "Results", Parts: []report.Part{t}}
	text := "Trained numbers are with the head; the file holds them. "
	over := "seeds"
	if j.Folds > 0 {
		over = "repeats"
	}
	if len(j.Seeds) > 1 {
		text += fmt.Sprintf("AUC to calibration error are means over the %s; sd is the standard deviation of the AUC over %[1]s. ", over)
	}
	s.Parts = append(s.Parts, report.Text(text+fmt.Sprintf("Intervals are those of the test images, not of the %s. ", over)+report.ApproximateNote+" "+
		"Seconds are of training alone, without validation; peak memory is the largest of the runs, each counted by itself. Calibration errors before and after are of the same models: temperatures were fitted to validation."))
	if j.Folds > 0 {
		s.Parts = append(s.Parts, j.foldTable(), report.Text(foldText))
	}
	if len(j.Differences) == 0 {
		return s
	}
	d := &report.Table{Caption: "Differences, first less second, with 95\u00a0% intervals and p-values", Head: []string{"methods", "AUC", "p", "accuracy", "p", "balanced accuracy", "p", "calibration error", "p"}}
	for i := range j.Differences {
		x := &j.Differences[i]
		row := []string{x.First + " − " + x.Second}
		for _, n := range []*experiment.DifferenceNumber{&x.AUC, &x.Accuracy, &x.Balanced, &x.ECE} {
			row = append(row, stackedDifference(n), strings.TrimSpace(PText(n.P)))
		}
		d.Rows = append(d.Rows, row)
	}
	s.Parts = append(s.Parts, d, j.comparability(), report.Text(j.differenceText()))
	if t := j.labelDifferences(); t != nil {
		s.Parts = append(s.Parts, t)
	}
	return s
}

const foldText = "Numbers above are of the answers for all images together, each by the adapter that was not trained on it; decisions use the mean of the folds' thresholds. " +
	"Folds share most of their training images: the interval and p of a difference over folds are corrected for that (Nadeau and Bengio)."

// foldTable is how the AUCs of the folds spread, and the differences fold by fold.
func (j comparison) foldTable() *report.Table {
	t := &report.Table{Caption: "AUC over the folds", Head: []string{"method", "mean", "sd", "least", "greatest"}}
	for i := range j.Methods {
		m := &j.Methods[i]
		t.Rows = append(t.Rows, []string{m.Method, dash(m.PerFold.Mean), dash(m.PerFold.Deviation), dash(m.PerFold.Least), dash(m.PerFold.Greatest)})
	}
	for i := range j.Differences {
		x := &j.Differences[i]
		t.Rows = append(t.Rows, []string{x.First + " − " + x.Second, stackedDifference(x.PerFold), "p " + strings.TrimSpace(PText(x.PerFold.P)), "", ""})
	}
	return t
}

// differenceText says how differences were found.
func (j comparison) differenceText() string {
	text := "Every resample of the test images is drawn once for all methods"
	if j.Differences[0].OverSeeds {
		text += ", and with it seeds (or repeats) of each: intervals and p-values hold for other images and for training again (widened to Student's distribution, as a few seeds tell their spread badly)."
	} else {
		text += ". There is one " + map[bool]string{true: "repeat", false: "seed"}[j.Folds > 0] + ": nothing here tells what training again would give."
	}
	return text + " p-values are not adjusted for the number of comparisons of methods; those of labels are, by Holm."
}

// comparability is the test of non-inferiority.
func (j comparison) comparability() *report.Table {
	t := &report.Table{Caption: "Is the first worse than the second by less than a margin?", Head: []string{"methods", "margin, AUC", "p", "shown at 0.025"}}
	for i := range j.Differences {
		x := &j.Differences[i]
		shown := "no"
		if x.NotInferior != nil && *x.NotInferior < 0.025 {
			shown = "yes"
		}
		t.Rows = append(t.Rows, []string{x.First + " − " + x.Second, fmt.Sprintf("%.3f", x.Margin), strings.TrimSpace(PText(x.NotInferior)), shown})
	}
	return t
}

// labelDifferences has the AUC of each label; nil where there are no others than that of all.
func (j comparison) labelDifferences() *report.Table {
	t := &report.Table{Caption: "Differences in the AUC of each label; p adjusted for the number of labels (Holm)", Head: []string{"methods", "label", "AUC", "p", "p, adjusted"}}
	for i := range j.Differences {
		x := &j.Differences[i]
		for k := range x.PerLabel {
			l := &x.PerLabel[k]
			t.Rows = append(t.Rows, []string{x.First + " − " + x.Second, l.Label, stackedDifference(&l.AUC), strings.TrimSpace(PText(l.AUC.P)), strings.TrimSpace(PText(l.Holm))})
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

func stackedDifference(n *experiment.DifferenceNumber) string {
	if n.Difference == nil {
		return "–"
	}
	text := strings.TrimSpace(Signed(n.Difference))
	if n.Interval != nil {
		text += fmt.Sprintf("\n(%+.3f to %+.3f)", n.Interval[0], n.Interval[1])
	}
	return strings.ReplaceAll(text, "-", "−")
}

// MethodName is a method for people.
func MethodName(m string) string { return m + "\n" + lora.Method(m).Title() }

// labels has the AUC of each label by each method.
func (j comparison) labels() *report.Table {
	t := &report.Table{Caption: "AUC of each label against the rest, with 95\u00a0% intervals", Head: []string{"label", "images"}}
	t.Head = append(t.Head, j.methods()...)
	for l, name := range j.judged.Labels {
		row := []string{name, strconv.Itoa(j.Methods[0].PerLabel[l].Positives)}
		for _, x := range j.judged.All {
			row = append(row, report.Stacked(x.Numbers.Labels[l].AUC))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// runTable has a row for each run.
func (j comparison) runTable() *report.Table {
	t := &report.Table{Caption: "Every run", Head: []string{"method", "run", "epochs", "best", "AUC, validation", "AUC, test", "accuracy", "calibration error", "uncalibrated", "seconds", "peak memory"}}
	for i := range j.Methods {
		m := &j.Methods[i]
		for k := range m.Runs {
			r := &m.Runs[k]
			t.Rows = append(t.Rows, []string{m.Method, runText(r), strconv.Itoa(r.Epochs), strconv.Itoa(r.BestEpoch), dash(r.ValidationAUC), dash(r.AUC),
				dash(r.Accuracy), dash(r.ECE), dash(r.UncalibratedECE), strconv.FormatFloat(r.Seconds, 'f', 1, 64), MemoryText(r.PeakMemory)})
		}
	}
	return t
}

// runText names a run of a method.
func runText(r *experiment.RunResult) string {
	if r.Fold > 0 {
		return fmt.Sprintf("repeat %d, fold %d", r.Seed, r.Fold)
	}
	return fmt.Sprintf("seed %d", r.Seed)
}

// facts are what the numbers are of.
func (j comparison) facts() []report.Fact {
	d, here := &j.ComparisonDocument, sysinfo.This()
	list := []report.Fact{
		{Name: "Command", Value: j.command},
		{Name: "Base", Value: d.Base + ", " + j.BaseDigest},
		{Name: "Data", Value: d.Data.Path + ", " + d.Data.Digest},
		{Name: "Labels", Value: fmt.Sprintf("%s: %s", d.Data.Task, text.List(d.Data.Labels))},
		{Name: "Split", Value: fmt.Sprintf("%s; seed %d", d.Data.Rule, j.Options.SplitSeed)},
		{Name: "Intervals", Value: intervalsText(&d.Bootstrap)},
		{Name: "Machine", Value: fmt.Sprintf("%s, %s, %d workers, %s of memory", here.CPU, here.CPUClass, max(j.Options.Workers, 0)+map[bool]int{true: here.Workers}[j.Options.Workers == 0], text.Bytes(here.Memory))},
		{Name: "Program", Value: "melo " + buildinfo.Version},
	}
	for i := range d.Methods {
		text, err := json.Marshal(d.Methods[i].Settings)
		if err == nil {
			list = append(list, report.Fact{Name: "Settings of " + d.Methods[i].Method, Value: strings.ReplaceAll(string(text), `,"`, `, "`)}) // lines are broken at spaces
		}
	}
	if n := len(d.Data.Bad); n > 0 {
		list = append(list, report.Fact{Name: "Left out", Value: fmt.Sprintf("%d images that could not be read", n)})
	}
	return list
}

// methods are the names of the methods.
func (j comparison) methods() []string {
	var names []string
	for _, m := range j.Options.Methods {
		names = append(names, string(m))
	}
	return names
}

// SeedsText says how many runs there are of each method.
func SeedsText(seeds int) string {
	if seeds == 1 {
		return "one seed"
	}
	return fmt.Sprintf("%d seeds", seeds)
}

// MemoryText is a size, or a dash where it is not known.
func MemoryText(n int64) string {
	if n == 0 {
		return "-"
	}
	return text.Bytes(n)
}

// Signed writes a difference in six columns.
func Signed(v *float64) string {
	if v == nil {
		return "     -"
	}
	return fmt.Sprintf("%+.3f", *v)
}

// PText writes a p-value in six columns.
func PText(v *float64) string {
	switch {
	case v == nil:
		return "     -"
	case *v < 0.001:
		return "<0.001"
	}
	return fmt.Sprintf(" %.3f", *v)
}
