package adapterfile

import "melo.example/melo/lora/answer"

// LabelNames returns the names of the labels, in the order of the logits.
func (m *Metadata) LabelNames() []string {
	names := make([]string, len(m.Labels))
	for i, l := range m.Labels {
		names[i] = l.Name
	}
	return names
}

// Rule returns the rule that turns logits into an answer.
func (m *Metadata) Rule() answer.Rule {
	return answer.Rule{Labels: m.LabelNames(), Exclusive: m.Exclusive(), ByThreshold: m.Task != Multiclass, Temperatures: m.Temperatures, Thresholds: m.Thresholds, Sets: m.Conformal}
}

// Exclusive reports whether exactly one of the labels applies to an image. A single label is not exclusive: it
// applies or it does not.
func (m *Metadata) Exclusive() bool { return m.Task != Multilabel && len(m.Labels) != 1 }
