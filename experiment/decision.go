package experiment

import (
	"fmt"
	"slices"

	"melo.example/melo/metric"
)

// The decision rules.
const (
	MostProbable = "most probable" // for exclusive labels
	ByThreshold  = "threshold"     // for two labels: the second if its probability reaches its threshold
	ByThresholds = "thresholds"    // each label by its own threshold
)

// decisionOf describes the decision rule of predictions, and what other rules would give.
func decisionOf(p *metric.Predictions, labels []string) Decision {
	half := *p
	half.Thresholds = nil
	d := Decision{Alternatives: []Alternative{}}
	fitted := len(p.Thresholds) > 0 && slices.ContainsFunc(p.Thresholds, func(t float64) bool { return t != 0.5 })
	switch {
	case p.Exclusive && p.ByThreshold && p.Labels == 2:
		d.Rule, d.Text = ByThreshold, fmt.Sprintf("%s from a probability of %.3f on, which validation chose; else %s", labels[1], p.Threshold(1), labels[0])
		if len(p.Thresholds) == 0 {
			d.Text = fmt.Sprintf("%s from a probability of one half on; else %s: the adapter has no threshold of its own", labels[1], labels[0])
		}
		if fitted {
			d.Alternatives = append(d.Alternatives, alternative("the more probable label", &half, labels))
		}
	case p.Exclusive:
		d.Rule, d.Text = MostProbable, "the most probable label"
		if p.Labels == 2 && fitted {
			other := *p
			other.ByThreshold = true
			d.Alternatives = append(d.Alternatives, alternative("the second label from the threshold on that validation chose", &other, labels))
		}
	default:
		d.Rule, d.Text = ByThresholds, "each label from its threshold on, which validation chose"
		if len(p.Thresholds) == 0 {
			d.Text = "each label from a probability of one half on: the adapter has no thresholds of its own"
		}
		if fitted {
			d.Alternatives = append(d.Alternatives, alternative("each label from a probability of one half on", &half, labels))
		}
	}
	return d
}

// alternative evaluates another rule.
func alternative(text string, p *metric.Predictions, labels []string) Alternative {
	a := Alternative{Text: text, Accuracy: maybe(p.Accuracy()), Balanced: maybe(p.BalancedAccuracy())}
	for l, k := range p.Counts() {
		a.PerLabel = append(a.PerLabel, AlternativeRates{labels[l], p.Threshold(l), maybe(k.Sensitivity()), maybe(k.Specificity())})
	}
	return a
}

// maybe returns a number for a document, or nil if it is not defined.
func maybe(v float64, ok bool) *float64 {
	if !ok {
		return nil
	}
	return &v
}
