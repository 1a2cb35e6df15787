package study

import (
	"context"
	"fmt"
	"slices"

	"melo.example/melo/experiment"
	"melo.example/melo/metric"
	"melo.example/melo/report"
)

// judgement draws what is known of the same images.
type judgement struct {
	*experiment.Judgement
	operating func(label int) []report.Operating // points of its curve; nil: none are marked
	explainer experiment.Explainer               // of a single method; nil: there are no maps
	maps      int                                // at most
}

// maxReportLabels is how many labels have figures of their own in a report.
const maxReportLabels = 12

// bandSteps is how many pieces the curves' intervals have.
const bandSteps = 100

// shown lists the labels that have figures: of two that exclude each other the second says it all.
func (j judgement) shown() []int {
	if len(j.Labels) == 2 && j.Exclusive() {
		return []int{1}
	}
	var list []int
	for l := range min(len(j.Labels), maxReportLabels) {
		list = append(list, l)
	}
	return list
}

// curves draws ROC and precision-recall curves of the labels.
func (j judgement) curves(ctx context.Context) (roc, precision report.Section, err error) {
	roc.Title, precision.Title = "ROC curves", "Precision-recall curves"
	shade := "The shade is the 95\u00a0% interval at each point (bootstrap)."
	if len(j.All) > 1 {
		shade += " That of one method is shown at a time: choose below each figure."
	}
	if n := len(j.All[0].Runs); n > 1 {
		shade = fmt.Sprintf("Means over %d seeds at each point. ", n) + shade
	}
	intro := []report.Part{report.Text("Each label against the rest. " + shade)}
	if hidden := len(j.Labels) - maxReportLabels; hidden > 0 {
		intro = append(intro, report.Text(fmt.Sprintf("The first %d labels are shown; %d more are in the tables.", maxReportLabels, hidden)))
	}
	var rocs, precisions report.Figures
	for _, l := range j.shown() {
		var list []report.Ranking
		for _, m := range j.All {
			bands, err := j.Boot.Bands(ctx, m.Runs, l, metric.Grid(bandSteps))
			if err != nil {
				return roc, precision, err
			}
			r := report.Ranking{Name: m.Name, Bands: bands, AUC: m.Numbers.Labels[l].AUC, Color: m.Color}
			if len(m.Runs) == 1 {
				r.Curve = metric.NewCurve(m.Runs[0].Column(l))
			}
			if d := &m.Numbers.Labels[l].Decided; d.Sensitivity.Defined && d.Specificity.Defined {
				r.At = &[2]float64{1 - d.Specificity.Value, d.Sensitivity.Value}
			}
			if j.operating != nil {
				r.Operating = j.operating(l)
			}
			r.AP = meanPrecision(m.Runs, l)
			list = append(list, r)
		}
		_, truth := j.All[0].Runs[0].Column(l)
		positives := 0
		for _, yes := range truth {
			if yes {
				positives++
			}
		}
		name := j.Labels[l]
		rocs = append(rocs, report.ROC(name, list))
		precisions = append(precisions, report.PrecisionRecall(name, float64(positives)/float64(max(len(truth), 1)), list))
	}
	marks := "The round mark is where the decisions are that tables and matrices count."
	if len(j.All) > 1 {
		marks = "Marks are where the decisions are that tables and matrices count."
	}
	if j.operating != nil {
		marks += " Squares are operating points, which the table below names."
	}
	roc.Parts = []report.Part{report.Text(marks)}
	roc.Parts, precision.Parts = append(slices.Concat(intro, roc.Parts), rocs), append(slices.Clone(intro), precisions)
	return roc, precision, nil
}

// intervalsText says how intervals were found.
func intervalsText(b *experiment.Bootstrap) string {
	return fmt.Sprintf("95 %%, of %d %ss: shares by Wilson's score with the design effect, AUC by DeLong's variance, means of losses by Student's; calibration errors, curves "+
		"and differences by %d resamples, seed %d", b.Units, b.Unit, b.Resamples, b.Seed)
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
func (j judgement) calibration() report.Section {
	var figures report.Figures
	for _, m := range j.All {
		name := ""
		if m.Name != "" {
			name = m.Name + ", "
		}
		figures = append(figures,
			report.Reliability(name+"before calibration", pooledBins(m.Raw), m.RawAll.ECE, m.Color),
			report.Reliability(name+"after calibration", pooledBins(m.Runs), m.Numbers.ECE, m.Color))
	}
	what := "Decisions by their confidence, which is the probability of the most probable label. "
	if !j.Exclusive() {
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
func (j judgement) decisions() report.Section {
	s := report.Section{Title: "Decisions"}
	var list report.Matrices
	for _, m := range j.All {
		list = append(list, j.matrices(m)...)
	}
	if runs := len(j.All[0].Runs); runs > 1 {
		s.Parts = append(s.Parts, report.Text(fmt.Sprintf("Numbers of images, means over %d seeds.", runs)))
	}
	s.Parts = append(s.Parts, list)
	return s
}

func (j judgement) matrices(m *experiment.Judged) report.Matrices {
	per := 1 / float64(len(m.Runs))
	title := func(of string) string {
		if m.Name != "" && of != "" {
			return m.Name + ": " + of
		}
		return m.Name + of
	}
	if j.Exclusive() {
		x := report.Matrix{Title: title(""), Labels: j.Labels, Counts: make([][]float64, len(j.Labels))}
		if x.Title == "" {
			x.Title = "Truth and decisions"
		}
		for t := range x.Counts {
			x.Counts[t] = make([]float64, len(j.Labels))
			for _, p := range m.Runs {
				for d, n := range p.Confusion().Count[t] {
					x.Counts[t][d] += float64(n) * per
				}
			}
		}
		return report.Matrices{x}
	}
	var list report.Matrices
	for l := range min(len(j.Labels), maxReportLabels) {
		x := report.Matrix{Title: title(j.Labels[l]), Labels: []string{"absent", "present"}, Counts: [][]float64{{0, 0}, {0, 0}}}
		for _, p := range m.Runs {
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
