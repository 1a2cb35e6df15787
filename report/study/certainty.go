package study

import (
	"fmt"
	"strconv"

	"melo.example/melo/report"
	"melo.example/melo/report/plot"
)

// certainty is what prediction sets come to, and the accuracy where uncertain images are not answered.
func (j evaluation) certainty() report.Section {
	x := j.Sets
	between := func(v *float64, ci *[2]float64) string {
		if v == nil {
			return "–"
		}
		text := fmt.Sprintf("%.1f\u00a0%%", 100**v)
		if ci != nil {
			text += fmt.Sprintf("\n(%.1f to %.1f)", 100*ci[0], 100*ci[1])
		}
		return text
	}
	t := &report.Table{Caption: fmt.Sprintf("Prediction sets that are to hold the truth of %.4g\u00a0%% of the images", 100*x.Coverage), Head: []string{"", "images", "truth in the set"}}
	t.Rows = append(t.Rows, []string{"all", strconv.Itoa(x.N), between(x.Held, x.HeldInterval)})
	for i := range x.PerLabel {
		l := &x.PerLabel[i]
		t.Rows = append(t.Rows, []string{l.Label, strconv.Itoa(l.N), between(l.Held, l.Interval)})
	}
	text := fmt.Sprintf("A set has the labels that cannot be excluded, %.2f on average. It was calibrated on %d validation images, and holds for images that come as those did; "+
		"those unlike the training images have no set. Intervals are Wilson's, and take images to be independent.", x.MeanSize, x.Calibrated)
	if x.Single != nil {
		text += fmt.Sprintf(" One label alone remains for %.1f\u00a0%% of the images", 100**x.Single)
		if x.SingleRight != nil {
			text += fmt.Sprintf(", and is right for %.1f\u00a0%% of these (%.1f to %.1f)", 100**x.SingleRight, 100*x.RightRange[0], 100*x.RightRange[1])
		}
		text += "."
	}
	s := report.Section{Title: "Certainty", Parts: []report.Part{t, report.Text(text)}}
	if len(x.Abstention) == 0 {
		return s
	}
	line := plot.Series{Name: "accuracy"}
	for _, a := range x.Abstention {
		line.X, line.Y = append(line.X, 100*a.Answered), append(line.Y, a.Accuracy)
		line.Low, line.High = append(line.Low, a.Interval[0]), append(line.High, a.Interval[1])
	}
	last := x.Abstention[0]
	f := &plot.Figure{Title: "Accuracy where uncertain images are not answered", X: plot.Axis{Label: "images answered, the most certain first, in %", Min: 0, Max: 100},
		Y: plot.Axis{Label: "accuracy"}, Series: []plot.Series{line},
		Text: fmt.Sprintf("Accuracy by the share of images that are answered: %.3f for the most certain %.0f %%, %.3f for %.0f %%.", last.Accuracy, 100*last.Answered,
			x.Abstention[len(x.Abstention)-1].Accuracy, 100*x.Abstention[len(x.Abstention)-1].Answered)}
	s.Parts = append(s.Parts, report.Figures{f})
	return s
}
