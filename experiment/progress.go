package experiment

import (
	"time"

	"melo.example/melo/lora"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// progress tracks the progress of training, and reports it.
type progress struct {
	j     *Run
	total int64 // images to process, including validation
	done  int64
	peak  float64 // peak speed of the machine in FLOP/s, 0 if unknown
	flops float64 // operations per image in training

	began    time.Time // start of the epoch's training, adjusted for pauses
	images   int       // images trained in the epoch
	trained  int       // images trained since the start
	retreats int       // reported retreats
	spent    time.Duration
}

// peakSample is how long the machine's peak speed is measured.
const peakSample = 100 * time.Millisecond

func newProgress(j *Run) *progress {
	from := j.model.Depth
	if d := j.tuner.Adapter().Deltas; len(d) > 0 {
		from = d[0].Site.Block
	}
	p := &progress{j: j, flops: lora.StepFLOPs(&j.model.Config, j.config.Method, from)}
	p.total = int64(j.config.Epochs) * int64(len(j.parts[0])+len(j.parts[1]))
	if j.data != j.trainLoad {
		p.flops = 0 // most images do not pass through the base at all
	}
	return p
}

// start starts counting. What a resumed run completed earlier counts as done.
func (p *progress) start() {
	j := p.j
	p.peak = vit.MeasurePeak(j.precision, j.base.pool, peakSample)
	state := &j.loop.State
	p.retreats = len(state.Retreats)
	p.done = int64(state.Epoch)*int64(len(j.parts[0])+len(j.parts[1])) + int64(state.Images)
	var rates *lora.Rates
	if j.start != nil {
		rates = j.start.Rates
	}
	j.hook.tell(Began{Rates: rates, Title: j.o.Title, Data: j.info, Config: j.config, Deltas: j.tuner.Adapter().Deltas, Parameters: j.parameters(),
		StepsPerEpoch: j.trainLoad.Batches(), Done: p.done, Total: p.total})
	p.began = time.Now()
}

// hook returns the hook that updates the progress.
func (p *progress) hook() train.Hook {
	return train.Hook{Name: "progress", Step: p.step, Epoch: p.epoch}
}

func (p *progress) step(l *train.Loop) error {
	s := &l.State
	for ; p.retreats < len(s.Retreats); p.retreats++ {
		p.j.hook.tell(Retreated{Title: p.j.o.Title, Retreat: s.Retreats[p.retreats], Number: p.retreats + 1})
		p.images = 0
		p.done = int64(s.Epoch) * int64(len(p.j.parts[0])+len(p.j.parts[1]))
	}
	n := s.Images - p.images
	if n < 0 || p.images == 0 {
		n = min(s.Images, p.j.config.Batch)
	}
	p.images, p.trained = s.Images, p.trained+n
	p.done += int64(n)
	p.spent += time.Since(p.began)
	p.began = time.Now()
	e := Stepped{Title: p.j.o.Title, Epoch: s.Epoch + 1, Epochs: l.Epochs, Loss: s.Loss, Speed: p.speed(), Done: p.done, Total: p.total}
	if k := len(s.History); k > 0 {
		e.Scores = s.History[k-1].Val
	}
	p.j.hook.tell(e)
	return nil
}

// rate returns the training speed so far in images per second.
func (p *progress) rate() float64 {
	if p.spent <= 0 {
		return 0
	}
	return float64(p.trained) / p.spent.Seconds()
}

// share returns the fraction of the machine's peak speed that the rate amounts to, 0 if unknown.
func (p *progress) share() float64 {
	if p.peak <= 0 {
		return 0
	}
	return p.rate() * p.flops / p.peak
}

func (p *progress) speed() Speed { return Speed{ImagesPerSecond: p.rate(), ShareOfPeak: p.share()} }

// waiting returns the fraction of training time spent waiting for images.
func (p *progress) waiting() float64 {
	if p.spent <= 0 {
		return 0
	}
	return min(p.j.trainLoad.WaitSeconds()/p.spent.Seconds(), 1)
}

// beginValidation pauses the clock of training. The returned function resumes it.
func (p *progress) beginValidation() func() {
	base := p.done
	p.images = 0
	return func() {
		p.done = base + int64(len(p.j.parts[1]))
		p.began = time.Now()
	}
}

// validated reports the progress of a validation.
func (p *progress) validated(n int) {
	p.j.hook.tell(Validating{Title: p.j.o.Title, Epoch: p.j.loop.State.Epoch + 1, Epochs: p.j.config.Epochs, Done: p.done + int64(n), Total: p.total})
}

func (p *progress) epoch(l *train.Loop) error {
	s := &l.State
	e := s.History[len(s.History)-1]
	p.j.hook.tell(EpochEnded{Title: p.j.o.Title, Epoch: e, Epochs: l.Epochs, Best: e.Val != nil && s.BestEpoch == e.Epoch && !l.Last, Stopped: s.Stopped,
		Patience: p.j.config.Patience, Speed: p.speed()})
	p.images, p.began = 0, time.Now()
	return nil
}
