package lines

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"melo.example/melo/internal/text"
	"melo.example/melo/predictions"
)

// Predicted shows what an adapter says about images, with the most probable labels of each.
func Predicted(l Writer, doc *predictions.Document, top int) {
	width := 0
	for _, r := range doc.Results {
		width = max(width, utf8.RuneCountInString(text.InLine(r.Image)))
	}
	for _, r := range doc.Results {
		line := fmt.Sprintf("%-*s", width, text.InLine(r.Image))
		if r.Fit != nil && r.Fit.Unlike {
			line += "  " + Unlike + ":"
		}
		for _, i := range topOf(r.Probabilities, top) {
			line += fmt.Sprintf("  %5.1f%% %s", 100*r.Probabilities[i], doc.Labels[i])
		}
		if r.Set != nil {
			line += fmt.Sprintf("  {%s}", strings.Join(r.Set.Labels, ", "))
		}
		l.Printf("%s", line)
	}
}

// PredictedAll shows by image what the adapters say that it is for.
func PredictedAll(l Writer, d *predictions.All, top int) {
	width := 0
	for k := range d.Adapters {
		width = max(width, len(d.Adapters[k].TaskName()))
	}
	for _, a := range d.Applies {
		l.Printf("%s", text.InLine(a.Image))
		switch {
		case a.Error != "":
			l.Printf("  no answer")
		case len(a.Apply)+len(a.Unknown) == 0:
			l.Printf("  no adapter knows such images")
		}
		for k := range d.Adapters {
			x := &d.Adapters[k]
			r := x.Result(a.Image)
			if r == nil || r.Fit != nil && r.Fit.Unlike {
				continue
			}
			line := fmt.Sprintf("  %-*s", width, x.TaskName())
			for _, i := range topOf(r.Probabilities, top) {
				line += fmt.Sprintf("  %5.1f%% %s", 100*r.Probabilities[i], x.Labels[i])
			}
			if r.Fit == nil {
				line += "  (does not know its training images)"
			}
			l.Printf("%s", line)
		}
	}
}

// Unlike marks an image that nothing is decided about.
const Unlike = "not like its training images, no decision"

// topOf returns the indices of the n largest values, the largest first, equal ones in order.
func topOf(values []float64, n int) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] > values[b]:
			return -1
		case values[a] < values[b]:
			return 1
		}
		return 0
	})
	return order[:min(n, len(order))]
}
