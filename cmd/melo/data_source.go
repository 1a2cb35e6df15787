package main

import (
	"context"
	"fmt"

	"melo.example/melo/dataset"
)

// dataSource are the options that say which data, and how it is divided. Commands that share them see the
// same splits.
type dataSource struct {
	ValSplit        float64  `default:"0.15" group:"Data:" help:"Share of samples for validation where no such split is given; 0: none."`
	TestSplit       float64  `default:"0.15" group:"Data:" help:"Share of samples that is set aside for \"melo eval\" where no split is given; 0: none."`
	SplitSeed       uint64   `default:"1" group:"Data:" help:"Seed of the split."`
	Folds           int      `default:"0" group:"Data:" help:"Cross-validation: divide into K folds instead; 0: none." placeholder:"K"`
	LabelColumn     string   `group:"Data:" help:"CSV column with the label." placeholder:"COLUMN"`
	LabelColumns    []string `group:"Data:" help:"CSV columns of 0 and 1, one a label." placeholder:"COLUMN"`
	GroupColumn     string   `group:"Data:" help:"CSV column with the patient; a patient is never split." placeholder:"COLUMN"`
	SplitColumn     string   `group:"Data:" help:"CSV column with train, val and test." placeholder:"COLUMN"`
	AllowDuplicates bool     `group:"Data:" help:"Go on when identical images are on both sides of a given split."`
	MaxBad          int      `default:"0" group:"Data:" help:"Unreadable images that are left out before the run fails."`
}

// check refuses option values that cannot be.
func (o *dataSource) check() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	switch {
	case !share(o.ValSplit) || !share(o.TestSplit) || !share(o.ValSplit+o.TestSplit):
		return fmt.Errorf("--val-split %v and --test-split %v, expected shares that leave some for training", o.ValSplit, o.TestSplit)
	case o.Folds != 0 && (o.Folds < 2 || o.Folds > dataset.MaxFolds):
		return fmt.Errorf("--folds %d, expected 2 to %d", o.Folds, dataset.MaxFolds)
	case o.MaxBad < 0:
		return fmt.Errorf("--max-bad %d, expected 0 or more", o.MaxBad)
	}
	return nil
}

// open finds the data at a path. Labels fixes the names and their order; nil: those found.
func (o *dataSource) open(path string, labels []string) (*dataset.Dataset, error) {
	return dataset.Open(path, dataset.Options{Labels: labels, LabelColumn: o.LabelColumn, LabelColumns: o.LabelColumns,
		GroupColumn: o.GroupColumn, SplitColumn: o.SplitColumn})
}

// splitOptions are the options of dividing; a share of 0 is none here, and the default there.
func (o *dataSource) splitOptions() dataset.SplitOptions {
	share := func(v float64) float64 {
		if v == 0 {
			return -1
		}
		return v
	}
	return dataset.SplitOptions{Val: share(o.ValSplit), Test: share(o.TestSplit), Seed: o.SplitSeed, AllowDuplicates: o.AllowDuplicates}
}

// divide returns training, validation and test samples, and in words how they were chosen. With folds the
// test samples are those that the fold, counted from 1, holds out.
func (o *dataSource) divide(ds *dataset.Dataset, fold int) (parts [3][]int, rule string, err error) {
	rule = o.rule(ds)
	if o.Folds == 0 {
		parts[0], parts[1], parts[2], err = ds.Split(o.splitOptions())
		return parts, rule, err
	}
	folds, err := ds.Folds(o.Folds, o.splitOptions())
	if err != nil {
		return parts, rule, err
	}
	f := folds[fold-1]
	return [3][]int{f.Train, f.Val, f.Held}, fmt.Sprintf("fold %d of %s", fold, rule), nil
}

// rule says how the samples are divided.
func (o *dataSource) rule(ds *dataset.Dataset) string {
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

// scanData decodes every image, with a meter.
func scanData(ctx context.Context, s *stdio, ds *dataset.Dataset, opt dataset.ScanOptions) error {
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("reading images", 0, int64(len(ds.Samples)))
	defer meter.Finish()
	opt.Progress = func(done, _ int) { meter.Set(int64(done), "") }
	return ds.Scan(ctx, opt)
}
