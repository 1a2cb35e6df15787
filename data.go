package melo

import (
	"fmt"

	"melo.example/melo/experiment"
)

// Data says where labelled images are, and how they are divided. The zero value of everything but Path is a default.
type Data struct {
	// Path is a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test
	// above them), or another form that [dataset.Open] reads.
	Path string

	// Val and Test are the shares of the samples that validation and testing get, where the data names no such split. 0
	// stands for 0.15, less than 0 for none.
	Val, Test float64
	Seed      uint64 // of the split; 0 stands for 1

	LabelColumn  string   // column of a table with the label; empty: found by its name
	LabelColumns []string // columns of 0 and 1, one a label
	GroupColumn  string   // column with the patient: a patient is never split
	SplitColumn  string   // column with train, val and test
	MaxBad       int      // unreadable images that are left out before the work fails

	// Split is what [Base.Evaluate] looks at: train, val, test or all; empty: test. Where the data names no splits and is what
	// the adapter was trained on, the split of the training is made again.
	Split string
}

// source is the data as experiments know it.
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

// evaluateOptions is the data as an evaluation knows it.
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
