// Package answer turns the logits of an adapter into an answer: probabilities and the decided label or labels.
// Facade, server, evaluations and reports all use it, so that they agree.
package answer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
)

// Rule describes how logits become an answer. It comes from the adapter file.
type Rule struct {
	// Labels name the outputs, in the order of the logits.
	Labels []string
	// Exclusive says that exactly one label applies: probabilities are a softmax. Otherwise labels apply
	// independently, and each probability is a sigmoid of its logit.
	Exclusive bool
	// ByThreshold says that each label is decided by its threshold. If two exclusive labels are decided that
	// way (a binary task), the threshold of the second decides between them, so the most probable label is not
	// always the decision.
	ByThreshold bool
	// Temperatures divide the logits: none, one for all, or one per label. 0 counts as 1.
	Temperatures []float64
	// Thresholds are the probabilities from which a label counts as present: none (one half), or one per label.
	// Without ByThreshold they do not affect the decision; they apply when a single label is considered.
	Thresholds []float64
	// Sets is the calibration of prediction sets; nil if there is none.
	Sets *conformal.Calibration
}

// Answer is the answer of an adapter for one image.
type Answer struct {
	Label         string    // the most probable label, the first in case of a tie
	Index         int       // index of Label
	Probability   float64   // probability of Label
	Probabilities []float64 // one per label, calibrated
	Logits        []float32 // one per label
	// Present reports for each label whether its probability reaches its threshold. It is nil without
	// Rule.ByThreshold; then Label is the decision.
	Present []bool
	// Fit says whether the image resembles the training images; nil if unknown.
	Fit *fit.Verdict
	// Remarks lists choices that were made where the image file allows several. Functions that read files set
	// it.
	Remarks []string
}

// Unlike reports whether the image is known to differ from the training images. No label is then decided.
func (a *Answer) Unlike() bool { return a.Fit != nil && a.Fit.Unlike }

// NotFiniteError reports that a logit, or a probability computed from it, is NaN or infinite. Only the affected
// row fails; other rows of the batch are still answered. The caller wraps this error with the name of the file,
// image or request.
type NotFiniteError struct {
	Label string  // label of the first such output; empty if outputs have no names
	Index int     // its index
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

// Of returns the answer for the logits of one image, one per label. The answer keeps the slice. The error is a
// [NotFiniteError], or says that the number of logits differs from the number of labels.
func (r *Rule) Of(logits []float32) (Answer, error) {
	if len(logits) == 0 || len(logits) != len(r.Labels) {
		return Answer{}, fmt.Errorf("answer: %d logits for %d labels", len(logits), len(r.Labels))
	}
	a := Answer{Logits: logits, Probabilities: make([]float64, len(logits))}
	r.Probabilities(a.Probabilities, logits)
	for i, p := range a.Probabilities {
		if v := logits[i]; v-v != 0 || p-p != 0 { // v-v is 0 only for finite v
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

// Mean returns the answer whose probabilities are the means of those of several answers to the same question. Its logits are those that
// have such probabilities under this rule, which has no temperatures. What the answers say of the image itself is left to whoever knows.
func (r *Rule) Mean(answers []Answer) (Answer, error) {
	logits := make([]float32, len(r.Labels))
	for l := range logits {
		p := 0.0
		for i := range answers {
			p += answers[i].Probabilities[l] / float64(len(answers))
		}
		const least = 1e-37 // what a float32 bears
		v := math.Log(max(p, least))
		if !r.Exclusive {
			v -= math.Log(max(1-p, least))
		}
		logits[l] = float32(v)
	}
	return r.Of(logits)
}

// ErrNoSets says that an adapter cannot say which labels cannot be excluded.
var ErrNoSets = errors.New("has no calibration for prediction sets: it was imported, trained without validation, or written before there were such")

// Set returns the labels that cannot be excluded at a coverage between 0 and 1. It returns nil without
// [Rule.Sets], and for an image that differs from the training images, for which the calibration does not hold.
func (r *Rule) Set(a *Answer, coverage float64) *conformal.Set {
	if r.Sets == nil || a.Unlike() {
		return nil
	}
	s := r.Sets.Of(a.Probabilities, r.Labels, coverage)
	return &s
}

// Decision lists the labels that an answer decides for. It is empty for an image that differs from the training
// images.
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

// sides reports whether one threshold decides between two labels: that of the second, so that exactly one is
// present.
func (r *Rule) sides() bool { return r.Exclusive && r.ByThreshold && len(r.Labels) == 2 }

// Threshold returns the probability from which a label counts as present. If one threshold decides between two
// labels, it is that of the second label, and its complement to 1 for the first.
func (r *Rule) Threshold(label int) float64 {
	if len(r.Thresholds) == 0 {
		return 0.5
	}
	if r.sides() && label == 0 {
		return 1 - r.Thresholds[1]
	}
	return r.Thresholds[label]
}

// Probabilities sets dst to the calibrated probabilities for one image's logits, one per label, computed in
// float64. Each lies in [0, 1], or is NaN if a logit is.
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

// Top returns the index of the greatest value, the first in case of a tie. Values must be finite.
func Top(values []float64) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// softmax turns logits into probabilities with sum 1. None exceeds 1, because a rounded sum of positive values
// is at least as large as each of them.
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

// sigmoid turns each logit into the probability of its label.
func sigmoid(x []float64) {
	for i, v := range x {
		x[i] = 1 / (1 + math.Exp(-v))
	}
}
