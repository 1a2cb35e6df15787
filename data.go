package melo

import (
	"fmt"

	"melo.example/melo/experiment"
)

// Data describes labelled images, and how to split them. Every field except Path may be left zero.
type Data struct {
	// Path is a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train,
	// val and test above them), or another form that [dataset.Open] reads.
	Path string

	// Val and Test are the fractions of the samples for validation and testing, used if the data defines no
	// splits. 0 means 0.15, a negative value none.
	Val, Test float64
	Seed      uint64 // random seed of the split; 0 means 1

	LabelColumn  string   // table column with the label; empty: found by its name
	LabelColumns []string // table columns of 0 and 1, one per label
	GroupColumn  string   // table column with the patient, who is never split
	SplitColumn  string   // table column with train, val or test
	MaxBad       int      // maximum number of unreadable images to skip

	// Split selects the images for [Base.Evaluate]: train, val, test or all; empty means test. If the data
	// defines no splits and the adapter was trained on it, the split of the training is reconstructed.
	Split string
}

// source converts d for package experiment.
func (d *Data) source() *experiment.Source {
	share := func(v, usual float64) float64 {
		switch {
		case v == 0:
			return usual
		case v < 0:
			return 0
		}
		return v
	}
	s := experiment.Defaults().Source
	s.ValSplit, s.TestSplit = share(d.Val, s.ValSplit), share(d.Test, s.TestSplit)
	if d.Seed != 0 {
		s.SplitSeed = d.Seed
	}
	s.LabelColumn, s.LabelColumns, s.GroupColumn, s.SplitColumn, s.MaxBad = d.LabelColumn, d.LabelColumns, d.GroupColumn, d.SplitColumn, d.MaxBad
	return &s
}

// evaluateOptions converts d to options of an evaluation.
func (d *Data) evaluateOptions(workers int) experiment.EvaluateOptions {
	o := experiment.DefaultEvaluateOptions(d.Path)
	if d.Split != "" {
		o.Split = d.Split
	}
	o.LabelColumn, o.LabelColumns, o.GroupColumn, o.SplitColumn, o.MaxBad = d.LabelColumn, d.LabelColumns, d.GroupColumn, d.SplitColumn, d.MaxBad
	o.Workers = workers
	return o
}

func (d *Data) check() error {
	if d.Path == "" {
		return fmt.Errorf("melo: data without a path")
	}
	return nil
}
