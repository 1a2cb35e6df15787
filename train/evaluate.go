package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/dataset"
	"melo.example/melo/metric"
)

// Evaluator evaluates a model on a fixed list of samples, whose labels must all be known.
type Evaluator struct {
	Model Model
	Data  Data // without shuffling or augmentation
	Task  dataset.Task
	Views []View // additional views of each image; the logits of all views are averaged
	// Progress is called after each pass with the number of samples processed. It may be nil.
	Progress func(done int)
}

// Evaluation holds a model's logits for some samples, in the order of its Data.
type Evaluation struct {
	Task    dataset.Task
	Classes int
	Indices []int     // [n] indices of the samples in the data set
	Logits  []float32 // [n, Classes]
	Truth   []bool    // [n, Classes]
}

// Run computes the logits of every sample.
func (e *Evaluator) Run(ctx context.Context) (*Evaluation, error) {
	out := &Evaluation{Task: e.Task, Classes: e.Model.Classes()}
	for b, err := range e.Data.EpochFrom(ctx, 0, 0) {
		if err != nil {
			return nil, &DataError{err}
		}
		values, pass := len(b.Images)/b.N, e.Model.MaxBatch()
		for i := 0; i < b.N; i += pass {
			n := min(pass, b.N-i)
			images, at := b.Images[i*values:(i+n)*values], len(out.Logits)
			out.Logits = append(out.Logits, e.Model.Forward(images, n, false)...)
			for _, view := range e.Views {
				view(images)
				for k, v := range e.Model.Forward(images, n, false) {
					out.Logits[at+k] += v
				}
			}
			for k := range out.Logits[at:] {
				out.Logits[at+k] /= float32(1 + len(e.Views))
			}
		}
		out.Indices = append(out.Indices, b.Indices...)
		for _, t := range b.Targets {
			out.Truth = append(out.Truth, t > 0)
		}
		if e.Progress != nil {
			e.Progress(len(out.Indices))
		}
	}
	if len(out.Indices) == 0 {
		return nil, &DataError{errors.New("train: validation: no sample could be loaded")}
	}
	if i := slices.IndexFunc(out.Logits, func(v float32) bool { return v-v != 0 }); i >= 0 {
		return nil, fmt.Errorf("train: validation: a logit of sample %d is %v", out.Indices[i/out.Classes], out.Logits[i])
	}
	return out, nil
}

// Scores runs the evaluation and returns its scores.
func (e *Evaluator) Scores(ctx context.Context) (Scores, error) {
	out, err := e.Run(ctx)
	if err != nil {
		return nil, err
	}
	return ScoresOf(out.Predictions()), nil
}

// Predictions turns logits into probabilities: softmax for exclusive labels, else sigmoids.
func (e *Evaluation) Predictions() *metric.Predictions { return e.Calibrated(Calibration{}) }

// ScoresOf computes every score in Scores that p defines.
func ScoresOf(p *metric.Predictions) Scores {
	s := Scores{}
	for name, f := range map[string]func() (float64, bool){
		AUC: p.MacroAUC, Accuracy: p.Accuracy, BalancedAccuracy: p.BalancedAccuracy, F1: p.F1,
		Brier: p.Brier, LogLoss: p.LogLoss,
		ECE: func() (float64, bool) { return p.ECE(metric.DefaultBins) },
	} {
		if v, ok := f(); ok {
			s[name] = v
		}
	}
	return s
}
