package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
)

// exclusive reports whether exactly one of the adapter's labels applies.
func (j *evalJob) exclusive() bool {
	return j.rule.Exclusive
}

// image reads evaluated image number k.
func (j *evalJob) image(ctx context.Context, k int) (*imaging.Image, error) {
	return j.data.Image(ctx, j.samples[k], imaging.Options{Window: j.adapter.Metadata().Recipe.Window})
}

// openData opens the images with the labels of the adapter, and selects the split.
func (j *evalJob) openData(ctx context.Context) error {
	o, labels := j.o, j.adapter.Labels()
	reading := o.Reading
	if want, err := imaging.ParseWindow(reading.Window); err != nil || reading.Window != "" && want != j.adapter.Metadata().Recipe.Window {
		return setting("window", "%q, but %s sees images through %q: its recipe decides", reading.Window, j.adapter.Path(), j.adapter.Metadata().Recipe.Window)
	}
	if !j.exclusive() {
		reading.Task = string(dataset.MultiLabel)
	}
	ds, err := reading.Open(o.Data, labels)
	if err != nil {
		return badInput(fmt.Errorf("data for %s, whose labels are %s: %w", j.adapter.Path(), text.List(labels), err))
	}
	j.data = ds
	if (ds.Task != dataset.MultiLabel) != j.exclusive() {
		what := map[bool]string{true: "one label an image", false: "a column of 0 and 1 for each label"}
		return badInput(fmt.Errorf("%s: has %s, but %s was trained for %s", o.Data, what[!j.exclusive()], j.adapter.Path(), what[j.exclusive()]))
	}
	if err := ds.Hash(ctx); err != nil {
		return badInput(err)
	}
	digest, err := ds.Digest()
	if err != nil {
		return badInput(err)
	}
	j.doc.Data = EvaluatedData{Path: o.Data, Digest: "sha256:" + digest, Split: o.Split}
	if t := j.adapter.Metadata().Training; t != nil && t.Data != nil {
		j.doc.Data.Training = t.Data.Digest == j.doc.Data.Digest
	}
	if err := j.checkColumns(); err != nil {
		return err
	}
	return j.choose(ctx)
}

// checkColumns returns an error for missing columns before anything is computed.
func (j *evalJob) checkColumns() error {
	names := Attributes(j.data)
	for _, by := range j.o.By {
		if !slices.Contains(names, by) {
			if len(names) == 0 {
				return badInput(setting("by", "%s: %s has no columns besides label, split and group", by, j.o.Data))
			}
			return badInput(setting("by", "%s: %s has no such column: it has %s", by, j.o.Data, text.List(names)))
		}
	}
	return nil
}

// choose selects the samples to evaluate.
func (j *evalJob) choose(ctx context.Context) error {
	o := j.o
	var err error
	switch {
	case o.Split == "all":
		for i := range j.data.Samples {
			j.samples = append(j.samples, i)
		}
	case j.doc.Data.Training:
		j.samples, err = j.trainingSplit(ctx)
	default:
		j.samples, err = j.givenSplit()
	}
	if err != nil {
		return err
	}
	switch d := &j.doc.Data; {
	case d.Training && o.Split == "all":
		j.warn("the images of the training are among those evaluated: the numbers say nothing about new images")
	case d.Training && o.Split == dataset.Train:
		j.warn("the adapter was trained on these very images: the numbers say nothing about new ones")
	case d.Training && o.Split == dataset.Val:
		j.warn("epoch, calibration and thresholds were chosen on these images: the numbers are too good")
	case !d.Training && j.adapter.Metadata().Training != nil:
		j.doc.Data.Rule = "given"
		j.warn("this is not the data that the adapter was trained on (or it has changed, or its columns were named otherwise): whether images of the training are among these cannot be told")
	}
	known, hidden := onlyKnown(j.data, j.samples)
	if hidden > 0 {
		j.samples = known
		j.warn(fmt.Sprintf("%d images have a label that is not known, and are not measured on", hidden))
	}
	if len(known) == 0 {
		return badInput(fmt.Errorf("%s: no image of the split has all its labels known", o.Data))
	}
	for _, w := range j.data.Warnings {
		j.warn(w)
	}
	return nil
}

// onlyKnown returns the samples all of whose labels are known, and the number of the others.
func onlyKnown(ds *dataset.Dataset, samples []int) (known []int, hidden int) {
	for _, i := range samples {
		if ds.Known(i) {
			known = append(known, i)
		}
	}
	return known, len(samples) - len(known)
}

func (j *evalJob) warn(warning string) {
	j.doc.Warnings = append(j.doc.Warnings, warning)
	j.hook.note("note: " + warning)
}

// givenSplit returns the samples of a split that the data defines.
func (j *evalJob) givenSplit() ([]int, error) {
	var samples []int
	for i := range j.data.Samples {
		if j.data.Samples[i].Split == j.o.Split {
			samples = append(samples, i)
		}
	}
	if len(samples) > 0 {
		return samples, nil
	}
	return nil, badInput(&NoSplitError{Data: j.o.Data, Split: j.o.Split, Adapter: j.adapter.Path()})
}

// trainingSplit reproduces the split of the training, and returns the samples of the requested part.
func (j *evalJob) trainingSplit(ctx context.Context) ([]int, error) {
	t := j.adapter.Metadata().Training
	if t.Split == nil {
		return nil, badInput(fmt.Errorf("%s: does not say how its data was split, or its members were trained on different parts of it: nothing is left to test on", j.adapter.Path()))
	}
	number := func(name string) float64 { return settingOr(t.Hyperparameters, name, 0) }
	source := Source{ValSplit: number("val_split"), TestSplit: number("test_split"), SplitSeed: t.Split.Seed, Folds: int(number("folds")),
		Shots: int(number("shots")), ShotSeed: t.Seed,
		// training was told if there was anything to decide
		AllowDuplicates: true, Reading: Reading{Depth: "stored"}}
	fold := int(number("fold"))
	if err := source.Check(); err != nil || source.Folds > 0 && (fold < 1 || fold > source.Folds) {
		return nil, badInput(fmt.Errorf("%s: its training was split in a way that cannot be: fold %d of %d, shares %v and %v", j.adapter.Path(), fold, source.Folds, source.ValSplit, source.TestSplit))
	}
	j.doc.Data.Rule = t.Split.Rule
	// Training may have scanned every image before the split: copies are then recognised by pixels, and
	// unreadable images left out. A scan takes time and seldom changes the split, so it is done only if the
	// split's digest differs.
	for _, scan := range []bool{false, true} {
		if scan {
			if err := Scan(ctx, j.hook, j.data, dataset.ScanOptions{MaxBad: -1}); err != nil {
				return nil, badInput(err)
			}
		}
		parts, _, err := source.Divide(j.data, fold)
		if err != nil && !scan {
			continue
		}
		if err != nil {
			return nil, badInput(err)
		}
		if !sameSplit(t, j.data, parts) {
			continue
		}
		part := parts[slices.Index([]string{dataset.Train, dataset.Val, dataset.Test}, j.o.Split)]
		if len(part) == 0 {
			return nil, badInput(fmt.Errorf("%s: was trained without a %s split", j.adapter.Path(), j.o.Split))
		}
		return part, nil
	}
	return nil, badInput(fmt.Errorf("%s: its data is split otherwise today (it was trained by %s): no part of it can be told to be unseen",
		j.adapter.Path(), t.Program))
}

// sameSplit reports whether parts are those of the training.
func sameSplit(t *adapterfile.Training, ds *dataset.Dataset, parts [3][]int) bool {
	if t.Split.Train != len(parts[0]) || t.Split.Val != len(parts[1]) || t.Split.Test != len(parts[2]) {
		return false
	}
	digest, ok := t.Hyperparameters["split_digest"]
	return !ok || digest == splitDigest(ds, parts)
}

// settingOr returns a numeric setting of the training, or otherwise.
func settingOr(settings map[string]any, name string, otherwise float64) float64 {
	switch v := settings[name].(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
	case float64:
		return v
	}
	return otherwise
}
