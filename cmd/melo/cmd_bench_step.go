package main

import (
	"math"

	"melo/internal/param"
	"melo/lora"
)

// trainingStep is what bench/compare calls a step: forward, softmax cross-entropy, backward and AdamW on
// A, B and the head; q and v of every block.
type trainingStep struct {
	tuner   *lora.Tuner
	batch   int
	dlogits []float32
	adam    []moments
	t       int // steps done
}

// moments are AdamW's running means of one parameter.
type moments struct{ m, v []float32 }

// newTrainingStep trains start, which has a head of headLabels classes, in place.
func newTrainingStep(b *bench, batch int, start *lora.Adapter) (*trainingStep, error) {
	tuner, err := lora.NewTuner(b.model(), b.pool, batch, lora.MeLo, start, lora.Options{})
	if err != nil {
		return nil, err
	}
	s := &trainingStep{tuner: tuner, batch: batch, dlogits: make([]float32, batch*headLabels)}
	for _, p := range tuner.Params() {
		s.adam = append(s.adam, moments{make([]float32, len(p.Data)), make([]float32, len(p.Data))})
	}
	return s, nil
}

// run trains on one batch, image i of class i modulo headLabels, and returns the mean loss.
func (s *trainingStep) run(images []float32) float64 {
	logits := s.tuner.Forward(images, s.batch, true)
	loss := s.crossEntropy(logits)
	s.tuner.Backward(s.dlogits)
	s.t++
	for i, p := range s.tuner.Params() {
		s.adam[i].update(p, s.t)
	}
	s.tuner.Updated()
	return loss
}

// crossEntropy sets dlogits to the gradient of the mean loss.
func (s *trainingStep) crossEntropy(logits []float32) (loss float64) {
	for i := range s.batch {
		x, d := logits[i*headLabels:(i+1)*headLabels], s.dlogits[i*headLabels:(i+1)*headLabels]
		sum, label := 0.0, i%headLabels
		for _, v := range x {
			sum += math.Exp(float64(v - x[label]))
		}
		for c, v := range x {
			d[c] = float32(math.Exp(float64(v-x[label])) / sum / float64(s.batch))
		}
		d[label] -= 1 / float32(s.batch)
		loss += math.Log(sum) / float64(s.batch)
	}
	return loss
}

// update is AdamW (Loshchilov & Hutter, arXiv 1711.05101) with PyTorch's defaults and lr 1e-3. It clears
// the gradient.
func (a moments) update(p param.Param, t int) {
	const lr, beta1, beta2, eps, decay = 1e-3, 0.9, 0.999, 1e-8, 0.01
	c1 := float32(1 - math.Pow(beta1, float64(t)))
	c2 := float32(math.Sqrt(1 - math.Pow(beta2, float64(t))))
	for i, g := range p.Grad {
		a.m[i] += (1 - beta1) * (g - a.m[i])
		a.v[i] += (1 - beta2) * (g*g - a.v[i])
		p.Data[i] -= lr*decay*p.Data[i] + lr/c1*a.m[i]/(float32(math.Sqrt(float64(a.v[i])))/c2+eps)
	}
	clear(p.Grad)
}
