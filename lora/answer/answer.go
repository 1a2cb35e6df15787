// Package answer turns the logits of an adapter into its answer: probabilities, the label or labels that are decided for.
// It is the one place that does: the facade, the server, evaluations and reports all ask it.
package answer

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
)

// Rule is how logits become an answer, as the adapter file says.
type Rule struct {
	// Labels name the outputs, in the order of the logits.
	Labels []string
	// Exclusive says that exactly one label applies: probabilities are a softmax. Otherwise each label applies or not by
	// itself, and its probability is a sigmoid of its logit.
	Exclusive bool
	// ByThreshold says that labels are decided about one by one, by their thresholds. Where they are exclusive, too (the two
	// sides of a binary task), the threshold of the second decides between them: the most probable one is not always the decision.
	ByThreshold bool
	// Temperatures divide the logits: none, one for all, or one a label. 0 stands for 1.
	Temperatures []float64
	// Thresholds are the probabilities from which a label counts as present: none (one half), or one a label. Without
	// ByThreshold they decide nothing, and serve to look at one label alone.
	Thresholds []float64
	// Sets is what prediction sets are made by; nil: there are none.
	Sets *conformal.Calibration
}

// Answer is what an adapter says about one image.
type Answer struct {
	Label         string    // the most probable one, of equal ones the first
	Index         int       // of Label
	Probability   float64   // of Label
	Probabilities []float64 // one a label, calibrated
	Logits        []float32 // one a label
	// Present says by label whether its probability reaches its threshold; nil without Rule.ByThreshold: then Label is the
	// decision.
	Present []bool
	// Fit says whether the image is like those that the adapter was trained on; nil if that is not known.
	Fit *fit.Verdict
	// Remarks says what was chosen about the image where its file leaves a choice; set where files are read.
	Remarks []string
}

// Unlike reports whether the image is known to be unlike those that the adapter was trained on: then nothing is decided.
func (a *Answer) Unlike() bool { return a.Fit != nil && a.Fit.Unlike }

// NotFiniteError is an answer that would be no number: a logit, or a probability that follows from it, is NaN or infinite.
// The row whose answer it is fails by itself; rows beside it are not touched. Whoever knows what the row is of (a file, the
// number of an image, a request) names it around this error.
type NotFiniteError struct {
	Label string  // name of the first such output; empty if outputs have no names
	Index int     // of it
	Logit float32 // its value
}

// Error names the output.
func (e *NotFiniteError) Error() string {
	name := fmt.Sprintf("output %d", e.Index)
	if e.Label != "" {
		name = fmt.Sprintf("%q", e.Label)
	}
	return fmt.Sprintf("the model's answer is not finite: the logit of %s is %v", name, e.Logit)
}

// Of returns the answer for the logits of one image, one a label, which it keeps. The error is a [NotFiniteError], or says
// that there are not as many logits as labels.
func (r *Rule) Of(logits []float32) (Answer, error) {
	if len(logits) == 0 || len(logits) != len(r.Labels) {
		return Answer{}, fmt.Errorf("answer: %d logits for %d labels", len(logits), len(r.Labels))
	}
	a := Answer{Logits: logits, Probabilities: make([]float64, len(logits))}
	r.Probabilities(a.Probabilities, logits)
	for i, p := range a.Probabilities {
		if v := logits[i]; v-v != 0 || p-p != 0 { // only what is finite is 0 less itself
			return Answer{}, &NotFiniteError{Label: r.Labels[i], Index: i, Logit: v}
		}
	}
	a.Index = Top(a.Probabilities)
	a.Label, a.Probability = r.Labels[a.Index], a.Probabilities[a.Index]
	if r.ByThreshold {
		a.Present = make([]bool, len(logits))
		for i, p := range a.Probabilities {
			a.Present[i] = p >= r.Threshold(i)
		}
		if r.sides() {
			a.Present[0] = !a.Present[1]
		}
	}
	return a, nil
}

// Set returns the labels that cannot be excluded with a coverage of 0 to 1; nil for an image that is unlike those of the training,
// about which the calibration says nothing, and without [Rule.Sets].
func (r *Rule) Set(a *Answer, coverage float64) *conformal.Set {
	if r.Sets == nil || a.Unlike() {
		return nil
	}
	s := r.Sets.Of(a.Probabilities, r.Labels, coverage)
	return &s
}

// Decision lists the labels that an answer decides for: none for an image that is unlike those of the training.
func (r *Rule) Decision(a *Answer) []string {
	decided := []string{}
	switch {
	case a.Unlike():
		return decided
	case a.Present == nil:
		return []string{a.Label}
	}
	for i, present := range a.Present {
		if present {
			decided = append(decided, r.Labels[i])
		}
	}
	return decided
}

// sides tells whether one threshold decides between two labels: that of the second, so that exactly one is present.
func (r *Rule) sides() bool { return r.Exclusive && r.ByThreshold && len(r.Labels) == 2 }

// Threshold returns the probability from which a label counts as present. Of two labels that one threshold decides between it is
// that of the second, and what is left to 1 for the first.
func (r *Rule) Threshold(label int) float64 {
	if len(r.Thresholds) == 0 {
		return 0.5
	}
	if r.sides() && label == 0 {
		return 1 - r.Thresholds[1]
	}
	return r.Thresholds[label]
}

// Probabilities sets dst to the calibrated probabilities of one image's logits, one a label. It computes in float64. Each is
// 0 to 1, or NaN where a logit is.
func (r *Rule) Probabilities(dst []float64, logits []float32) {
	dst = dst[:len(logits)]
	for i, v := range logits {
		temperature := 1.0
		if n := len(r.Temperatures); n > 0 {
			temperature = cmp.Or(r.Temperatures[min(i, n-1)], 1)
		}
		dst[i] = float64(v) / temperature
	}
	if r.Exclusive {
		softmax(dst)
	} else {
		sigmoid(dst)
	}
}

// Top returns the index of the greatest value, of equal ones the first. Values are finite.
func Top(values []float64) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// softmax turns logits into probabilities that add up to 1. None exceeds 1: a rounded sum of positive numbers is no less than
// any of them.
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
