package main

import (
	"context"
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/metric"
	"melo.example/melo/report"
)

// judged is what one method or adapter said of the test images, in one run or several.
type judged struct {
	name      string // in legends; empty: there is no other
	color     int
	runs, raw []*metric.Predictions // calibrated or not; one a run
	numbers   *metric.Numbers       // means over the runs
	rawAll    *metric.Numbers
	average   *metric.Predictions // of several runs
}

// judgement is everything that a report shows of the same images.
type judgement struct {
	labels []string
	boot   metric.Bootstrap
	all    []*judged
	file   func(k int) string // of image number k, for people
	image  func(ctx context.Context, k int) (*imaging.Image, error)
}

// maxReportLabels is how many labels have figures of their own in a report.
const maxReportLabels = 12

// bandSteps is how many pieces the curves' intervals have.
const bandSteps = 100

// exclusive tells whether an image has one label.
func (j *judgement) exclusive() bool { return j.all[0].runs[0].Exclusive }

// shown lists the labels that have figures: of two that exclude each other the second says it all.
func (j *judgement) shown() []int {
	if len(j.labels) == 2 && j.exclusive() {
		return []int{1}
	}
	var list []int
	for l := range min(len(j.labels), maxReportLabels) {
		list = append(list, l)
	}
	return list
}

// curves draws ROC and precision-recall curves of the labels.
func (j *judgement) curves(ctx context.Context) (roc, precision report.Section, err error) {
	roc.Title, precision.Title = "ROC curves", "Precision-recall curves"
	shade := "The shade is the 95\u00a0% interval at each point (bootstrap)."
	if n := len(j.all[0].runs); n > 1 {
		shade = fmt.Sprintf("Means over %d seeds at each point. ", n) + shade
	}
	intro := []report.Part{report.Text("Each label against the rest. " + shade)}
	if hidden := len(j.labels) - maxReportLabels; hidden > 0 {
		intro = append(intro, report.Text(fmt.Sprintf("The first %d labels are shown; %d more are in the tables.", maxReportLabels, hidden)))
	}
	var rocs, precisions report.Figures
	for _, l := range j.shown() {
		var list []report.Ranking
		for _, m := range j.all {
			bands, err := j.boot.Bands(ctx, m.runs, l, metric.Grid(bandSteps))
			if err != nil {
				return roc, precision, err
			}
			r := report.Ranking{Name: m.name, Bands: bands, AUC: m.numbers.Labels[l].AUC, Color: m.color}
			if len(m.runs) == 1 {
				r.Curve = metric.NewCurve(m.runs[0].Column(l))
			}
			r.AP = meanPrecision(m.runs, l)
			list = append(list, r)
		}
		_, truth := j.all[0].runs[0].Column(l)
		positives := 0
		for _, yes := range truth {
			if yes {
				positives++
			}
		}
		name := j.labels[l]
		rocs = append(rocs, report.ROC(name, list))
		precisions = append(precisions, report.PrecisionRecall(name, float64(positives)/float64(max(len(truth), 1)), list))
	}
	roc.Parts, precision.Parts = append(intro, rocs), append(intro, precisions)
	return roc, precision, nil
}

// meanPrecision is the average precision of a label, a mean over runs.
func meanPrecision(runs []*metric.Predictions, label int) (e metric.Estimate) {
	for _, p := range runs {
		v, ok := metric.NewCurve(p.Column(label)).AveragePrecision()
		e.Value += v / float64(len(runs))
		e.Defined = ok
	}
	return e
}

// calibration draws reliability before and after.
func (j *judgement) calibration() report.Section {
	var figures report.Figures
	for _, m := range j.all {
		name := ""
		if m.name != "" {
			name = m.name + ", "
		}
		figures = append(figures,
			report.Reliability(name+"before calibration", pooledBins(m.raw), m.rawAll.ECE, m.color),
			report.Reliability(name+"after calibration", pooledBins(m.runs), m.numbers.ECE, m.color))
	}
	what := "Decisions by their confidence, which is the probability of the most probable label. "
	if !j.exclusive() {
		what = "Labels by their probability, all labels together. "
	}
	return report.Section{Title: "Calibration", Parts: []report.Part{
		report.Text(what + "Marks on the diagonal are as they should be; whiskers are 95\u00a0% intervals (Wilson). Temperatures were fitted to validation."), figures}}
}

// pooledBins are the bars of all runs together.
func pooledBins(runs []*metric.Predictions) []metric.Bin {
	var confidence []float64
	var right []bool
	for _, p := range runs {
		c, r := p.Prob, p.Truth
		if p.Exclusive {
			c, r = p.Confidences()
		}
		confidence, right = append(confidence, c...), append(right, r...)
	}
	return metric.Reliability(confidence, right, metric.DefaultBins)
}

// decisions are the confusion matrices: of all labels, or of each by itself.
func (j *judgement) decisions() report.Section {
	s := report.Section{Title: "Decisions"}
	var list report.Matrices
	for _, m := range j.all {
		list = append(list, j.matrices(m)...)
	}
	if runs := len(j.all[0].runs); runs > 1 {
		s.Parts = append(s.Parts, report.Text(fmt.Sprintf("Numbers of images, means over %d seeds.", runs)))
	}
	s.Parts = append(s.Parts, list)
	return s
}

func (j *judgement) matrices(m *judged) report.Matrices {
	per := 1 / float64(len(m.runs))
	title := func(of string) string {
		if m.name != "" && of != "" {
			return m.name + ": " + of
		}
		return m.name + of
	}
	if j.exclusive() {
		x := report.Matrix{Title: title(""), Labels: j.labels, Counts: make([][]float64, len(j.labels))}
		if x.Title == "" {
			x.Title = "Truth and decisions"
		}
		for t := range x.Counts {
			x.Counts[t] = make([]float64, len(j.labels))
			for _, p := range m.runs {
				for d, n := range p.Confusion().Count[t] {
					x.Counts[t][d] += float64(n) * per
				}
			}
		}
		return report.Matrices{x}
	}
	var list report.Matrices
	for l := range min(len(j.labels), maxReportLabels) {
		x := report.Matrix{Title: title(j.labels[l]), Labels: []string{"absent", "present"}, Counts: [][]float64{{0, 0}, {0, 0}}}
		for _, p := range m.runs {
			k := p.Counts()[l]
			x.Counts[0][0] += float64(k.TN) * per
			x.Counts[0][1] += float64(k.FP) * per
			x.Counts[1][0] += float64(k.FN) * per
			x.Counts[1][1] += float64(k.TP) * per
		}
		list = append(list, x)
	}
	return list
}
