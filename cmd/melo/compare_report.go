package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/report"
)

// page is the report of a comparison.
func (j *compareJob) page(ctx context.Context) (*report.Page, error) {
	d := &j.doc
	p := &report.Page{Title: strings.Join(j.o.Methods, ", ") + " on " + filepath.Base(filepath.Clean(d.Data.Path)), Notice: capital(notice) + ".",
		Lead:     fmt.Sprintf("The same split and seeds for every method: %d images to train, %d to validate, %d to test; %s.", d.Data.Train, d.Data.Val, d.Data.Test, j.seedsText()),
		Warnings: d.Warnings, Facts: j.facts()}
	roc, precision, err := j.judged.curves(ctx)
	if err != nil {
		return nil, err
	}
	p.Sections = []report.Section{j.results(), {Title: "Labels", Parts: []report.Part{j.labels()}}, roc, precision, j.judged.calibration(), j.judged.decisions()}
	var runs []learned
	for i := range j.runs {
		r := &j.runs[i]
		runs = append(runs, learned{name: r.o.Method, color: i/j.o.Seeds + 1, best: r.doc.BestEpoch, steps: readEpochs(r.o.runFolder())})
	}
	if s := learning(runs); len(s.Parts) > 0 {
		p.Sections = append(p.Sections, s)
	}
	if j.o.Pictures > 0 {
		s, err := j.judged.worst(ctx, j.o.Pictures)
		if err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, s)
	}
	p.Sections = append(p.Sections, report.Section{Title: "Runs", Parts: []report.Part{j.runTable()}})
	return p, nil
}

// results is the paper's table, and the differences.
func (j *compareJob) results() report.Section {
	t := &report.Table{Caption: "Methods, with 95\u00a0% intervals", Head: []string{"method", "trained numbers", "of the base", "file", "AUC", "accuracy", "calibration error", "uncalibrated",
		"seconds per epoch", "peak memory"}}
	for m, x := range j.judged.all {
		d := &j.doc.Methods[m]
		auc := report.Stacked(x.numbers.AUC)
		if d.AUCDeviation != nil {
			auc += fmt.Sprintf(", sd %.3f", *d.AUCDeviation)
		}
		t.Rows = append(t.Rows, []string{methodName(x.name), ui.Count(d.Params.Trained + d.Params.Head), fmt.Sprintf("%.2f %%", 100*trainedOverBase(&d.Params)), ui.Bytes(d.Bytes),
			auc, report.Stacked(x.numbers.Accuracy), report.Stacked(x.numbers.ECE), report.Stacked(x.rawAll.ECE),
			strconv.FormatFloat(d.SecondsPerEpoch, 'f', 1, 64), memoryText(d.PeakMemory)})
	}
	s := report.Section{Title: "Results", Parts: []report.Part{t}}
	text := "Trained numbers are with the head; the file holds them. "
	if j.o.Seeds > 1 {
		text += "AUC to calibration error are means over the seeds; sd is the standard deviation of the AUC over seeds. "
	}
	s.Parts = append(s.Parts, report.Text(text+"Intervals are those of the test images, not of the seeds. "+
		"Seconds are of training alone, without validation; peak memory is the largest of the runs, each counted by itself. Calibration errors before and after are of the same models: temperatures were fitted to validation."))
	if len(j.doc.Differences) == 0 {
		return s
	}
	d := &report.Table{Caption: "Differences, first less second, with 95\u00a0% intervals and p-values", Head: []string{"methods", "AUC", "p", "accuracy", "p", "balanced accuracy", "p", "calibration error", "p"}}
	for i := range j.doc.Differences {
		x := &j.doc.Differences[i]
		row := []string{x.First + " − " + x.Second}
		for _, n := range []*compareNumber{&x.AUC, &x.Accuracy, &x.Balanced, &x.ECE} {
			row = append(row, stackedDifference(n), strings.TrimSpace(pText(n.P)))
		}
		d.Rows = append(d.Rows, row)
	}
	s.Parts = append(s.Parts, d, report.Text("Paired bootstrap: every resample of the test images is drawn once for all methods. A p-value is twice the share of resamples in which the difference is zero or has the other sign; it is not adjusted for the number of comparisons."))
	return s
}

func stackedDifference(n *compareNumber) string {
	if n.Difference == nil {
		return "–"
	}
	text := strings.TrimSpace(signed(n.Difference))
	if n.Interval != nil {
		text += fmt.Sprintf("\n(%+.3f to %+.3f)", n.Interval[0], n.Interval[1])
	}
	return strings.ReplaceAll(text, "-", "−")
}

// methodName is a method for people.
func methodName(m string) string { return m + "\n" + methodText(lora.Method(m)) }

// labels has the AUC of each label by each method.
func (j *compareJob) labels() *report.Table {
	t := &report.Table{Caption: "AUC of each label against the rest, with 95\u00a0% intervals", Head: []string{"label", "images"}}
	t.Head = append(t.Head, j.o.Methods...)
	for l, name := range j.judged.labels {
		row := []string{name, strconv.Itoa(j.doc.Methods[0].PerLabel[l].Positives)}
		for _, x := range j.judged.all {
			row = append(row, report.Stacked(x.numbers.Labels[l].AUC))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// runTable has a row for each run.
func (j *compareJob) runTable() *report.Table {
	t := &report.Table{Caption: "Every run", Head: []string{"method", "seed", "epochs", "best", "AUC, validation", "AUC, test", "accuracy", "calibration error", "uncalibrated", "seconds", "peak memory"}}
	for i := range j.doc.Methods {
		m := &j.doc.Methods[i]
		for k := range m.Runs {
			r := &m.Runs[k]
			t.Rows = append(t.Rows, []string{m.Method, strconv.FormatUint(r.Seed, 10), strconv.Itoa(r.Epochs), strconv.Itoa(r.BestEpoch), dash(r.ValidationAUC), dash(r.AUC),
				dash(r.Accuracy), dash(r.ECE), dash(r.UncalibratedECE), strconv.FormatFloat(r.Seconds, 'f', 1, 64), memoryText(r.PeakMemory)})
		}
	}
	return t
}

// facts are what the numbers are of.
func (j *compareJob) facts() []report.Fact {
	d, here := &j.doc, sysinfo.This()
	list := []report.Fact{
		{Name: "Command", Value: j.s.sameCommand("--restart")},
		{Name: "Base", Value: d.Base + ", " + j.base.digest},
		{Name: "Data", Value: d.Data.Path + ", " + d.Data.Digest},
		{Name: "Labels", Value: fmt.Sprintf("%s: %s", d.Data.Task, listNames(d.Data.Labels))},
		{Name: "Split", Value: fmt.Sprintf("%s; seed %d", d.Data.Rule, j.o.SplitSeed)},
		{Name: "Intervals", Value: fmt.Sprintf("95 %%, bootstrap, %d resamples of %d %ss, seed %d", d.Bootstrap.Resamples, d.Bootstrap.Units, d.Bootstrap.Unit, d.Bootstrap.Seed)},
		{Name: "Machine", Value: fmt.Sprintf("%s, %s, %d workers, %s of memory", here.CPU, here.CPUClass, max(j.o.Workers, 0)+map[bool]int{true: here.Workers}[j.o.Workers == 0], ui.Bytes(here.Memory))},
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
