package train

import (
	"fmt"
	"math"

	"melo.example/melo/dataset"
)

// NewFocalLoss returns the focal loss of a task (Lin et al., arXiv 1708.02002): every term -log p of the loss
// that NewLoss returns is multiplied by (1-p)^gamma, which reduces the weight of easy examples. Label smoothing
// and class weights (the paper's alpha) work as in NewLoss. gamma = 0 gives the loss of NewLoss.
func NewFocalLoss(task dataset.Task, classes int, gamma, smoothing float64, weights []float64) (Loss, error) {
	if !(gamma >= 0 && gamma <= MaxGamma) {
		return nil, fmt.Errorf("train: gamma %v of the focal loss, expected 0 to %v", gamma, MaxGamma)
	}
	l, err := NewLoss(task, classes, smoothing, weights)
	if err != nil || gamma == 0 {
		return l, err
	}
	switch l := l.(type) {
	case *crossEntropy:
		return &focal{crossEntropy: l, gamma: gamma}, nil
	case *binaryCrossEntropy:
		return &binaryFocal{binaryCrossEntropy: l, gamma: gamma}, nil
	}
	panic("train: a loss without a focal form")
}

// MaxGamma limits gamma; papers use 0.5 to 5.
const MaxGamma = 20.0

// focal applies to a softmax. With targets t an image has the loss -sum w_c t_c (1-p_c)^gamma log p_c; the loss
// of a batch is the sum of these divided by the sum of the weights of its labels. It is computed in float64.
type focal struct {
	*crossEntropy
	gamma float64
}

func (l *focal) Backward(losses []float64, dlogits, logits []float32, t Targets, weight float64) {
	k := len(l.p)
	for i := range losses {
		z, d := logits[i*k:(i+1)*k], dlogits[i*k:(i+1)*k]
		lse := l.logSum(z)
		loss, total := 0.0, 0.0 // total: sum of w_c t_c g_c
		for c, v := range z {
			wt := l.weights[c] * l.target(c, t.Label[i])
			if wt == 0 { // log p may be infinite
				continue
			}
			value, slope := modulated(float64(v)-lse, l.gamma)
			loss += wt * value
			total += wt * slope
		}
		for c, v := range z {
			g := -total * math.Exp(float64(v)-lse)
			if wt := l.weights[c] * l.target(c, t.Label[i]); wt != 0 {
				_, slope := modulated(float64(v)-lse, l.gamma)
				g += wt * slope
			}
			d[c] = float32(g / weight)
		}
		losses[i] = loss / weight
	}
}

// logSum returns the logarithm of the sum of the exponentials.
func (l *focal) logSum(z []float32) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range z {
		top = max(top, float64(v))
	}
	for _, v := range z {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// modulated returns f = -(1-p)^gamma log p and p df/dp, given log p.
func modulated(logp, gamma float64) (value, slope float64) {
	q := -math.Expm1(logp) // 1-p
	if q <= 0 {
		return 0, 0 // the limits, because gamma > 0
	}
	m := math.Pow(q, gamma)
	return -m * logp, gamma*math.Exp(logp)*(m/q)*logp - m
}

// binaryFocal applies to sigmoids: pos (1-p)^gamma (-log p) + neg p^gamma (-log(1-p)) for each label, averaged
// over labels and images. It is computed in float64.
type binaryFocal struct {
	*binaryCrossEntropy
	gamma float64
}

func (l *binaryFocal) Backward(losses []float64, dlogits, logits []float32, t Targets, weight float64) {
	l.each(losses, dlogits, logits, t, weight, func(z, pos, neg float64) (loss, slope float64) {
		v1, s1 := modulated(-softplus(-z), l.gamma) // of p = sigmoid(z)
		v0, s0 := modulated(-softplus(z), l.gamma)  // of 1-p
		// dp/dz = p(1-p), so d/dz of f(p) is (p df/dp)(1-p).
		return pos*v1 + neg*v0, pos*s1*sigmoid(-z) - neg*s0*sigmoid(z)
	})
}
