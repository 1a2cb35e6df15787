package lines

import (
	"fmt"
	"strings"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/train"
)

// Trained shows a run to people.
func Trained(l Writer, d *experiment.Result) {
	l.Printf("%s", d.Adapter.Path)
	l.Printf("  size        %s", text.Bytes(d.Adapter.Bytes))
	l.Printf("  sha256      %s", hexOf(d.Adapter.Digest))
	l.Printf("  trained     %s parameters (%.2f %% of the base) and %s in the head", text.Count(d.Params.Trained), 100*d.Params.Share, text.Count(d.Params.Head))
	best := ""
	switch {
	case d.Epochs == 0:
	case d.Kept == train.KeptStart:
		best = ", kept the linear probe"
	case d.Kept == train.KeptBest:
		best = fmt.Sprintf(", best %d", d.BestEpoch)
	case d.Settings.EMA > 0:
		best = ", kept the average at the end"
	}
	l.Printf("  epochs      %d%s, %d steps in %s", d.Epochs, best, d.Steps, text.Duration(time.Duration(d.Seconds*float64(time.Second))))
	if d.Validation.Samples > 0 {
		l.Entry("  validation  ", "%s (%d images)", Scores(d.Validation.Scores, 5), d.Validation.Samples)
	}
	for _, label := range d.Data.Labels {
		if v, ok := d.Validation.PerLabel[label]; ok {
			l.Printf("    AUC %.3f  %s", v, label)
		}
	}
}

// Scores writes the first scores for people, the AUC, the accuracy and so on.
func Scores(scores map[string]float64, most int) string {
	var parts []string
	for _, x := range []struct{ name, show string }{
		{train.AUC, "AUC"}, {train.Accuracy, "accuracy"}, {train.BalancedAccuracy, "balanced"}, {train.F1, "F1"}, {train.ECE, "ECE"},
	}[:most] {
		if v, ok := scores[x.name]; ok {
			parts = append(parts, fmt.Sprintf("%s %.3f", x.show, v))
		}
	}
	return strings.Join(parts, ", ")
}
