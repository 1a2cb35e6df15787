package adapterfile

import (
	"math"
	"slices"
	"testing"
)

func TestProbabilities(t *testing.T) {
	e := math.Exp(1)
	for name, c := range map[string]struct {
		meta   Metadata
		logits []float32
		want   []float64
	}{
		"softmax":               {Metadata{Task: Binary}, []float32{1, 0}, []float64{e / (1 + e), 1 / (1 + e)}},
		"one temperature":       {Metadata{Task: Multiclass, Temperatures: []float64{2}}, []float32{2, 0, 0}, []float64{e / (2 + e), 1 / (2 + e), 1 / (2 + e)}},
		"sigmoid":               {Metadata{Task: Multilabel}, []float32{1, 0}, []float64{e / (1 + e), 0.5}},
		"a temperature a label": {Metadata{Task: Multilabel, Temperatures: []float64{4, 1}}, []float32{4, -1}, []float64{e / (1 + e), 1 / (1 + e)}},
		"single logit":          {Metadata{Task: Binary}, []float32{0}, []float64{0.5}},
		"large logits":          {Metadata{Task: Multiclass}, []float32{1e30, 0}, []float64{1, 0}},
	} {
		got := make([]float64, len(c.want))
		c.meta.Probabilities(got, c.logits)
		// A few float64 operations.
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-15 }) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
