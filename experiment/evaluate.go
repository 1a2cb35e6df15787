package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"melo.example/melo/dataset"
	"melo.example/melo/explain/shortcut"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/answer"
	"melo.example/melo/metric"
)

// Predictor is an adapter on its base that answers for images.
type Predictor interface {
	Path() string     // of the adapter
	Digest() string   // of the adapter
	BasePath() string // of its base
	// Precision is the precision of the base's products: f32, bf16 or int8.
	Precision() string
	Labels() []string
	Metadata() adapterfile.Metadata
	// PredictEach answers for images 0 to n-1 and calls use with each answer or error, in order. image is
	// called from several goroutines.
	PredictEach(ctx context.Context, n int, image func(ctx context.Context, i int) (*imaging.Image, error),
		use func(i int, a answer.Answer, err error) error) error
}

// Explainer is a Predictor that shows where an answer comes from.
type Explainer interface {
	Predictor
	// Overlays calls use with images 0 to len(labels)-1, in order, with a map over each of what speaks for a label, by its number.
	// The longer side of what is shown is at most side pixels.
	Overlays(ctx context.Context, labels []int, side int, image func(ctx context.Context, k int) (*imaging.Image, error),
		use func(k int, shown *imaging.Image) error) error
	// Shortcuts looks at the answers for images 0 to n-1 and says whether they come from places where no finding is expected. The
	// images are mean maps over mean inputs, one a label; nil where there was no such answer.
	Shortcuts(ctx context.Context, n int, image func(ctx context.Context, i int) (*imaging.Image, error)) (*shortcut.Findings, []*imaging.Image, error)
}

// EvaluateOptions say which images an adapter is measured on, and how.
type EvaluateOptions struct {
	Data  string   // path, as [dataset.Open] takes it
	Split string   // train, val, test or all; if the data names no splits, those of the training are reproduced
	By    []string // columns of the data for subgroups: each value is also evaluated separately

	Reading     // how the data is read: as for the training
	MaxBad  int // images without an answer that may be skipped before the evaluation fails

	Coverage   float64 // of prediction sets; 0: DefaultCoverage; negative: none
	Prevalence float64 // prevalence assumed for predictive values; 0: that among the images

	Resamples int    // of the bootstrap
	Seed      uint64 // of the resamples
	Workers   int    // of the bootstrap; 0: all cores
}

// DefaultEvaluateOptions returns the options for the test split of data.
func DefaultEvaluateOptions(data string) EvaluateOptions {
	return EvaluateOptions{Data: data, Split: dataset.Test, Resamples: 2000, Seed: 1}
}

// Validate returns a [SettingError] for invalid settings.
func (o *EvaluateOptions) Validate() error {
	switch {
	case !slices.Contains([]string{dataset.Train, dataset.Val, dataset.Test, "all"}, o.Split):
		return setting("split", "%s, expected train, val, test or all", o.Split)
	case o.Resamples < 100 || o.Resamples > 1_000_000:
		return setting("resamples", "%d, expected 100 to 1000000", o.Resamples)
	case !(o.Prevalence >= 0 && o.Prevalence < 1):
		return setting("prevalence", "%v, expected more than 0 and less than 1", o.Prevalence)
	case !(o.Coverage < 1):
		return setting("coverage", "%v, expected more than 0 and less than 1", o.Coverage)
	case o.MaxBad < 0:
		return setting("max-bad", "%d, expected 0 or more", o.MaxBad)
	}
	return o.Reading.Check()
}

// Evaluation is the result of an evaluation. Close it after use.
type Evaluation struct {
	EvaluationDocument
	Judgement *Judgement // for reports
	Adapter   Predictor  // the evaluated adapter
	// MeanMaps are the mean maps of FindShortcuts over mean inputs, one a label; nil where there was no such answer.
	MeanMaps []*imaging.Image

	j *evalJob
}

// FindShortcuts looks for shortcuts in the answers for at most n of the images, evenly chosen, and keeps what it finds in the document. An
// adapter that is no Explainer, and n below 1, find nothing.
func (e *Evaluation) FindShortcuts(ctx context.Context, n int) error {
	x, ok := e.Adapter.(Explainer)
	if !ok || n < 1 {
		return nil
	}
	list := spaced(e.j.samples, n)
	at := make(map[int]int, len(e.j.samples))
	for k, i := range e.j.samples {
		at[i] = k
	}
	total := len(list)
	var err error
	e.Shortcuts, e.MeanMaps, err = x.Shortcuts(ctx, total, func(ctx context.Context, i int) (*imaging.Image, error) {
		e.j.hook.tell(Meter{Stage: "looking for shortcuts", Done: i, Total: total})
		return e.j.image(ctx, at[list[i]])
	})
	e.j.hook.tell(Meter{Stage: "looking for shortcuts", Done: total, Total: total})
	if err == nil && e.Shortcuts.Suspicious {
		e.Warnings = append(e.Warnings, "answers come from places where no finding is expected: the adapter may read marks or borders")
	}
	return err
}

// Close closes the data: images can no longer be read.
func (e *Evaluation) Close() error { return e.j.data.Close() }

// Evaluate evaluates an adapter on images.
func Evaluate(ctx context.Context, adapter Predictor, o *EvaluateOptions, hook Hook) (*Evaluation, error) {
	start := time.Now()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	meta := adapter.Metadata()
	j := &evalJob{o: o, hook: hook, adapter: adapter, rule: meta.Rule()}
	for _, step := range []func(context.Context) error{j.openData, j.predict, j.measure} {
		if err := step(ctx); err != nil {
			if j.data != nil {
				err = errors.Join(err, j.data.Close())
			}
			return nil, err
		}
	}
	j.doc.Seconds = time.Since(start).Seconds()
	return &Evaluation{EvaluationDocument: j.doc, Judgement: j.judged, Adapter: adapter, j: j}, nil
}

// evalJob is an evaluation in progress.
type evalJob struct {
	o       *EvaluateOptions
	hook    Hook
	adapter Predictor
	rule    answer.Rule
	data    *dataset.Dataset
	samples []int // indices of the evaluated samples in the data
	answers []answer.Answer
	doc     EvaluationDocument
	judged  *Judgement
	title   string // title for progress; empty: evaluating
}

// judgement returns the judgement of the evaluated images.
func (j *evalJob) judgement(boot metric.Bootstrap) *Judgement {
	return &Judgement{Labels: j.adapter.Labels(), Boot: boot, Image: j.image,
		Name: func(k int) string { return j.data.Samples[j.samples[k]].Path },
		File: func(k int) string { return j.data.File(j.samples[k]) }}
}

// predict computes the answer for every image, and drops images that cannot be read.
func (j *evalJob) predict(ctx context.Context) error {
	stage, total := cmp.Or(j.title, "evaluating"), len(j.samples)
	j.hook.tell(Meter{Stage: stage, Total: total})
	read := j.samples[:0:0]
	err := j.adapter.PredictEach(ctx, total, j.image, func(i int, p answer.Answer, err error) error {
		j.hook.tell(Meter{Stage: stage, Done: i + 1, Total: total})
		if err == nil {
			read, j.answers = append(read, j.samples[i]), append(j.answers, p)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.doc.Failed = append(j.doc.Failed, FailedImage{j.data.File(j.samples[i]), text.OneLine(err)})
		if len(j.doc.Failed) <= j.o.MaxBad {
			return nil
		}
		at := ""
		if source := j.data.Samples[j.samples[i]].Source; source != "" {
			at = " (" + source + ")"
		}
		if e := (*answer.NotFiniteError)(nil); errors.As(err, &e) {
			return fmt.Errorf("%s%s: %w", j.data.File(j.samples[i]), at, err)
		}
		return badInput(fmt.Errorf("%d unreadable images, %d are allowed (--max-bad); the last%s: %w", len(j.doc.Failed), j.o.MaxBad, at, err))
	})
	if err != nil {
		return err
	}
	if len(read) == 0 {
		return badInput(fmt.Errorf("%s: no image could be read", j.o.Data))
	}
	j.samples = read
	return nil
}

// predictions returns the answers with the true labels, calibrated as the adapter says or uncalibrated.
func (j *evalJob) predictions(calibrated bool) *metric.Predictions {
	rule := j.rule
	p := &metric.Predictions{Labels: len(rule.Labels), Exclusive: rule.Exclusive, Thresholds: rule.Thresholds, ByThreshold: rule.ByThreshold}
	if !calibrated {
		rule.Temperatures = nil
	}
	prob := make([]float64, len(rule.Labels))
	for k, i := range j.samples {
		rule.Probabilities(prob, j.answers[k].Logits)
		p.Prob = append(p.Prob, prob...)
		for l := range prob {
			p.Truth = append(p.Truth, j.has(i, l))
		}
	}
	return p
}

// has reports whether sample i has a label.
func (j *evalJob) has(i, label int) bool {
	s := &j.data.Samples[i]
	if s.Targets != nil {
		return s.Targets[label] > 0
	}
	return s.Label == label
}
