package experiment

import (
	"math/rand/v2"
	"testing"

	"melo.example/melo/dataset"
	"melo.example/melo/train"
)

// answers are logits of two labels for n images, half of each, that tell them apart by so much.
func answers(n int, apart float64, noise uint64) *train.Evaluation {
	rng := rand.New(rand.NewPCG(7, noise))
	e := &train.Evaluation{Task: dataset.Binary, Classes: 2}
	for i := range n {
		z := rng.NormFloat64()
		if i%2 == 1 {
			z += apart
		}
		e.Indices = append(e.Indices, i)
		e.Logits = append(e.Logits, 0, float32(z))
		e.Truth = append(e.Truth, i%2 == 0, i%2 == 1)
	}
	return e
}

// TestByChance: a small deficit that resampling explains does not cost the adapter; a large one, or a certain one, does.
func TestByChance(t *testing.T) {
	images := func(n int) *Run {
		return &Run{o: &Options{}, set: &Set{Dataset: &dataset.Dataset{Samples: make([]dataset.Sample, n)}}}
	}
	auc := func(e *train.Evaluation) float64 { return train.ScoresOf(e.Predictions())[train.AUC] }
	shifted := func(e *train.Evaluation, images int) *train.Evaluation { // images of the second label are answered worse
		c := *e
		c.Logits = append([]float32(nil), e.Logits...)
		for i := 1; i < 2*images; i += 2 {
			c.Logits[2*i+1] -= 1
		}
		return &c
	}
	probe := answers(160, 3, 1)
	jittered := *probe // as another training would answer, by luck a little worse
	jittered.Logits = append([]float32(nil), probe.Logits...)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range probe.Indices {
		jittered.Logits[2*i+1] += 0.5 * float32(rng.NormFloat64())
	}
	for _, c := range []struct {
		name           string
		adapter, probe *train.Evaluation
		kept           bool
		low, high      float64 // of the difference in AUC
	}{
		{"by luck", &jittered, probe, true, -probeMargin, 0},
		{"beyond the margin", answers(160, 0.5, 1), probe, false, -1, -probeMargin},
		{"certain", shifted(answers(4000, 3, 1), 200), answers(4000, 3, 1), false, -probeMargin, 0},
		{"better", probe, shifted(probe, 4), false, 0, 1},
	} {
		j := images(len(c.adapter.Indices))
		if d := auc(c.adapter) - auc(c.probe); d <= c.low || d >= c.high {
			t.Errorf("%s: the AUCs differ by %v, expected %v to %v", c.name, d, c.low, c.high)
		}
		kept, err := j.byChance(t.Context(), c.adapter, c.probe)
		if err != nil || kept != c.kept {
			t.Errorf("%s: %v, %v, expected %v", c.name, kept, err, c.kept)
		}
	}
}
