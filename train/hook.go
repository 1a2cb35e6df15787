package train

import (
	"errors"
	"time"
)

// Hook extends a training loop. Its functions may be nil. An error ends the run.
type Hook struct {
	Name string
	// Step is called after each optimizer step, Epoch after each epoch and its validation.
	Step, Epoch func(*Loop) error
	// Interrupted is called when the run is cancelled.
	Interrupted func(*Loop) error
}

func (h Hook) step() func(*Loop) error        { return h.Step }
func (h Hook) epoch() func(*Loop) error       { return h.Epoch }
func (h Hook) interrupted() func(*Loop) error { return h.Interrupted }

// each calls one function of every hook, in order.
func (l *Loop) each(which func(Hook) func(*Loop) error) error {
	for i := range l.Hooks {
		if f := which(l.Hooks[i]); f != nil {
			if err := f(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// EarlyStopping ends a run after patience epochs without improvement on validation. It waits until the learning
// rate has fallen to the fraction fallen of its peak: before that, an epoch without improvement says little
// about later ones.
func EarlyStopping(patience int, fallen float64) Hook {
	return Hook{Name: "early stopping", Epoch: func(l *Loop) error {
		s := &l.State
		if l.Last || s.BestEpoch == 0 {
			return nil
		}
		top := 0.0
		for _, e := range s.History {
			top = max(top, e.LR)
		}
		s.Stopped = s.Epoch-s.BestEpoch >= patience && l.Rate(s.Step) <= fallen*top
		return nil
	}}
}

// Checkpoints saves the run at path when it is interrupted, after each epoch, and within an epoch if every has
// passed since the last save. If one of the latter two fails, warn is called and the run continues; the last
// checkpoint stays in place.
func Checkpoints(path string, id *Identity, every time.Duration, warn func(error)) Hook {
	last := time.Now()
	save := func(l *Loop) error {
		if err := l.Save(path, id); err != nil {
			warn(err)
		}
		last = time.Now()
		return nil
	}
	return Hook{
		Name:  "checkpoints",
		Epoch: save,
		Step: func(l *Loop) error {
			if time.Since(last) < every {
				return nil
			}
			return save(l)
		},
		Interrupted: func(l *Loop) error {
			if err := l.Save(path, id); err != nil {
				return errors.Join(errors.New("train: interrupted, and the checkpoint could not be saved"), err)
			}
			return nil
		},
	}
}
