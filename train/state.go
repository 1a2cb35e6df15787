package train

import (
	"fmt"
	"math"
)

// State is the progress of a run. Together with the parameters, the optimizer's moments and the best parameters
// so far, it is all that a run needs to resume as if it had not been interrupted: random numbers follow from
// seed, epoch and index.
type State struct {
	Epoch int `json:"epoch"` // completed epochs
	Batch int `json:"batch"` // completed batches of the next epoch
	Step  int `json:"step"`  // completed optimizer steps

	LossSum float64 `json:"loss_sum"` // over the images of the epoch in progress
	Images  int     `json:"images"`   // of the epoch in progress

	Losses []float64 `json:"losses,omitempty"` // of each step of the epoch in progress

	BestEpoch int    `json:"best_epoch"` // epoch to keep, counted from 1; 0: none yet
	Best      Scores `json:"best,omitempty"`
	// TopEpoch is the epoch with the best validation of a run that keeps the last one and may return; 0: none.
	TopEpoch int    `json:"top_epoch,omitempty"`
	Top      Scores `json:"top,omitempty"`
	Stopped  bool   `json:"stopped"` // ended early, because validation no longer improved

	History  []Epoch   `json:"history,omitempty"`
	Retreats []Retreat `json:"retreats,omitempty"` // in order
	Kept     Kept      `json:"kept,omitempty"`     // set when the run is over

	Loss float64 `json:"-"` // of the last step
	Norm float64 `json:"-"` // of the last step's gradients, before clipping
}

// Epoch is the record of one epoch.
type Epoch struct {
	Epoch int     `json:"epoch"` // counted from 1
	Step  int     `json:"step"`  // optimizer steps up to its end
	LR    float64 `json:"lr"`    // of its last step
	Loss  float64 `json:"loss"`  // mean over its images, during training
	// LossError is the standard error of Loss, from the variation between steps.
	LossError float64 `json:"loss_error,omitempty"`
	Val       Scores  `json:"val,omitempty"`
}

// Kept says which parameters a run kept.
type Kept string

// The parameters that a run may keep.
const (
	KeptBest  Kept = "best"  // those of the epoch with the best validation
	KeptLast  Kept = "last"  // those of the last epoch
	KeptStart Kept = "start" // the initial ones: nothing later scored better on validation
)

// Retreat records that a run returned to an earlier step and halved its learning rates.
type Retreat struct {
	Epoch  int    `json:"epoch"` // epoch that was restarted, counted from 1
	To     int    `json:"to"`    // step it returned to
	From   int    `json:"from"`  // step it had reached
	Reason string `json:"reason"`
}

// beginEpoch resets the record of the epoch in progress.
func (s *State) beginEpoch() { s.Batch, s.LossSum, s.Images, s.Losses = 0, 0, 0, nil }

// check returns an error if s cannot be the state of a run of the given size.
func (s *State) check(epochs, batches int) error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"epoch", s.Epoch, epochs}, {"batch", s.Batch, batches}, {"step", s.Step, epochs * batches},
		{"images", s.Images, math.MaxInt32}, {"best_epoch", s.BestEpoch, s.Epoch}, {"top_epoch", s.TopEpoch, s.Epoch},
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

// Scores maps names to measured values. A score that the data does not define is absent.
type Scores map[string]float64

// The names of scores, as package metric defines them.
const (
	AUC              = "auc" // macro average, one label against the rest
	Accuracy         = "accuracy"
	BalancedAccuracy = "balanced_accuracy"
	F1               = "f1" // macro average
	ECE              = "ece"
	Brier            = "brier"
	LogLoss          = "log_loss"
)

// ScoreNames lists the scores, the most informative first.
func ScoreNames() []string {
	return []string{AUC, Accuracy, BalancedAccuracy, F1, ECE, Brier, LogLoss}
}

// Better reports whether a run should keep the parameters with scores s rather than those with scores t. The
// higher AUC decides; if AUCs are equal or undefined, the lower log loss.
func (s Scores) Better(t Scores) bool {
	a, ok := s[AUC]
	b, ok2 := t[AUC]
	if ok && ok2 && a != b {
		return a > b
	}
	return s[LogLoss] < t[LogLoss]
}
