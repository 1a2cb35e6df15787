package train

import (
	"melo.example/melo/dataset"
	"melo.example/melo/lora/answer"
	"melo.example/melo/metric"
)

// Calibration is fitted to a model's validation results. The adapter file stores it.
type Calibration struct {
	// Temperatures divide the logits: one if labels are exclusive, else one per label. Empty if the samples do
	// not determine them, for example because a class is missing or the classes are separated perfectly.
	Temperatures []float64
	// Thresholds are the calibrated probabilities from which each label counts as present: one per label.
	Thresholds []float64
}

// Calibrate fits temperatures, then thresholds of the calibrated probabilities. The evaluation must be of
// validation images: test images would no longer be unseen. A threshold maximises the sum of sensitivity and
// specificity (Youden) or, if sensitivity is not 0, the specificity among those with at least that sensitivity.
// A label that all samples have, or none, gets one half.
func (e *Evaluation) Calibrate(sensitivity float64) Calibration {
	c := Calibration{Temperatures: e.temperatures(), Thresholds: make([]float64, e.Classes)}
	p := e.Calibrated(c)
	for l := range c.Thresholds {
		curve := metric.NewCurve(p.Column(l))
		i, ok := curve.Youden()
		if sensitivity > 0 {
			i, ok = curve.AtSensitivity(sensitivity)
		}
		c.Thresholds[l] = 0.5
		if ok {
			c.Thresholds[l] = curve.Between(i)
		}
	}
	return c
}

// temperatures fits those that the samples determine.
func (e *Evaluation) temperatures() []float64 {
	if e.Task != dataset.MultiLabel {
		class := make([]int, len(e.Truth)/e.Classes)
		for i, yes := range e.Truth {
			if yes {
				class[i/e.Classes] = i % e.Classes
			}
		}
		t, ok := metric.SoftmaxTemperature(e.Logits, e.Classes, class)
		if !ok {
			return nil
		}
		return []float64{t}
	}
	var list []float64
	any := false
	for l := range e.Classes {
		var logits []float32
		var truth []bool
		for at := l; at < len(e.Logits); at += e.Classes {
			logits, truth = append(logits, e.Logits[at]), append(truth, e.Truth[at])
		}
		t, ok := metric.SigmoidTemperature(logits, truth)
		list, any = append(list, t), any || ok
	}
	if !any {
		return nil
	}
	return list
}

// Calibrated turns logits into the probabilities that an adapter with this calibration would give, with its
// thresholds for decisions.
func (e *Evaluation) Calibrated(c Calibration) *metric.Predictions {
	rule := answer.Rule{Exclusive: e.Task != dataset.MultiLabel && e.Classes > 1, Temperatures: c.Temperatures}
	p := &metric.Predictions{Labels: e.Classes, Exclusive: e.Task != dataset.MultiLabel,
		Prob: make([]float64, len(e.Logits)), Truth: e.Truth, Thresholds: c.Thresholds}
	for at := 0; at < len(e.Logits); at += e.Classes {
		rule.Probabilities(p.Prob[at:at+e.Classes], e.Logits[at:at+e.Classes])
	}
	return p
}
