package train

import (
	"fmt"
	"math"
)

// State is where a run stands. With the parameters, the optimizer's moments and the best parameters so far it
// is all that a run needs to go on as if it had not been stopped: what is random follows from seed, epoch
// and index.
type State struct {
	Epoch int `json:"epoch"` // epochs that are complete
	Batch int `json:"batch"` // batches of the next epoch that are done
	Step  int `json:"step"`  // optimizer steps done

	LossSum float64 `json:"loss_sum"` // over the images of the epoch in progress
	Images  int     `json:"images"`   // of the epoch in progress

	Losses []float64 `json:"losses,omitempty"` // of each step of the epoch in progress

	BestEpoch int    `json:"best_epoch"` // the one to keep, counted from 1; 0: none yet
	Best      Scores `json:"best,omitempty"`
	Stopped   bool   `json:"stopped"` // before the last epoch, because validation no longer got better

	History  []Epoch   `json:"history,omitempty"`
	Retreats []Retreat `json:"retreats,omitempty"` // in order
	Kept     Kept      `json:"kept,omitempty"`     // once the run is over

	Loss float64 `json:"-"` // of the last step
	Norm float64 `json:"-"` // of the last step's gradients, before clipping
}

// Epoch is what is recorded of one epoch.
type Epoch struct {
	Epoch int     `json:"epoch"` // counted from 1
	Step  int     `json:"step"`  // optimizer steps until its end
	LR    float64 `json:"lr"`    // of its last step
	Loss  float64 `json:"loss"`  // mean over its images, while they were trained on
	// LossError is the standard error of Loss, from how the losses of steps differ.
	LossError float64 `json:"loss_error,omitempty"`
	Val       Scores  `json:"val,omitempty"`
}

// Kept says which parameters a run has kept.
type Kept string

// What a run may keep.
const (
	KeptBest  Kept = "best"  // those of the epoch with the best validation
	KeptLast  Kept = "last"  // those of the last epoch
	KeptStart Kept = "start" // those that it began with: nothing that it found scored better on validation
)

// Retreat says that a run went back to an earlier step and halved its rates.
type Retreat struct {
	Epoch  int    `json:"epoch"` // that it began again, counted from 1
	To     int    `json:"to"`    // steps done then
	From   int    `json:"from"`  // steps that were done
	Reason string `json:"reason"`
}

// beginEpoch forgets what is known of the epoch in progress.
func (s *State) beginEpoch() { s.Batch, s.LossSum, s.Images, s.Losses = 0, 0, 0, nil }

// check returns an error if s cannot be the state of a run of so many epochs.
func (s *State) check(epochs, batches int) error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"epoch", s.Epoch, epochs}, {"batch", s.Batch, batches}, {"step", s.Step, epochs * batches},
		{"images", s.Images, math.MaxInt32}, {"best_epoch", s.BestEpoch, s.Epoch},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("%s is %d, expected 0 to %d", f.name, f.value, f.max)
		}
	}
	if len(s.Retreats) > maxRetreats {
		return fmt.Errorf("%d retreats are recorded, expected at most %d", len(s.Retreats), maxRetreats)
	}
	if len(s.Losses) > batches {
		return fmt.Errorf("%d losses are recorded, expected at most %d", len(s.Losses), batches)
	}
	if len(s.History) != s.Epoch {
		return fmt.Errorf("%d epochs are recorded, expected %d", len(s.History), s.Epoch)
	}
	return nil
}

// Scores are measured numbers by name. What the data does not define is not there.
type Scores map[string]float64

// The names of scores, as package metric defines them.
const (
	AUC              = "auc" // macro, one label against the rest
	Accuracy         = "accuracy"
	BalancedAccuracy = "balanced_accuracy"
	F1               = "f1" // macro
	ECE              = "ece"
	Brier            = "brier"
	LogLoss          = "log_loss"
)

// ScoreNames lists them, the most telling first.
func ScoreNames() []string {
	return []string{AUC, Accuracy, BalancedAccuracy, F1, ECE, Brier, LogLoss}
}

// Better tells whether a run had better keep the parameters with scores s than those with scores t: the
// higher AUC decides; the lower log loss, if AUCs are equal or not defined.
func (s Scores) Better(t Scores) bool {
	a, ok := s[AUC]
	b, ok2 := t[AUC]
	if ok && ok2 && a != b {
		return a > b
	}
	return s[LogLoss] < t[LogLoss]
}
