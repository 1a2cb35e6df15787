package experiment

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"melo.example/melo/dataset"
	"melo.example/melo/imaging"
)

// Source selects the data and how it is split. The same Source always gives the same splits.
type Source struct {
	ValSplit        float64 // fraction of samples for validation if the data has no such split; 0: none
	TestSplit       float64 // fraction of samples reserved for "melo eval" if the data has no such split; 0: none
	SplitSeed       uint64  // seed of the split
	Folds           int     // k-fold cross-validation instead; 0: none
	Shots           int     // training images per label, drawn with ShotSeed; 0: all
	ShotSeed        uint64  // set by a run to its own seed
	AllowDuplicates bool    // continue if identical images are on both sides of a given split
	MaxBad          int     // unreadable images that may be left out before the run fails
	LeftOut         string  // CSV file for the names of all files that notes count; empty: none
	Reading
}

// Reading says how a data set is interpreted, where that is not determined automatically. The fields are those
// of [dataset.Options].
type Reading struct {
	Layout       string   // meaning of folders: classes, splits, leaves, or table
	ImageColumn  string   // column of a table with the images
	Images       string   // folder or archive with the images; empty: the table's folder
	LabelColumn  string   // column with the label
	LabelColumns []string // columns of 0 and 1, one per label
	GroupColumn  string   // column with the patient; a patient is never split
	GroupPattern string   // regular expression that extracts the patient from an image's path
	SplitColumn  string   // column with train, val and test
	SplitFiles   []string // lists of images, "train=FILE" or files named after a split
	Where        []string // rows to use: COLUMN=VALUE, COLUMN!=VALUE
	Task         string   // multiclass or multilabel; empty: determined from the data
	// between several findings in a cell; none: a cell is one label; empty: determined from the data
	LabelSeparator string
	Uncertain      string // meaning of -1: ignore, positive or negative; empty: an error
	DropUnlabelled bool   // leave out rows without a label
	AllowMissing   bool   // leave out rows without an image
	Page           string // for files with several pages: a number from 1, or all; empty: the first
	// white level of images with more than 8 bits: stored, max, bits=12; empty: stored, unless labels differ in
	// depth
	Depth  string
	Window string // grey values of DICOM objects: CENTER,WIDTH, a name, full, range; empty: from the object
}

// Check returns a [SettingError] for invalid settings.
func (o *Source) Check() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	switch {
	case !share(o.ValSplit) || !share(o.TestSplit) || !share(o.ValSplit+o.TestSplit):
		return setting("val-split", "%v and a test split of %v, expected shares that leave some for training", o.ValSplit, o.TestSplit)
	case o.Folds != 0 && (o.Folds < 2 || o.Folds > dataset.MaxFolds):
		return setting("folds", "%d, expected 2 to %d", o.Folds, dataset.MaxFolds)
	case o.Shots < 0:
		return setting("shots", "%d, expected a number of images", o.Shots)
	case o.MaxBad < 0:
		return setting("max-bad", "%d, expected 0 or more", o.MaxBad)
	}
	return o.Reading.Check()
}

// Check returns a [SettingError] for invalid settings.
func (o *Reading) Check() error {
	if o.LabelColumn != "" && len(o.LabelColumns) > 0 {
		return setting("label-column", "%s and also columns of 0 and 1, expected one of them", o.LabelColumn)
	}
	if o.GroupPattern != "" {
		if o.GroupColumn != "" {
			return setting("group-pattern", "%s and also a column of groups, expected one of them", o.GroupPattern)
		}
		if _, err := regexp.Compile(o.GroupPattern); err != nil {
			return setting("group-pattern", "%q, expected a regular expression: %v", o.GroupPattern, err)
		}
	}
	if _, err := imaging.ParseDepth(o.Depth); err != nil {
		return setting("depth", "%q, expected stored, max, or bits=9 to bits=16", o.Depth)
	}
	if _, err := imaging.ParseWindow(o.Window); err != nil {
		return setting("window", "%q, expected CENTER,WIDTH, the name of a window, full, range or object", o.Window)
	}
	_, err := o.page()
	return err
}

// page returns the page in the form of [dataset.Options].
func (o *Reading) page() (int, error) {
	switch o.Page {
	case "":
		return dataset.NoPage, nil
	case "all":
		return dataset.AllPages, nil
	}
	n, err := strconv.Atoi(o.Page)
	if err != nil || n < 1 {
		return 0, setting("page", "%q, expected a number from 1, or all", o.Page)
	}
	return n, nil
}

// Open opens the data at a path. labels fixes the names and their order; nil: those found.
func (o *Reading) Open(path string, labels []string) (*dataset.Dataset, error) {
	page, err := o.page()
	if err != nil {
		return nil, err
	}
	return dataset.Open(path, dataset.Options{Labels: labels, Task: dataset.Task(o.Task), Layout: dataset.Layout(o.Layout),
		ImageColumn: o.ImageColumn, Images: o.Images, LabelColumn: o.LabelColumn, LabelColumns: o.LabelColumns,
		GroupColumn: o.GroupColumn, GroupPattern: o.GroupPattern, SplitColumn: o.SplitColumn, SplitFiles: o.SplitFiles, Where: o.Where,
		Separator: o.LabelSeparator, Uncertain: dataset.Uncertain(o.Uncertain), DropUnlabelled: o.DropUnlabelled,
		AllowMissing: o.AllowMissing, Page: page})
}

// SplitOptions returns the options for splitting. A fraction of 0 means none here, but the default there.
func (o *Source) SplitOptions() dataset.SplitOptions {
	share := func(v float64) float64 {
		if v == 0 {
			return -1
		}
		return v
	}
	return dataset.SplitOptions{Val: share(o.ValSplit), Test: share(o.TestSplit), Seed: o.SplitSeed,
		AllowDuplicates: o.AllowDuplicates, Depth: o.Depth}
}

// Divide returns training, validation and test samples, and a description of how they were chosen. With folds,
// the test samples are those of the held-out fold, counted from 1.
func (o *Source) Divide(ds *dataset.Dataset, fold int) (parts [3][]int, rule string, err error) {
	rule = o.Rule(ds)
	if o.Folds == 0 {
		parts[0], parts[1], parts[2], err = ds.Split(o.SplitOptions())
	} else {
		var folds []dataset.Fold
		if folds, err = ds.Folds(o.Folds, o.SplitOptions()); err == nil {
			f := folds[fold-1]
			parts, rule = [3][]int{f.Train, f.Val, f.Held}, fmt.Sprintf("fold %d of %s", fold, rule)
		}
	}
	if o.Shots > 0 && err == nil {
		parts[0] = ds.Shots(parts[0], o.Shots, o.ShotSeed)
		rule += fmt.Sprintf("; trained on %d images of each label", o.Shots)
	}
	return parts, rule, err
}

// Rule describes how the samples are split.
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

// Scan decodes every image of the data, and reports its progress.
func Scan(ctx context.Context, hook Hook, ds *dataset.Dataset, opt dataset.ScanOptions) error {
	hook = hook.one()
	hook.tell(Meter{Stage: readingStage, Total: len(ds.Samples)})
	opt.Progress = func(done, total int) { hook.tell(Meter{Stage: readingStage, Done: done, Total: total}) }
	return ds.Scan(ctx, opt)
}

// readingStage is the stage of Scan in a Meter.
const readingStage = "reading images"

// Attributes lists the additional columns of a table of samples.
func Attributes(ds *dataset.Dataset) []string {
	names := []string{}
	for name := range ds.Samples[0].Attr {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
