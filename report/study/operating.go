package study

import (
	"fmt"
	"strconv"

	"melo.example/melo/experiment"
	"melo.example/melo/metric"
	"melo.example/melo/report"
)

// operating are the points of a label's curve that reach a sensitivity or a specificity; what one point reaches is said once.
func (j evaluation) operating(label int) []report.Operating {
	var list []report.Operating
	add := func(points []experiment.Point, what string) {
		for _, p := range points {
			text := fmt.Sprintf("%s at least %.2f", what, p.Asked)
			if n := len(list); n > 0 && list[n-1].Sensitivity == p.Sensitivity && list[n-1].Specificity == p.Specificity {
				list[n-1].What += ", " + text
				continue
			}
			list = append(list, report.Operating{Sensitivity: p.Sensitivity, Specificity: p.Specificity, What: text})
		}
	}
	add(j.Thresholds[label].AtSensitivity, "sensitivity")
	add(j.Thresholds[label].AtSpecificity, "specificity")
	return list
}

// operatingTable names the operating points of the labels that have figures; nil if there is none.
func (j evaluation) operatingTable() *report.Table {
	t := &report.Table{Caption: "Operating points, read off the curves of these very images: on others they reach a little less", Words: 2,
		Head: []string{"label", "asked for", "threshold", "sensitivity", "specificity"}}
	for _, l := range j.judged.shown() {
		x := &j.Thresholds[l]
		for _, side := range []struct {
			what   string
			points []experiment.Point
		}{{"sensitivity", x.AtSensitivity}, {"specificity", x.AtSpecificity}} {
			for _, p := range side.points {
				threshold := "none is low enough"
				if p.Threshold != nil {
					threshold = strconv.FormatFloat(*p.Threshold, 'f', 3, 64)
				}
				t.Rows = append(t.Rows, []string{x.Label, fmt.Sprintf("%s at least %.2f", side.what, p.Asked), threshold,
					digits(p.Sensitivity, j.PerLabel[l].Positives), digits(p.Specificity, j.PerLabel[l].Negatives)})
			}
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// prevalence is the section about what decisions come to where a label is rarer or more frequent than here.
func (j evaluation) prevalence() report.Section {
	s := report.Section{Title: "Where it is rarer, or more frequent", Parts: []report.Part{report.Text("What the decisions that the tables count would come to among other people, if sensitivity and " +
		"specificity are the same there: where the disease is rare, it is often milder, too, and they are not. Intervals are those of the likelihood ratios.")}}
	n := j.judged.All[0].Numbers
	for i := range j.Utility {
		u := &j.Utility[i]
		for l, name := range j.Labels {
			if name != u.Label || i >= maxReportLabels || !(u.Prevalence > 0 && u.Prevalence < 1) {
				continue
			}
			r := &n.Labels[l].Decided
			s.Parts = append(s.Parts, &report.Yield{Label: name, Sensitivity: r.Sensitivity, Specificity: r.Specificity, Prevalence: u.Prevalence, Stated: u.Stated})
		}
	}
	return s
}

// fitSection says how many of the images are like those of the training, and what these come to.
func (j evaluation) fitSection() report.Section {
	f := j.Fit
	t := &report.Table{Caption: "Images by whether they are like those of the training, with 95\u00a0% intervals", Head: []string{"", "images", "share", "AUC", "accuracy", "calibration error"}}
	row := func(name string, n int, x *experiment.Numbers) {
		low, high := metric.Wilson(n, j.N, metric.DefaultLevel)
		cells := []string{name, strconv.Itoa(n), fmt.Sprintf("%.1f\u00a0%%\n(%.1f to %.1f)", 100*float64(n)/float64(max(j.N, 1)), 100*low, 100*high), "–", "–", "–"}
		if n == j.N {
			cells[2] = "100\u00a0%"
		}
		if x != nil {
			cells[3], cells[4], cells[5] = withRange(x.AUC, x.AUCInterval), withRange(x.Accuracy, x.AccuracyInterval), withRange(x.ECE, x.ECEInterval)
		}
		t.Rows = append(t.Rows, cells)
	}
	row("all", j.N, &j.Numbers)
	like := f.Like
	if f.Unlike == 0 {
		like = &j.Numbers
	}
	row("like them", j.N-f.Unlike, like)
	row("unlike", f.Unlike, nil)
	text := fmt.Sprintf("An image is unlike the training images if its score is above %.4g, which was chosen so that %.4g\u00a0%% of such images would be. About these nothing is decided; "+
		"the tables above count them all the same. The median score here is %.4g. Shares take images to be independent.", f.Threshold, 100*f.Refusal, f.MedianScore)
	return report.Section{Title: "Are they like the training images?", Parts: []report.Part{t, report.Text(text)}}
}
