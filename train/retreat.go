package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// mark is the state of a run at the start of an epoch.
type mark struct {
	params, m, v, average [][]float32
}

// maxRetreats limits the number in a checkpoint.
const maxRetreats = 64

// setMark records the start of an epoch, if the run may return to it.
func (l *Loop) setMark() {
	if len(l.State.Retreats) >= l.Retreats {
		l.mark = nil
		return
	}
	if l.State.Batch > 0 && l.mark != nil { // resumed within the epoch
		return
	}
	if l.mark == nil {
		l.mark = &mark{}
	}
	l.eachMarked(func(kept *[]float32, now []float32) { *kept = append((*kept)[:0], now...) })
}

// eachMarked visits each part of the mark together with its present value. It allocates the mark if necessary.
func (l *Loop) eachMarked(visit func(kept *[]float32, now []float32)) {
	k := l.mark
	params := l.Model.Params()
	for _, list := range []*[][]float32{&k.params, &k.m, &k.v, &k.average} {
		if *list == nil {
			*list = make([][]float32, len(params))
		}
	}
	for i, p := range params {
		visit(&k.params[i], p.Data)
		visit(&k.m[i], l.Optimizer.m[i])
		visit(&k.v[i], l.Optimizer.v[i])
		if l.Average != nil {
			visit(&k.average[i], l.Average.data[i])
		}
	}
}

// retreat returns to the start of the epoch and halves the learning rates, if the reason warrants it and the
// run may. It reports whether it did.
func (l *Loop) retreat(reason error) bool {
	var unfit *NotFiniteError
	var risen *risenError
	if !errors.As(reason, &unfit) && !errors.As(reason, &risen) || l.mark == nil {
		return false
	}
	s := &l.State
	to := 0
	if n := len(s.History); n > 0 {
		to = s.History[n-1].Step
	}
	s.Retreats = append(s.Retreats, Retreat{Epoch: s.Epoch + 1, To: to, From: s.Step, Reason: what(reason)})
	l.eachMarked(func(kept *[]float32, now []float32) { copy(now, *kept) })
	s.Step = to
	s.beginEpoch()
	l.Optimizer.steps = to
	l.Optimizer.forget()
	l.Model.Updated()
	return true
}

// what returns the text of a reason without the advice that an error message has.
func what(reason error) string {
	var unfit *NotFiniteError
	if errors.As(reason, &unfit) {
		return unfit.What
	}
	return reason.Error()
}

// risenError reports that the loss has risen.
type risenError struct{ from, to float64 }

func (e *risenError) Error() string {
	return fmt.Sprintf("the loss rose from %.3f to %.3f", e.from, e.to)
}

// How significant and how large a rise must be, given that images vary from epoch to epoch.
const (
	riseErrors = 3.0 // standard errors of the difference
	riseShare  = 0.05
	// firstBatches is the minimum number of batches of the first epoch for which its halves are compared.
	firstBatches = 8
)

// risen returns an error if the loss of the finished epoch is significantly above that of the previous one, or
// above Blind. For the first epoch, the loss must not be above Blind, and that of the second half not above
// that of the first half.
func (l *Loop) risen() error {
	s := &l.State
	if s.Images == 0 {
		return nil
	}
	to, toError := meanError(s.Losses)
	if n := len(s.History); n > 0 {
		last := s.History[n-1]
		if l.Blind > 0 && to > max(l.Blind, last.Loss) {
			return &risenError{last.Loss, to}
		}
		return rise(last.Loss, last.LossError, to, toError)
	}
	if l.Blind > 0 && to > l.Blind {
		return &risenError{l.Blind, to}
	}
	if len(s.Losses) < firstBatches {
		return nil
	}
	half := len(s.Losses) / 2
	from, fromError := meanError(s.Losses[:half])
	to, toError = meanError(s.Losses[half:])
	return rise(from, fromError, to, toError)
}

func rise(from, fromError, to, toError float64) error {
	if to-from > max(riseErrors*math.Hypot(fromError, toError), riseShare*math.Abs(from)) {
		return &risenError{from, to}
	}
	return nil
}

// meanError returns the mean of x and its standard error.
func meanError(x []float64) (mean, se float64) {
	n := float64(len(x))
	if n == 0 {
		return 0, 0
	}
	for _, v := range x {
		mean += v / n
	}
	if n < 2 {
		return mean, 0
	}
	for _, v := range x {
		se += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(se / (n - 1) / n)
}

// keepStart copies the initial parameters, if they may become the result.
func (l *Loop) keepStart() {
	if !l.Returns || l.start != nil {
		return
	}
	for _, p := range l.Model.Params() {
		l.start = append(l.start, slices.Clone(p.Data))
	}
}

// keepBest copies the parameters of the best epoch.
func (l *Loop) keepBest() {
	params := l.Model.Params()
	if l.best == nil {
		l.best = make([][]float32, len(params))
	}
	for i, p := range params {
		l.best[i] = append(l.best[i][:0], p.Data...)
	}
}

// keep loads the parameters that the run keeps into the model.
func (l *Loop) keep() {
	s := &l.State
	var kept [][]float32
	switch {
	case s.Epoch == 0:
		s.Kept = KeptStart
	case l.best != nil && !l.Last:
		s.Kept, kept = KeptBest, l.best
	default:
		s.Kept = KeptLast
		if l.Average != nil {
			kept = l.Average.data
		}
	}
	l.put(kept)
}

// ReturnToStart restores the initial parameters after a run with Returns whose result is no better. The returned
// function undoes it.
func (l *Loop) ReturnToStart() (undo func()) {
	return l.returnTo(KeptStart, l.State.BestEpoch, l.start)
}

// ReturnToTop restores the parameters of the epoch with the best validation, State.TopEpoch, after a run with Last and
// Returns. The returned function undoes it.
func (l *Loop) ReturnToTop() (undo func()) { return l.returnTo(KeptBest, l.State.TopEpoch, l.best) }

func (l *Loop) returnTo(kept Kept, epoch int, params [][]float32) (undo func()) {
	before, beforeEpoch := l.State.Kept, l.State.BestEpoch
	var result [][]float32
	for _, p := range l.Model.Params() {
		result = append(result, slices.Clone(p.Data))
	}
	l.State.Kept, l.State.BestEpoch = kept, epoch
	l.put(params)
	return func() {
		l.State.Kept, l.State.BestEpoch = before, beforeEpoch
		l.put(result)
	}
}

// put loads parameters into the model, if there are any.
func (l *Loop) put(kept [][]float32) {
	if kept == nil {
		return
	}
	for i, p := range l.Model.Params() {
		copy(p.Data, kept[i])
	}
	l.Model.Updated()
}

// CanChoose reports whether there are enough validation samples to tell which epoch is best. If the AUCs of
// epochs differ by less than their error, the best one is chosen by chance: with 160 samples it was no better
// than the last.
func CanChoose(samples int) bool { return samples >= 1000 }
