package main

import (
	"cmp"
	"fmt"
	"time"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// trainProgress shows how training is getting on: a bar with the time left, and a line per epoch.
type trainProgress struct {
	j     *trainJob
	ui    *ui.Progress
	meter *ui.Meter
	total int64 // images to see, validation included
	done  int64
	peak  float64 // FLOP/s of the machine, 0 if unknown
	flops float64 // of one image in training

	began    time.Time // of the epoch's training, less the time of pauses
	images   int       // trained on in the epoch
	trained  int       // trained on since the start
	spent    time.Duration
	lastRate float64 // images/s
}

// peakSample is how long the machine's peak is measured.
const peakSample = 100 * time.Millisecond

func newTrainProgress(j *trainJob) *trainProgress {
	from := j.model.Depth
	if d := j.tuner.Adapter().Deltas; len(d) > 0 {
		from = d[0].Site.Block
	}
	p := &trainProgress{j: j, flops: lora.StepFLOPs(&j.model.Config, j.config.Method, from)}
	if j.trainData != j.trainLoad {
		p.flops = 0 // most images do not pass the base at all
	}
	p.total = int64(j.config.Epochs) * int64(len(j.parts[0])+len(j.parts[1]))
	return p
}

// start begins to draw; what a resumed run has behind it counts as done.
func (p *trainProgress) start() {
	j := p.j
	p.peak = kernel.MeasurePeakOf(j.precision, j.base.pool, peakSample)
	if !j.view.quiet {
		j.s.notef("%s%s on %s, %d labels (%s): %d images to train, %d to validate, %d for testing later", p.prefix(),
			methodText(j.config.Method), j.set.path, len(j.set.Labels), j.set.Task, len(j.parts[0]), len(j.parts[1]), len(j.parts[2]))
		j.s.notef("%s%s", p.prefix(), planText(j))
	}
	state := &j.loop.State
	p.done = int64(state.Epoch)*int64(len(j.parts[0])+len(j.parts[1])) + int64(state.Images)
	if p.ui = j.view.ui; p.ui == nil {
		p.ui = j.s.progress()
	}
	p.meter = p.ui.Start(cmp.Or(j.view.title, "training"), p.done, p.total)
	p.began = time.Now()
}

// prefix is what the run's lines begin with.
func (p *trainProgress) prefix() string {
	if p.j.view.title == "" {
		return ""
	}
	return p.j.view.title + ": "
}

// planText says what will be trained, and how long.
func planText(j *trainJob) string {
	deltas, head := j.tuner.Adapter().Parameters()
	what := fmt.Sprintf("%s numbers in the head", ui.Count(int64(head)))
	base := j.model.Parameters()
	switch j.config.Method {
	case lora.MeLo:
		what = fmt.Sprintf("%s: %s numbers (%.2f %% of the base) and %s", sitesLine(j.tuner.Adapter().Deltas),
			ui.Count(int64(deltas)), 100*float64(deltas)/float64(base), what)
	case lora.FullTuning:
		what = fmt.Sprintf("all %s numbers of the base and %s", ui.Count(base), what)
	}
	return fmt.Sprintf("%s; %d epochs of %d steps at most, learning rate %g", what, j.config.Epochs, j.trainLoad.Batches(), j.config.LR)
}

func methodText(m lora.Method) string {
	switch m {
	case lora.LinearOnly:
		return "linear probe"
	case lora.FullTuning:
		return "full fine-tuning"
	}
	return "low-rank adapter"
}

func (p *trainProgress) close() {
	if p.meter != nil {
		p.meter.Finish()
	}
	if p.ui != nil && p.j.view.ui == nil {
		p.ui.Close()
	}
}

// printf prints a line that stays.
func (p *trainProgress) printf(format string, args ...any) {
	if p.ui != nil {
		p.ui.Printf(format, args...)
		return
	}
	p.j.s.notef(format, args...)
}

// hook follows the loop.
func (p *trainProgress) hook() train.Hook {
	return train.Hook{Name: "progress", Step: p.step, Epoch: p.epoch}
}

func (p *trainProgress) step(l *train.Loop) error {
	s := &l.State
	n := s.Images - p.images
	if n < 0 || p.images == 0 {
		n = min(s.Images, p.j.config.Batch)
	}
	p.images, p.trained = s.Images, p.trained+n
	p.done += int64(n)
	status := fmt.Sprintf("epoch %d/%d  loss %.2f", s.Epoch+1, l.Epochs, s.Loss)
	if k := len(s.History); k > 0 {
		if v, ok := s.History[k-1].Val[train.AUC]; ok {
			status += fmt.Sprintf("  AUC %.3f", v)
		}
	}
	p.spent += time.Since(p.began)
	p.began = time.Now()
	p.meter.Set(p.done, status+p.speed())
	return nil
}

// rate is images/s in training so far.
func (p *trainProgress) rate() float64 {
	if p.spent <= 0 {
		return 0
	}
	return float64(p.trained) / p.spent.Seconds()
}

// share is the share of the machine's peak that the rate comes to, 0 if unknown.
func (p *trainProgress) share() float64 {
	if p.peak <= 0 {
		return 0
	}
	return p.rate() * p.flops / p.peak
}

// waiting is the share of the time of training that was spent waiting for images.
func (p *trainProgress) waiting() float64 {
	if p.spent <= 0 {
		return 0
	}
	return min(p.j.trainLoad.WaitSeconds()/p.spent.Seconds(), 1)
}

func (p *trainProgress) speed() string {
	digits := 1
	if p.rate() >= 100 {
		digits = 0
	}
	text := fmt.Sprintf("  %.*f img/s", digits, p.rate())
	if s := p.share(); s > 0 {
		text += fmt.Sprintf("  %.0f%% of peak", 100*s)
	}
	return text
}

// beginValidation stops the clock of training; the function that it returns starts it again.
func (p *trainProgress) beginValidation() func() {
	base := p.done
	p.images = 0
	return func() {
		p.done = base + int64(len(p.j.parts[1]))
		p.began = time.Now()
	}
}

// validated shows how far a validation is.
func (p *trainProgress) validated(n int) {
	p.meter.Set(p.done+int64(n), fmt.Sprintf("epoch %d/%d  validating", p.j.loop.State.Epoch+1, p.j.config.Epochs))
}

func (p *trainProgress) epoch(l *train.Loop) error {
	s := &l.State
	e := s.History[len(s.History)-1]
	line := fmt.Sprintf("epoch %*d/%d  loss %.3f", len(fmt.Sprint(l.Epochs)), e.Epoch, l.Epochs, e.Loss)
	if e.Val != nil {
		line += "  val " + scoreLine(e.Val, 1)
		if v, ok := e.Val[train.Accuracy]; ok {
			line += fmt.Sprintf(" acc %.3f", v)
		}
	}
	line += p.speed()
	if e.Val != nil && s.BestEpoch == e.Epoch {
		line += "  best"
	}
	if !p.j.view.quiet {
		p.ui.Printf("%s%s", p.prefix(), line)
		if s.Stopped {
			p.ui.Printf("%sno better validation for %d epochs: stopping", p.prefix(), p.j.config.Patience)
		}
	}
	p.images, p.began = 0, time.Now()
	return nil
}
