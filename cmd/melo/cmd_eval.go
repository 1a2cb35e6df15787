package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	facade "melo.example/melo"
	"melo.example/melo/dataset"
	"melo.example/melo/metric"
)

// evalOptions are the options of "melo eval".
type evalOptions struct {
	Adapter string   `required:"" help:"Adapter to evaluate." placeholder:"FILE"`
	Data    string   `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Base    string   `help:"Base that the adapter was trained on, if it is no longer where it was." placeholder:"BASE"`
	Split   string   `default:"test" enum:"train,val,test,all" help:"Images to evaluate: ${enum}. Where the data names no splits, those of the training are made again."`
	By      []string `help:"CSV columns, such as sex, site or device: each value is evaluated by itself, too." placeholder:"COLUMN"`

	Predictions string `group:"Output:" help:"CSV file to write: every image with truth, probabilities and logits." placeholder:"FILE"`
	HTML        string `name:"html" group:"Output:" help:"Report to write: one HTML file with tables, curves, reliability plots and the worst mistakes." placeholder:"FILE"`
	Pictures    int    `default:"12" group:"Output:" help:"Images of mistakes in the report; 0: none." placeholder:"N"`

	LabelColumn  string   `group:"Data:" help:"CSV column with the label." placeholder:"COLUMN"`
	LabelColumns []string `group:"Data:" help:"CSV columns of 0 and 1. Default: the labels of the adapter." placeholder:"COLUMN"`
	GroupColumn  string   `group:"Data:" help:"CSV column with the patient; intervals draw whole patients." placeholder:"COLUMN"`
	SplitColumn  string   `group:"Data:" help:"CSV column with train, val and test." placeholder:"COLUMN"`
	MaxBad       int      `default:"0" group:"Data:" help:"Unreadable images that are left out before the run fails."`

	Resamples int    `default:"2000" group:"Intervals:" help:"Resamples of the bootstrap."`
	Seed      uint64 `default:"1" group:"Intervals:" help:"Seed of the resamples."`

	Precision string `default:"f32" enum:"auto,f32,bf16,int8" group:"Machine:" help:"Precision of the base's products: ${enum}. auto is the fastest that the CPU has. What the adapter's self-test does not bear out is not used."`
	Batch     int    `default:"8" group:"Machine:" help:"Images per forward pass. The result does not depend on it."`
	Workers   int    `placeholder:"N" group:"Machine:" help:"Workers (default: all cores). The result does not depend on it."`
}

// Help is the long help text.
func (evalOptions) Help() string {
	return `Measures an adapter on labelled images: AUC, accuracy, balanced accuracy, F1, Brier score and calibration error
with 95 % intervals (bootstrap over patients where they are known, else over images), each label, and subgroups.
The classes of the data must have the names of the adapter's labels.

On the data that the adapter was trained on, the split of the training is made again, so that "test" is what
training has not touched. Use it once: whoever chooses by it has no test split any more.

Examples:

    melo eval --adapter busi.safetensors --data busi/
    melo eval --adapter skin.safetensors --data ham10000/ \
        --group-column lesion --by sex --by device
    melo eval --adapter chest.safetensors --data other_hospital/ --split all \
        --predictions answers.csv
    melo eval --adapter busi.safetensors --data busi/ --html busi.html
    melo --json eval --adapter busi.safetensors --data busi/

Research software, not a medical device.` + exitHelp
}

// Validate refuses option values that cannot be.
func (o *evalOptions) Validate() error {
	switch {
	case o.Batch < 1 || o.Batch > 4096:
		return fmt.Errorf("--batch %d, expected 1 to 4096", o.Batch)
	case o.Resamples < 100 || o.Resamples > 1_000_000:
		return fmt.Errorf("--resamples %d, expected 100 to 1000000", o.Resamples)
	case o.MaxBad < 0:
		return fmt.Errorf("--max-bad %d, expected 0 or more", o.MaxBad)
	case o.Pictures < 0 || o.Pictures > maxPictures:
		return fmt.Errorf("--pictures %d, expected 0 to %d", o.Pictures, maxPictures)
	case o.LabelColumn != "" && len(o.LabelColumns) > 0:
		return errors.New("give --label-column or --label-columns, not both")
	}
	return nil
}

// evalJob is one evaluation.
type evalJob struct {
	o       *evalOptions
	s       *stdio
	base    *facade.Base
	adapter *facade.Adapter
	data    *dataset.Dataset
	samples []int // of the data, that are evaluated
	answers []facade.Prediction
	doc     evalDocument
	judged  *judgement
	title   string // of the progress; empty: evaluating
}

// Run evaluates.
func (o *evalOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	for _, path := range []string{o.Predictions, o.HTML} { // before there is anything to lose
		if path == "" {
			continue
		}
		if err := tryFolder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	base, adapter, err := o.open(ctx, s)
	if err != nil {
		return err
	}
	defer base.Close()
	j := &evalJob{o: o, s: s, base: base, adapter: adapter}
	defer j.close()
	if err := j.openData(ctx); err != nil {
		return err
	}
	if err := j.predict(ctx); err != nil {
		return err
	}
	if err := j.measure(ctx); err != nil {
		return err
	}
	if o.Predictions != "" {
		if err := j.writePredictions(); err != nil {
			return err
		}
	}
	if o.HTML != "" {
		if err := j.writeReport(ctx); err != nil {
			return err
		}
	}
	j.doc.Seconds = time.Since(start).Seconds()
	j.print()
	return s.document(&j.doc)
}

// close gives back what the data holds.
func (j *evalJob) close() {
	if j.data == nil {
		return
	}
	if err := j.data.Close(); err != nil {
		j.s.notef("%s", oneLine(err))
	}
}

// open opens the adapter and its base.
func (o *evalOptions) open(ctx context.Context, s *stdio) (*facade.Base, *facade.Adapter, error) {
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return nil, nil, err
	}
	precision, err := parsePrecision(o.Precision, facade.Fastest())
	if err != nil {
		return nil, nil, err
	}
	base, adapter, err := facade.OpenFor(o.Adapter, o.Base, facade.Workers(o.Workers), facade.Batch(o.Batch), facade.Remember(cacheDir()),
		facade.InPrecision(precision, func(reason string) { s.notef("%s", reason) }))
	return base, adapter, badInput(err)
}

// predict answers for every image, and drops those that cannot be read.
func (j *evalJob) predict(ctx context.Context) error {
	progress := j.s.progress()
	defer progress.Close()
	meter := progress.Start(cmp.Or(j.title, "evaluating"), 0, int64(len(j.samples)))
	defer meter.Finish()
	read := j.samples[:0:0]
	err := j.base.PredictEach(ctx, j.adapter, len(j.samples), j.image, func(i int, p facade.Prediction, err error) error {
		meter.Set(int64(i+1), "")
		if err == nil {
			read, j.answers = append(read, j.samples[i]), append(j.answers, p)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.doc.Failed = append(j.doc.Failed, failedImage{j.data.File(j.samples[i]), oneLine(err)})
		if len(j.doc.Failed) <= j.o.MaxBad {
			return nil
		}
		at := ""
		if source := j.data.Samples[j.samples[i]].Source; source != "" {
			at = " (" + source + ")"
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

// predictions are the answers beside the truth, calibrated as the adapter says or not at all.
func (j *evalJob) predictions(calibrated bool) *metric.Predictions {
	meta := j.adapter.Metadata()
	labels := j.adapter.Labels()
	p := &metric.Predictions{Labels: len(labels), Exclusive: j.exclusive(), Thresholds: meta.Thresholds}
	if !calibrated {
		meta.Temperatures = nil
	}
	prob := make([]float64, len(labels))
	for k, i := range j.samples {
		meta.Probabilities(prob, j.answers[k].Logits)
		for l, v := range prob {
			p.Prob = append(p.Prob, min(v, 1)) // a softmax may exceed 1 by rounding
			p.Truth = append(p.Truth, j.has(i, l))
		}
	}
	return p
}

// has tells whether sample i has a label.
func (j *evalJob) has(i, label int) bool {
	s := &j.data.Samples[i]
	if s.Targets != nil {
		return s.Targets[label] > 0
	}
	return s.Label == label
}
