package machine

import (
	"melo.example/melo/dataset"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// trainingStep is what bench/compare calls a step: forward, softmax cross-entropy, backward and AdamW on
// A, B and the head; q and v of every block.
type trainingStep struct {
	tuner     *lora.Tuner
	loss      train.Loss
	optimizer *train.AdamW
	targets   train.Targets // image i is of class i modulo headLabels
	dlogits   []float32
	losses    []float64
	done      func(what string) // if set, called after each part of a step that is not the backbone's
}

// stepAdamW are PyTorch's defaults.
var stepAdamW = train.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01}

const stepRate = 1e-3

// newTrainingStep trains start, which has a head of headLabels classes, in place.
func newTrainingStep(b *Bench, batch int, start *lora.Adapter) (*trainingStep, error) {
	tuner, err := lora.NewTuner(b.model(), batch, lora.MeLo, start, lora.Options{})
	if err != nil {
		return nil, err
	}
	loss, err := train.NewLoss(dataset.MultiClass, headLabels, 0, nil)
	if err != nil {
		return nil, err
	}
	s := &trainingStep{tuner: tuner, loss: loss, optimizer: train.NewAdamW(tuner.Params(), stepAdamW, b.pool),
		dlogits: make([]float32, batch*headLabels), losses: make([]float64, batch)}
	for i := range batch {
		s.targets.Label = append(s.targets.Label, i%headLabels)
	}
	return s, nil
}

// run trains on one full batch and returns its mean loss.
func (s *trainingStep) run(images []float32) (loss float64, err error) {
	logits := s.tuner.Forward(images, len(s.losses), true)
	s.finished("head")
	s.loss.Backward(s.losses, s.dlogits, logits, s.targets, s.loss.Weight(s.targets))
	s.finished("loss")
	s.tuner.Backward(s.dlogits)
	s.finished("backward")
	if _, err := s.optimizer.Step(stepRate); err != nil {
		return 0, err
	}
	s.tuner.Updated()
	s.finished("update")
	for _, l := range s.losses {
		loss += l
	}
	return loss, nil
}

func (s *trainingStep) finished(what string) {
	if s.done != nil {
		s.done(what)
	}
}
