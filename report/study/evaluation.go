package study

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/metric"
	"melo.example/melo/report"
)

// evaluation draws the report of one.
type evaluation struct {
	*experiment.Evaluation
	judged  judgement
	options Options
}

// Options say what a report of an evaluation has beside its numbers.
type Options struct {
	Pictures int // images of mistakes, at most
	// Maps is of how many of these there is a map beside the image: each takes about two predictions. It needs an adapter that is
	// an experiment.Explainer.
	Maps int
}

// Evaluation is the report of an evaluation.
func Evaluation(ctx context.Context, e *experiment.Evaluation, o Options) (*report.Page, error) {
	j := evaluation{Evaluation: e, judged: judgement{Judgement: e.Judgement}, options: o}
	j.judged.operating = j.operating
	return j.page(ctx)
}

func (j evaluation) page(ctx context.Context) (*report.Page, error) {
	d := &j.EvaluationDocument
	p := &report.Page{Title: filepath.Base(d.Adapter.Path) + " on " + filepath.Base(filepath.Clean(d.Data.Path)), Notice: capital(experiment.Notice) + ".",
		Lead:     fmt.Sprintf("%d images (%s), %d labels: AUC %s.", d.N, splitText(d), len(d.Labels), report.Number(j.judged.All[0].Numbers.AUC)),
		Warnings: d.Warnings, Facts: j.facts()}
	roc, precision, err := j.judged.curves(ctx)
	if err != nil {
		return nil, err
	}
	if t := j.operatingTable(); t != nil {
		roc.Parts = append(roc.Parts, t)
	}
	p.Sections = []report.Section{
		{Title: "In plain words", Parts: j.verdict()},
		{Title: "Results", Parts: []report.Part{j.resultTable(), report.Text(report.ApproximateNote)}},
		{Title: "Labels", Parts: []report.Part{j.labelTable(), report.Text(decisionText(&d.Decision))}},
		roc, precision, j.judged.calibration(), j.judged.decisions(), j.utility(), j.prevalence(),
	}
	if d.Fit != nil {
		p.Sections = append(p.Sections, j.fitSection())
	}
	if d.Sets != nil && d.Sets.N > 0 {
		p.Sections = append(p.Sections, j.certainty())
	}
	if len(d.Subgroups) > 0 {
		p.Sections = append(p.Sections, j.subgroupSection())
	}
	if s := learning(learnedBy(d.Adapter.Path, d.Adapter.Digest)); len(s.Parts) > 0 {
		p.Sections = append(p.Sections, s)
	}
	if d.Shortcuts != nil {
		s, err := j.shortcuts()
		if err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, s)
	}
	if j.options.Pictures > 0 {
		j.judged.maps = j.options.Maps
		j.judged.explainer, _ = j.Evaluation.Adapter.(experiment.Explainer)
		s, err := j.judged.worst(ctx, j.options.Pictures)
		if err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, s)
	}
	return p, nil
}

// capital begins a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func splitText(d *experiment.EvaluationDocument) string {
	if d.Data.Split == "all" {
		return "all"
	}
	return d.Data.Split + " split"
}

// facts are what the numbers are of.
func (j evaluation) facts() []report.Fact {
	d, meta := &j.EvaluationDocument, j.Evaluation.Adapter.Metadata()
	list := []report.Fact{
		{Name: "Adapter", Value: d.Adapter.Path + ", " + d.Adapter.Digest},
		{Name: "Base", Value: d.Base},
		{Name: "Method", Value: cmp.Or(string(meta.Method), "not recorded")},
		{Name: "Data", Value: d.Data.Path + ", " + d.Data.Digest},
		{Name: "Split", Value: d.Data.Split + map[bool]string{true: ": " + d.Data.Rule, false: ""}[d.Data.Rule != ""]},
		{Name: "Intervals", Value: intervalsText(&d.Bootstrap)},
		{Name: "Temperatures", Value: temperatureText(meta)},
		{Name: "Program", Value: "melo " + buildinfo.Version},
	}
	if n := len(d.Failed); n > 0 {
		list = append(list, report.Fact{Name: "Left out", Value: fmt.Sprintf("%d images that could not be read", n)})
	}
	return list
}

func temperatureText(meta adapterfile.Metadata) string {
	if len(meta.Temperatures) == 0 {
		return "none: not calibrated"
	}
	text := ""
	for i, t := range meta.Temperatures {
		if i > 0 {
			text += ", "
		}
		text += strconv.FormatFloat(t, 'f', 3, 64)
	}
	return text
}

// resultTable has the numbers over all labels.
func (j evaluation) resultTable() *report.Table {
	n, raw := j.judged.All[0].Numbers, j.judged.All[0].RawAll
	t := &report.Table{Caption: "All labels", Head: []string{"", "value", "95 %"}}
	for _, r := range []struct {
		name string
		e    metric.Estimate
	}{
		{"AUC (mean over labels)", n.AUC}, {"accuracy", n.Accuracy}, {"balanced accuracy", n.BalancedAccuracy}, {"F1 (mean over labels)", n.F1},
		{"calibration error, calibrated", n.ECE}, {"the same less what chance adds", n.ECEDebiased},
		{"calibration error before", raw.ECE}, {"the same less what chance adds", raw.ECEDebiased}, {"Brier score, calibrated", n.Brier}, {"Brier score before", raw.Brier},
		{"log loss, calibrated", n.LogLoss}, {"log loss before", raw.LogLoss},
	} {
		t.Rows = append(t.Rows, []string{r.name, valueText(r.e), rangeText(r.e)})
	}
	return t
}

// labelTable has a row for each label.
func (j evaluation) labelTable() *report.Table {
	n := j.judged.All[0].Numbers
	t := &report.Table{Caption: "Each label against the rest, with 95 % intervals",
		Head: []string{"label", "AUC", "sensitivity", "specificity", "threshold", "images", "share", "PPV", "NPV", "F1", "average precision"}}
	for l := range j.PerLabel {
		x, r := &j.PerLabel[l], &n.Labels[l].Decided
		ap := "–"
		if x.AveragePrecision != nil {
			ap = strconv.FormatFloat(*x.AveragePrecision, 'f', 3, 64)
		}
		from := "–"
		if j.Decision.Rule != experiment.MostProbable {
			from = strconv.FormatFloat(j.Thresholds[l].Threshold, 'f', 3, 64)
		}
		share := fmt.Sprintf("%.1f\u00a0%%", 100*float64(x.Positives)/float64(max(x.Positives+x.Negatives, 1)))
		t.Rows = append(t.Rows, []string{x.Label, report.Stacked(n.Labels[l].AUC), report.Stacked(r.Sensitivity), report.Stacked(r.Specificity), from,
			strconv.Itoa(x.Positives), share, report.Stacked(r.Precision), report.Stacked(r.NegativePrecision), report.Stacked(r.F1), ap})
	}
	return t
}

// decisionText says which rule decided, and what others would give.
func decisionText(d *experiment.Decision) string {
	text := "Sensitivity to F1, accuracy, matrices and the marks in the ROC curves are of the same decisions: " + d.Text +
		". PPV and NPV assume the share of the label among these images."
	for _, a := range d.Alternatives {
		text += fmt.Sprintf(" By %s: accuracy %s, balanced accuracy %s", a.Text, dash(a.Accuracy), dash(a.Balanced))
		for _, l := range a.PerLabel[max(0, min(1, len(a.PerLabel)-1)):][:1] {
			text += fmt.Sprintf("; %s: sensitivity %s, specificity %s", l.Label, dash(l.Sensitivity), dash(l.Specificity))
		}
		text += "."
	}
	return text
}

func (j evaluation) subgroupSection() report.Section {
	s := report.Section{Title: "Subgroups"}
	byColumn := map[string]*report.Table{}
	small := false
	for i := range j.Subgroups {
		g := &j.Subgroups[i]
		t := byColumn[g.Column]
		if t == nil {
			t = &report.Table{Caption: g.Column, Head: []string{g.Column, "images", "AUC", "95 %", "accuracy", "95 %", "calibration error"}}
			byColumn[g.Column] = t
			s.Parts = append(s.Parts, t)
		}
		name := cmp.Or(g.Value, "(empty)")
		if g.Small {
			name, small = name+" *", true
		}
		t.Rows = append(t.Rows, []string{name, strconv.Itoa(g.N), dash(g.AUC), dashRange(g.AUCInterval), dash(g.Accuracy), dashRange(g.AccuracyInterval), dash(g.ECE)})
	}
	s.Parts = append(s.Parts, j.gaps())
	if small {
		s.Parts = append(s.Parts, report.Text("* Few images: the numbers are uncertain, and differences may be chance."))
	}
	return s
}

// valueText and rangeText are the two halves of report.Number.
func valueText(e metric.Estimate) string {
	if !e.Defined {
		return "–"
	}
	return strconv.FormatFloat(e.Value, 'f', 3, 64)
}

func rangeText(e metric.Estimate) string {
	if !e.Bounded {
		return "–"
	}
	out := text.Range(e.Low, e.High)
	if e.Approximate {
		out += report.ApproximateMark
	}
	return out
}

// dash and dashRange write numbers of a document.
func dash(v *float64) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', 3, 64)
}

func dashRange(v *[2]float64) string {
	if v == nil {
		return "–"
	}
	return text.Range(v[0], v[1])
}
