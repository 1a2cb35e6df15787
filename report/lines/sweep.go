package lines

import (
	"fmt"
	"path/filepath"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
)

// Sweep shows the table to people.
func Sweep(l Writer, d *experiment.SweepResult) {
	l.Printf("%d candidates on %s, %d images to validate", len(d.Results), d.Data.Path, d.Data.Val)
	line := "   place"
	widths := make([]int, len(d.Tried))
	for k, t := range d.Tried {
		widths[k] = len(t.Name)
		for _, r := range d.Results {
			widths[k] = max(widths[k], len(r.Values[k]))
		}
		line += fmt.Sprintf("  %-*s", widths[k], t.Name)
	}
	l.Printf("%s  epochs     AUC  accuracy  log loss   trained", line)
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf("%.3f", *v)
	}
	for i, r := range d.Results {
		mark := " "
		if r.IsGiven {
			mark = "*"
		}
		line := fmt.Sprintf(" %s %5d", mark, i+1)
		for k, v := range r.Values {
			line += fmt.Sprintf("  %-*s", widths[k], v)
		}
		l.Printf("%s  %6d  %6s  %8s  %8s  %8s", line, r.Epochs, show(r.AUC), show(r.Accuracy), show(r.LogLoss), text.Count(r.Trained))
	}
	l.Printf("  *: the settings of the command line")
	if d.Gain != nil {
		l.Printf("  the best has %.1f points of AUC more; of the best of many, part is luck", 100*(*d.Gain))
	}
	l.Printf("  to train it:")
	l.Printf("    %s", d.Command)
	l.Printf("  table: %s", filepath.Join(d.Folder, "sweep.csv"))
}
