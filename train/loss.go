package train

import (
	"fmt"
	"math"

	"melo.example/melo/dataset"
)

// Targets holds the labels of consecutive images of a batch.
type Targets struct {
	Label   []int     // [n], for exclusive labels
	Present []float32 // [n, classes], 0, 1 or [dataset.Unknown]
}

// Loss computes the loss of logits and its gradient.
type Loss interface {
	// Weight returns the divisor of the sum of the images' losses. It is computed for a whole batch, before the
	// batch is cut into passes.
	Weight(t Targets) float64
	// Backward sets losses [n] to each image's share of the batch's loss, and dlogits to the gradient of the
	// loss with respect to logits. Both dlogits and logits are [n, classes].
	Backward(losses []float64, dlogits, logits []float32, t Targets, weight float64)
}

// NewLoss returns the usual loss of a task: cross-entropy over a softmax for exclusive labels, else binary
// cross-entropy over sigmoids. weights is nil, or has one weight per label.
func NewLoss(task dataset.Task, classes int, smoothing float64, weights []float64) (Loss, error) {
	if !(smoothing >= 0 && smoothing < 1) {
		return nil, fmt.Errorf("train: label smoothing %v, expected 0 to 1", smoothing)
	}
	if weights != nil && len(weights) != classes {
		return nil, fmt.Errorf("train: %d class weights for %d labels", len(weights), classes)
	}
	for i, w := range weights {
		if !(w > 0) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("train: class weight %d is %v, expected a positive number", i, w)
		}
	}
	if weights == nil {
		weights = make([]float64, classes)
		for i := range weights {
			weights[i] = 1
		}
	}
	if task == dataset.MultiLabel {
		return &binaryCrossEntropy{smoothing: smoothing, positive: weights}, nil
	}
	return &crossEntropy{smoothing: smoothing, weights: weights, p: make([]float64, classes)}, nil
}

// crossEntropy matches PyTorch's, including class weights and label smoothing. With targets t = (1-smoothing)
// onehot + smoothing/classes an image has the loss -sum w_c t_c log p_c; the loss of a batch is the sum of
// these divided by the sum of the weights of its labels. It is computed in float64.
type crossEntropy struct {
	smoothing float64
	weights   []float64
	p         []float64 // scratch
}

func (l *crossEntropy) Weight(t Targets) float64 {
	sum := 0.0
	for _, label := range t.Label {
		sum += l.weights[label]
	}
	return sum
}

func (l *crossEntropy) Backward(losses []float64, dlogits, logits []float32, t Targets, weight float64) {
	k := len(l.p)
	for i := range losses {
		z, d := logits[i*k:(i+1)*k], dlogits[i*k:(i+1)*k]
		top := math.Inf(-1)
		for _, v := range z {
			top = max(top, float64(v))
		}
		sum := 0.0
		for c, v := range z {
			l.p[c] = math.Exp(float64(v) - top)
			sum += l.p[c]
		}
		lse := top + math.Log(sum)
		loss, mass := 0.0, 0.0 // mass: sum of w_c t_c
		for c, v := range z {
			wt := l.weights[c] * l.target(c, t.Label[i])
			loss += wt * (lse - float64(v))
			mass += wt
		}
		for c := range z {
			d[c] = float32((mass*l.p[c]/sum - l.weights[c]*l.target(c, t.Label[i])) / weight)
		}
		losses[i] = loss / weight
	}
}

func (l *crossEntropy) target(class, label int) float64 {
	t := l.smoothing / float64(len(l.p))
	if class == label {
		t += 1 - l.smoothing
	}
	return t
}

// binaryCrossEntropy matches PyTorch's BCEWithLogitsLoss with pos_weight, averaged over labels and images, with
// targets (1-smoothing) y + smoothing/2. Unknown labels are ignored. It is computed in float64.
type binaryCrossEntropy struct {
	smoothing float64
	positive  []float64 // weights of the positive term, one per label
}

// Weight returns the number of known labels.
func (l *binaryCrossEntropy) Weight(t Targets) float64 {
	n := 0
	for _, y := range t.Present {
		if y != dataset.Unknown {
			n++
		}
	}
	return float64(max(n, 1))
}

func (l *binaryCrossEntropy) Backward(losses []float64, dlogits, logits []float32, t Targets, weight float64) {
	l.each(losses, dlogits, logits, t, weight, func(z, pos, neg float64) (loss, slope float64) {
		return pos*softplus(-z) + neg*softplus(z), (pos+neg)*sigmoid(z) - pos
	})
}

// each sums up the losses of labels, and sets their gradients. term is the loss of a logit, and its slope, for a weight of its being
// present and one of its being absent.
func (l *binaryCrossEntropy) each(losses []float64, dlogits, logits []float32, t Targets, weight float64, term func(z, pos, neg float64) (loss, slope float64)) {
	k := len(l.positive)
	for i := range losses {
		loss := 0.0
		for c := range k {
			if t.Present[i*k+c] == dataset.Unknown {
				dlogits[i*k+c] = 0
				continue
			}
			z := float64(logits[i*k+c])
			y := float64(t.Present[i*k+c])*(1-l.smoothing) + l.smoothing/2
			one, slope := term(z, y*l.positive[c], 1-y)
			loss += one
			dlogits[i*k+c] = float32(slope / weight)
		}
		losses[i] = loss / weight
	}
}

// softplus returns log(1 + e^x).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// BalancedWeights returns class weights inversely proportional to the frequency of labels among the samples at
// indices, so that every label contributes equally. For exclusive labels they are n / (labels * count), for
// others negatives / positives. They are clamped to [1/MaxClassWeight, MaxClassWeight].
func BalancedWeights(ds *dataset.Dataset, indices []int) []float64 {
	weights := make([]float64, len(ds.Labels))
	for l, count := range ds.Counts(indices) {
		n, c := float64(len(indices)), float64(max(count, 1))
		weights[l] = n / (float64(len(ds.Labels)) * c)
		if ds.Task == dataset.MultiLabel {
			for _, i := range indices {
				if ds.Samples[i].Targets[l] == dataset.Unknown {
					n--
				}
			}
			weights[l] = (n - float64(count)) / c
		}
		weights[l] = min(max(weights[l], 1/MaxClassWeight), MaxClassWeight)
	}
	return weights
}

// MaxClassWeight limits BalancedWeights, so that a label with very few samples does not dominate all others.
const MaxClassWeight = 50.0
