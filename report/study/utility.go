package study

import (
	"fmt"
	"strconv"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/report"
	"melo.example/melo/report/plot"
)

// utility is the section about what probabilities are worth beyond their order.
func (j evaluation) utility() report.Section {
	t := &report.Table{Caption: "Calibration, agreement and predictive values, with 95\u00a0% intervals",
		Head: []string{"label", "calibration slope", "intercept", "in the large", "MCC", "kappa", "PPV", "NPV", "at prevalence"}}
	stated := false
	var curves report.Figures
	for i := range j.Utility {
		u := &j.Utility[i]
		stated = stated || u.Stated
		t.Rows = append(t.Rows, []string{u.Label, withRange(u.Slope, u.SlopeInterval), withRange(u.Intercept, u.InterceptInterval),
			withRange(u.InTheLarge, u.InTheLargeInterval), few(u.MCC, j.N), few(u.Kappa, j.N), few(u.PPV, j.N), few(u.NPV, j.N), fmt.Sprintf("%.3g\u00a0%%", 100*u.Prevalence)})
		if i < maxReportLabels {
			curves = append(curves, decisionCurve(u))
		}
	}
	text := "Slope below 1: probabilities are too extreme; in the large above 0: too low on the whole (logistic regression of the truth on the logit; " +
		"intervals of fewer than 100 units may miss their 95\u00a0%). "
	if stated {
		text += "PPV and NPV are what sensitivity and specificity give at the stated prevalence. "
	} else {
		text += "PPV and NPV assume the share of the label among these images: --prevalence states another. "
	}
	text += "Net benefit: true positives per image less false ones, weighed by the odds of the threshold. The model is of use where it lies above both others."
	s := report.Section{Title: "Usefulness", Parts: []report.Part{t, report.Text(text), curves}}
	if len(j.Patients) > 0 {
		p := &report.Table{Caption: "Whole patients: AUC of the mean and of the largest probability of their images", Head: []string{"label", "score", "patients", "with the label", "AUC"}}
		for i := range j.Patients {
			x := &j.Patients[i]
			auc := withRange(x.AUC, x.AUCInterval)
			if x.Approximate {
				auc += report.ApproximateMark
			}
			p.Rows = append(p.Rows, []string{x.Label, x.Score, strconv.Itoa(x.Patients), strconv.Itoa(x.Positives), auc})
		}
		s.Parts = append(s.Parts, p)
	}
	return s
}

// decisionCurve draws net benefit against the threshold.
func decisionCurve(u *experiment.Utility) *plot.Figure {
	var at, model, all []float64
	low, high := 0.0, 0.0
	for _, b := range u.NetBenefit {
		at, model, all = append(at, b.Threshold), append(model, b.Model), append(all, b.All)
		low, high = min(low, b.Model), max(high, b.Model, b.All)
	}
	for i, v := range all {
		all[i] = max(v, low-0.05) // deciding for everybody falls out of the figure
	}
	return &plot.Figure{Title: u.Label, Text: "Net benefit of deciding by the probability of " + u.Label + ", against deciding for everybody and for nobody.",
		X: plot.Axis{Label: "threshold", Min: 0, Max: 1}, Y: plot.Axis{Label: "net benefit", Min: low - 0.05, Max: high + 0.05},
		Series: []plot.Series{{Name: "model", X: at, Y: model, Color: 1}, {Name: "everybody", X: at, Y: all, Color: 2}, {Name: "nobody", X: []float64{0, 1}, Y: []float64{0, 0}, Muted: true}}}
}

// gaps is the table of subgroups against everybody else.
func (j evaluation) gaps() *report.Table {
	t := &report.Table{Caption: "AUC of a subgroup less that of everybody else, with 95\u00a0% intervals", Head: []string{"subgroup", "images", "others", "difference", ""}}
	for i := range j.Gaps {
		g := &j.Gaps[i]
		name := g.Column + " " + g.Value
		if g.Small {
			name += " *"
		}
		t.Rows = append(t.Rows, []string{name, strconv.Itoa(g.N), strconv.Itoa(g.Others), withRange(g.Difference, g.Interval), map[bool]string{true: "lowest AUC of the column"}[g.Worst]})
	}
	return t
}

// withRange writes a number of a document with its interval, with the decimals that the interval leaves.
func withRange(v *float64, r *[2]float64) string {
	if v == nil {
		return "–"
	}
	if r == nil {
		return minus(fmt.Sprintf("%.3f", *v))
	}
	n := decimals(r[1] - r[0])
	return minus(fmt.Sprintf("%.*f\n(%.*f to %.*f)", n, *v, n, r[0], n, r[1]))
}

// minus writes signs as they are set in print, and none before nothing.
func minus(text string) string {
	return strings.NewReplacer("-0.000", "0.000", "-0.00 ", "0.00 ", "-0.00)", "0.00)", "-0.0 ", "0.0 ", "-0.0)", "0.0)", "-", "−").Replace(text)
}

// decimals is how many decimals mean something where the interval is so wide: its width has one or two digits.
func decimals(width float64) int {
	switch {
	case width >= 1:
		return 1
	case width >= 0.1:
		return 2
	}
	return 3
}

// digits writes a share of n things: below a hundred of them a third decimal means nothing.
func digits(v float64, n int) string {
	if n < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// few is digits of a number of a document.
func few(v *float64, n int) string {
	if v == nil {
		return "–"
	}
	return digits(*v, n)
}
