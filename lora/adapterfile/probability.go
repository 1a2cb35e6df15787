package adapterfile

import (
	"cmp"
	"math"
	"slices"
)

// LabelNames returns the names of the labels, in the order of the logits.
func (m *Metadata) LabelNames() []string {
	names := make([]string, len(m.Labels))
	for i, l := range m.Labels {
		names[i] = l.Name
	}
	return names
}

// Threshold returns the probability from which a label counts as present: one half where the file has none.
func (m *Metadata) Threshold(label int) float64 {
	if len(m.Thresholds) == 0 {
		return 0.5
	}
	return m.Thresholds[label]
}

// Probabilities sets dst to the calibrated probabilities of one image's logits, one a label: divided by
// the temperatures, then softmax, or for multilabel and for a single logit a sigmoid each. It computes in
// float64.
func (m *Metadata) Probabilities(dst []float64, logits []float32) {
	for i, v := range logits {
		temperature := 1.0
		if n := len(m.Temperatures); n > 0 {
			temperature = cmp.Or(m.Temperatures[min(i, n-1)], 1)
		}
		dst[i] = float64(v) / temperature
	}
	dst = dst[:len(logits)]
	if m.Task == Multilabel || len(logits) == 1 {
		sigmoid(dst)
	} else {
		softmax(dst)
	}
}

// softmax turns logits into probabilities that add up to 1.
func softmax(x []float64) {
	top, sum := slices.Max(x), 0.0
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

// sigmoid turns each logit into the probability of its label alone.
func sigmoid(x []float64) {
	for i, v := range x {
		x[i] = 1 / (1 + math.Exp(-v))
	}
}
