package study

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/report"
	"melo.example/melo/report/plot"
)

// Shots is the report of comparisons on few images: the AUC of each method by the number of images of each label that it was
// trained on. command is how they are made again.
func Shots(d *experiment.ShotsDocument, command string) *report.Page {
	first := &d.Results[0].Comparison
	var names []string
	for i := range first.Methods {
		names = append(names, first.Methods[i].Method)
	}
	f := &plot.Figure{Title: "AUC by training images of each label", X: plot.Axis{Label: "training images of each label", Log: true}, Y: plot.Axis{Label: "AUC"}}
	t := &report.Table{Caption: "AUC on the test images, with 95\u00a0% intervals", Head: append([]string{"of each label", "images to train"}, names...)}
	series := make([]plot.Series, len(names))
	for m, name := range names {
		series[m] = plot.Series{Name: name, Color: m + 1, Shade: name}
	}
	seen := []string{}
	for _, r := range d.Results {
		row := []string{strconv.Itoa(r.Shots), strconv.Itoa(r.Comparison.Data.Train)}
		for m := range r.Comparison.Methods {
			x := &r.Comparison.Methods[m]
			cell := few(x.AUC, r.Comparison.Data.Test)
			if x.AUC != nil && x.AUCInterval != nil {
				s := &series[m]
				s.X, s.Y = append(s.X, float64(r.Shots)), append(s.Y, *x.AUC)
				s.Low, s.High = append(s.Low, x.AUCInterval[0]), append(s.High, x.AUCInterval[1])
				cell = withRange(x.AUC, x.AUCInterval)
				n := decimals(x.AUCInterval[1] - x.AUCInterval[0])
				seen = append(seen, fmt.Sprintf("%s on %d: %.*f", x.Method, r.Shots, n, *x.AUC))
			}
			if x.AUCDeviation != nil {
				cell += ", sd " + few(x.AUCDeviation, r.Comparison.Data.Test)
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	f.Series, f.Text = series, "AUC by training images of each label. "+strings.Join(seen, "; ")+"."
	what := "Images are drawn anew for each seed, and those of a smaller number are among those of a larger one. Validation and test images are always the same: validation serves " +
		"calibration and thresholds, and decides between the adapter and its probe. Bands and intervals are those of the test images; sd is the standard deviation over the seeds."
	p := &report.Page{Title: strings.Join(names, ", ") + " on few images of " + filepath.Base(filepath.Clean(first.Data.Path)), Notice: capital(experiment.Notice) + ".",
		Lead:     fmt.Sprintf("Trained on %s images of each label; %d images to validate, %d to test; %s.", listed(d.Shots), first.Data.Val, first.Data.Test, SeedsText(len(first.Seeds))),
		Warnings: first.Warnings,
		Facts: []report.Fact{{Name: "Command", Value: command}, {Name: "Base", Value: d.Base}, {Name: "Data", Value: first.Data.Path + ", " + first.Data.Digest},
			{Name: "Labels", Value: fmt.Sprintf("%s: %s", first.Data.Task, text.List(first.Data.Labels))}, {Name: "Program", Value: "melo " + buildinfo.Version}}}
	p.Sections = []report.Section{{Title: "Results", Parts: []report.Part{report.Figures{f}, t, report.Text(what), report.Text("Differences with their intervals are in the report of each number, in the folders beside this file.")}}}
	return p
}

// listed joins numbers.
func listed(numbers []int) string {
	var list []string
	for _, n := range numbers {
		list = append(list, strconv.Itoa(n))
	}
	return text.List(list)
}
