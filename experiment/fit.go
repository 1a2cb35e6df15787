package experiment

import (
	"context"

	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/fit"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/train"
)

// describedImages limits the number of training images that are described, and of validation images.
const describedImages = 2000

// summaries is the first half of a trained model, as a train.Backbone.
type summaries struct {
	engine  compute.Engine
	early   compute.Early
	adapter *lora.Resident
	size    int
	done    func(n int)
}

func (s *summaries) MaxBatch() int   { return s.engine.MaxBatch() }
func (s *summaries) PrefixSize() int { return s.size }

// Prefix computes the summaries of n images.
func (s *summaries) Prefix(dst, images []float32, n int) {
	copy(dst, s.early.EarlyOnly(images, n, compute.Segment{Adapter: s.adapter, Images: n}))
	s.done(n)
}

// describe stores a description of its training images in the adapter. If there are too few images the adapter
// gets none, with a note.
func (j *Run) describe(ctx context.Context, file *adapterfile.File) error {
	model := j.tuner.Base()
	engine := model.NewEngine(j.tuner.MaxBatch())
	early, ok := engine.(compute.Early)
	if !ok {
		return nil
	}
	block := compute.MiddleBlock(&model.Config)
	early.KeepEarly(block)
	s := &summaries{engine: engine, early: early, adapter: j.tuner.Adapter().Resident(model.Precision), size: compute.EarlySize(&model.Config)}
	parts := [2][]int{spaced(j.parts[0], describedImages), spaced(j.parts[1], describedImages)}
	done, total := 0, len(parts[0])+len(parts[1])
	s.done = func(n int) {
		done += n
		j.hook.tell(Meter{Stage: "describing the images", Done: min(done, total-1), Total: total})
	}
	defer func() { j.hook.tell(Meter{Stage: "describing the images", Done: total, Total: total}) }()
	var samples [2]*fit.Sample
	for i, part := range parts {
		if len(part) == 0 {
			continue
		}
		var err error
		if samples[i], err = j.summarize(ctx, s, part); err != nil {
			return err
		}
	}
	description, chosen, err := fit.Estimate(samples[0], samples[1], fit.DefaultRefusal)
	if err != nil {
		j.hook.note("the adapter will not tell images that are unlike those of its training: " + text.OneLine(err))
		return nil
	}
	file.Fit = description
	file.Meta.Fit = &adapterfile.Fit{Block: block, Images: samples[0].N(), On: dataset.Val, OnImages: chosen.Images,
		Refusal: chosen.Refusal, Expected: chosen.Expected}
	if j.config.Refuse {
		file.Meta.Fit.Policy = adapterfile.FitRefuse
	}
	if chosen.Held {
		file.Meta.Fit.On = dataset.Train
	}
	return nil
}

// summarize computes the summaries of some samples.
func (j *Run) summarize(ctx context.Context, s *summaries, part []int) (*fit.Sample, error) {
	opt := dataset.LoaderOptions{Batch: s.MaxBatch(), Workers: j.o.Workers, MaxBad: j.config.MaxBad}
	load, err := dataset.NewLoader(j.set.Dataset, part, j.model.Recipe, opt)
	if err != nil {
		return nil, err
	}
	list, err := train.GatherFeatures(ctx, s, load)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, badInput(err)
	}
	sample := &fit.Sample{Size: s.size, X: list[0].X}
	for _, i := range list[0].Samples {
		sample.Groups = append(sample.Groups, j.set.Samples[i].Group)
	}
	return sample, nil
}

// spaced returns at most n evenly spaced elements of a list.
func spaced(list []int, n int) []int {
	if len(list) <= n {
		return list
	}
	some := make([]int, n)
	for i := range some {
		some[i] = list[i*len(list)/n]
	}
	return some
}
