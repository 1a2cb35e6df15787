package experiment

import (
	"context"
	"fmt"
	"slices"

	"melo.example/melo/dataset"
)

// Source says which data, and how it is divided. Whoever has the same Source sees the same splits.
type Source struct {
	ValSplit        float64  // share of samples for validation where no such split is given; 0: none
	TestSplit       float64  // share of samples that is set aside for "melo eval" where no split is given; 0: none
	SplitSeed       uint64   // seed of the split
	Folds           int      // cross-validation: divide into K folds instead; 0: none
	LabelColumn     string   // CSV column with the label
	LabelColumns    []string // CSV columns of 0 and 1, one a label
	GroupColumn     string   // CSV column with the patient; a patient is never split
	SplitColumn     string   // CSV column with train, val and test
	AllowDuplicates bool     // go on when identical images are on both sides of a given split
	MaxBad          int      // unreadable images that are left out before the run fails
}

// Check refuses settings that cannot be, with a [SettingError].
func (o *Source) Check() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	switch {
	case !share(o.ValSplit) || !share(o.TestSplit) || !share(o.ValSplit+o.TestSplit):
		return setting("val-split", "%v and a test split of %v, expected shares that leave some for training", o.ValSplit, o.TestSplit)
	case o.Folds != 0 && (o.Folds < 2 || o.Folds > dataset.MaxFolds):
		return setting("folds", "%d, expected 2 to %d", o.Folds, dataset.MaxFolds)
	case o.MaxBad < 0:
		return setting("max-bad", "%d, expected 0 or more", o.MaxBad)
	}
	return nil
}

// Open finds the data at a path. Labels fixes the names and their order; nil: those found.
func (o *Source) Open(path string, labels []string) (*dataset.Dataset, error) {
	return dataset.Open(path, dataset.Options{Labels: labels, LabelColumn: o.LabelColumn, LabelColumns: o.LabelColumns,
		GroupColumn: o.GroupColumn, SplitColumn: o.SplitColumn})
}

// SplitOptions are the options of dividing; a share of 0 is none here, and the default there.
func (o *Source) SplitOptions() dataset.SplitOptions {
	share := func(v float64) float64 {
		if v == 0 {
			return -1
		}
		return v
	}
	return dataset.SplitOptions{Val: share(o.ValSplit), Test: share(o.TestSplit), Seed: o.SplitSeed, AllowDuplicates: o.AllowDuplicates}
}

// Divide returns training, validation and test samples, and in words how they were chosen. With folds the
// test samples are those that the fold, counted from 1, holds out.
func (o *Source) Divide(ds *dataset.Dataset, fold int) (parts [3][]int, rule string, err error) {
	rule = o.Rule(ds)
	if o.Folds == 0 {
		parts[0], parts[1], parts[2], err = ds.Split(o.SplitOptions())
		return parts, rule, err
	}
	folds, err := ds.Folds(o.Folds, o.SplitOptions())
	if err != nil {
		return parts, rule, err
	}
	f := folds[fold-1]
	return [3][]int{f.Train, f.Val, f.Held}, fmt.Sprintf("fold %d of %s", fold, rule), nil
}

// Rule says how the samples are divided.
func (o *Source) Rule(ds *dataset.Dataset) string {
	given, grouped := map[string]bool{}, false
	for i := range ds.Samples {
		given[ds.Samples[i].Split] = true
		grouped = grouped || ds.Samples[i].Group != ""
	}
	random := "random, stratified by label"
	if grouped {
		random += ", whole groups"
	}
	switch {
	case o.Folds > 0 && given[dataset.Test]:
		return fmt.Sprintf("%d folds, %s; the given test split is in none", o.Folds, random)
	case o.Folds > 0:
		return fmt.Sprintf("%d folds, %s", o.Folds, random)
	case given[dataset.Val]:
		return "given"
	case given[dataset.Test] && o.ValSplit == 0:
		return "given"
	case given[dataset.Test]:
		return "given; validation " + random
	}
	return random
}

// Scan decodes every image of the data, and tells how far it is.
func Scan(ctx context.Context, hook Hook, ds *dataset.Dataset, opt dataset.ScanOptions) error {
	hook = hook.one()
	hook.tell(Meter{Stage: readingStage, Total: len(ds.Samples)})
	opt.Progress = func(done, total int) { hook.tell(Meter{Stage: readingStage, Done: done, Total: total}) }
	return ds.Scan(ctx, opt)
}

// readingStage is the stage of Scan in a Meter.
const readingStage = "reading images"

// Attributes lists the further columns of a table of samples.
func Attributes(ds *dataset.Dataset) []string {
	names := []string{}
	for name := range ds.Samples[0].Attr {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
