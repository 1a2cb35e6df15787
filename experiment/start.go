package experiment

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/train"
	"melo.example/melo/vit"
)

// Start is what a run measures of the bare base before training.
type Start struct {
	// Penalty of the linear probe, and its mean loss on the training images without it.
	Penalty float64 `json:"penalty"`
	Loss    float64 `json:"loss"`
	// Scores of the probe on validation, uncalibrated, which the run's result must reach. Empty without
	// validation.
	Scores map[string]float64 `json:"scores"`
	// Rates that follow from the pace; missing with a given learning rate.
	Rates *lora.Rates `json:"rates,omitempty"`
}

// gaugedImages is the number of training images that are measured for the rates.
const gaugedImages = 64

// bare is the base without adapter, as a train.Backbone. It measures the first images.
type bare struct {
	compute.Engine
	size  int // number of features
	gauge *lora.Gauge
	left  int       // images still to be measured
	err   error     // error of measuring
	done  func(int) // called with the number of images processed
}

// PrefixSize returns the number of features per image.
func (b *bare) PrefixSize() int { return b.size }

// Prefix computes the features of n images. The measurement does not depend on the size of passes.
func (b *bare) Prefix(dst, images []float32, n int) {
	values := len(images) / n
	k := min(n, b.left)
	if k > 0 {
		b.left -= k
		f, err := b.gauge.Measure(b.Engine, images[:k*values], k)
		if b.err = errors.Join(b.err, err); err != nil {
			k, b.left = 0, 0
		}
		copy(dst, f)
	}
	if k < n {
		copy(dst[k*b.size:], b.Features(images[k*values:n*values], n-k))
	}
	b.done(n)
}

// prepare fits the linear probe of the bare base and derives the learning rates, if the run uses them.
func (j *Run) prepare(ctx context.Context) error {
	c := &j.config
	if c.HeadInit != HeadProbe && c.Pace == nil {
		return nil
	}
	b := j.bare()
	learn, val, err := j.features(ctx, b)
	if err = errors.Join(err, b.err); err != nil {
		return err
	}
	j.start = &Start{Scores: map[string]float64{}}
	if c.Pace != nil && j.steps() {
		rates := j.tuner.SetPace(*c.Pace, b.gauge, learn[0].AbsSum())
		j.start.Rates = &rates
	}
	if c.HeadInit != HeadProbe {
		return nil
	}
	p, err := j.fit(learn, val)
	if err != nil {
		return err
	}
	head := j.tuner.Adapter().Head
	copy(head.W, p.W)
	copy(head.Bias, p.Bias)
	j.tuner.Updated()
	j.loop.Blind = p.Blind
	j.start.Penalty, j.start.Loss = p.Penalty, p.Loss
	if val != nil {
		mean := train.MeanOf(val)
		maps.Copy(j.start.Scores, train.ScoresOf(mean.Evaluation(j.set.Task, p.Logits(mean)).Predictions()))
	}
	j.hook.tell(Probed{Title: j.o.Title, Start: *j.start, Method: c.Method, Samples: len(j.parts[1])})
	return nil
}

// bare returns the base without adapter. It measures only if learning rates depend on that.
func (j *Run) bare() *bare {
	b := &bare{Engine: j.model.NewEngine(j.tuner.MaxBatch()), size: j.model.Features(), done: func(int) {}}
	if j.config.Pace == nil || !j.steps() {
		return b
	}
	kinds := []vit.Kind{vit.Q, vit.V}
	for _, d := range j.tuner.Adapter().Deltas {
		if !slices.Contains(kinds, d.Site.Kind) {
			kinds = append(kinds, d.Site.Kind)
		}
	}
	b.gauge, b.left = lora.NewGauge(kinds...), gaugedImages
	return b
}

// features computes the features of the training and validation images, and of each additional view. The order
// of the training images is the same for all seeds, and so is the probe. Nothing depends on the size of passes:
// views come after a whole batch, so the batch determines which of them are measured.
func (j *Run) features(ctx context.Context, b *bare) (learn, val []*train.Features, err error) {
	views := j.views()
	total, done := (len(j.parts[0])+len(j.parts[1]))*(1+len(views)), 0
	b.done = func(n int) {
		done += n
		j.hook.tell(Meter{Stage: "features of the base", Done: min(done, total-1), Total: total})
	}
	defer func() { j.hook.tell(Meter{Stage: "features of the base", Done: total, Total: total}) }()
	for i, dst := range []*[]*train.Features{&learn, &val} {
		if len(j.parts[i]) == 0 {
			continue
		}
		opt := dataset.LoaderOptions{Batch: min(j.config.Batch, gaugedImages), Workers: j.o.Workers, Shuffle: i == 0, Seed: 1, MaxBad: j.config.MaxBad}
		load, err := dataset.NewLoader(j.set.Dataset, j.parts[i], j.model.Recipe, opt)
		if err != nil {
			return nil, nil, err
		}
		if *dst, err = train.GatherFeatures(ctx, b, load, views...); err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			return nil, nil, badInput(err)
		}
	}
	return learn, val, nil
}

// fit fits the probe to the training images and their views. Its penalty is chosen on validation or, if there
// is none, on a fifth of the training images, keeping groups together.
func (j *Run) fit(learn, val []*train.Features) (*train.Probe, error) {
	classes, c := len(j.set.Labels), &j.config
	loss, err := train.NewLoss(j.set.Task, classes, c.LabelSmoothing, c.ClassWeights)
	if err != nil {
		return nil, err
	}
	all := train.Join(learn)
	if val != nil {
		return train.FitProbe(j.base.pool, all, classes, loss, train.MeanOf(val))
	}
	held := func(i int) bool {
		s := &j.set.Samples[i]
		h := fnv.New32a()
		fmt.Fprintf(h, "%s %d", s.Group, map[bool]int{true: 0, false: i}[s.Group != ""])
		return h.Sum32()%5 == 0
	}
	part, rest := all.Part(held), all.Part(func(i int) bool { return !held(i) })
	if part.N() == 0 || rest.N() == 0 {
		return train.FitProbeWith(j.base.pool, all, classes, loss, 1)
	}
	p, err := train.FitProbe(j.base.pool, rest, classes, loss, part)
	if err != nil {
		return nil, err
	}
	return train.FitProbeWith(j.base.pool, all, classes, loss, p.Penalty)
}

// views returns the views of an image over which its answer is averaged, besides the image itself.
func (j *Run) views() []train.View {
	if !j.config.Mirror {
		return nil
	}
	side := j.model.Recipe.Size
	return []train.View{func(images []float32) { imaging.Mirror(images, side) }}
}

// steps reports whether the run makes optimizer steps. A linear probe is solved directly, unless a learning
// rate is given.
func (j *Run) steps() bool { return j.config.Epochs > 0 }

// below reports whether scores on validation are worse than those of the linear probe.
func (s *Start) below(scores train.Scores) bool {
	return s != nil && len(s.Scores) > 0 && train.Scores(s.Scores).Better(scores)
}
