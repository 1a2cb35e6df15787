package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/report/lines"
	"melo.example/melo/report/study"
)

// evalOptions are the options of "melo eval".
type evalOptions struct {
	Adapter string   `required:"" help:"Adapter to evaluate." placeholder:"FILE"`
	Data    string   `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Base    string   `help:"Base that the adapter was trained on. Default: where it was at training." placeholder:"BASE"`
	Split   string   `default:"test" enum:"train,val,test,all" help:"Images to evaluate: ${enum}. If the data defines no splits, those of the training are reconstructed."`
	By      []string `help:"CSV columns that define subgroups, such as sex, site or device: each value is also evaluated by itself." placeholder:"COLUMN"`

	Predictions string `group:"Output:" help:"CSV file to write: every image with truth, probabilities and logits." placeholder:"FILE"`
	HTML        string `name:"html" group:"Output:" help:"Report to write: one HTML file with tables, curves, reliability plots and the worst mistakes." placeholder:"FILE"`
	Pictures    int    `default:"12" group:"Output:" help:"Images of mistakes in the report; 0: none." placeholder:"N"`
	Maps        int    `default:"12" group:"Output:" help:"How many of these have a map beside them of what spoke for the answer, each at the cost of two predictions; 0: none." placeholder:"N"`

	Shortcuts int `default:"32" group:"Output:" help:"With --html, images whose answers are searched for shortcuts (letters, borders, corners), each at the cost of some 15 predictions; 0: none." placeholder:"N"`

	trustOptions
	readOptions
	MaxBad int `default:"0" group:"Data:" help:"Maximum number of unreadable images to skip."`

	Coverage   float64 `group:"Intervals:" help:"Target coverage of prediction sets: the fraction of images whose true label they contain. Default: 0.9." placeholder:"SHARE"`
	Prevalence float64 `group:"Intervals:" help:"Prevalence to assume for predictive values, between 0 and 1. Default: the fraction of images with the label." placeholder:"SHARE"`
	Resamples  int     `default:"2000" group:"Intervals:" help:"Number of bootstrap resamples."`
	Seed       uint64  `default:"1" group:"Intervals:" help:"Random seed of the bootstrap."`

	Precision string `default:"f32" enum:"auto,f32,bf16,int8" group:"Machine:" help:"Precision of the base's matrix products: ${enum}. auto: the fastest that the CPU supports. A precision in which the adapter fails its self-test is not used."`
	Batch     int    `default:"8" group:"Machine:" help:"Images per forward pass. The result does not depend on it."`
	Workers   int    `placeholder:"N" group:"Machine:" help:"Workers (default: all cores). The result does not depend on it."`
}

// Help returns the long help text.
func (evalOptions) Help() string {
	return `Evaluates an adapter on labelled images: AUC, accuracy, balanced accuracy, F1, Brier score and calibration error
with 95 % confidence intervals, calibration slope, predictive values and decision curves, for each label and for
subgroups. Intervals resample patients if they are known, else images. The data's classes must have the same names as
the adapter's labels.

On the data that the adapter was trained on, the split of the training is reconstructed, so that "test" contains the
images that training did not use. Use it once: after choosing between models by it, it is no longer a test split.

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

// Validate rejects invalid option values.
func (o *evalOptions) Validate() error {
	switch {
	case o.Batch < 1 || o.Batch > 4096:
		return fmt.Errorf("--batch %d, expected 1 to 4096", o.Batch)
	case o.Coverage < 0:
		return fmt.Errorf("--coverage %v, expected more than 0 and less than 1", o.Coverage)
	case o.Pictures < 0 || o.Pictures > maxPictures:
		return fmt.Errorf("--pictures %d, expected 0 to %d", o.Pictures, maxPictures)
	case o.Maps < 0 || o.Shortcuts < 0:
		return fmt.Errorf("--maps %d, --shortcuts %d, expected 0 or more", o.Maps, o.Shortcuts)
	}
	e := o.options()
	return asFlag(e.Validate())
}

// maxPictures is the maximum number of images in a report.
const maxPictures = 500

// options returns the options of the evaluation.
func (o *evalOptions) options() experiment.EvaluateOptions {
	return experiment.EvaluateOptions{Data: o.Data, Split: o.Split, By: o.By, Reading: experiment.Reading(o.readOptions), MaxBad: o.MaxBad, Coverage: o.Coverage, Prevalence: o.Prevalence, Resamples: o.Resamples, Seed: o.Seed, Workers: o.Workers}
}

// Run evaluates and prints the results.
func (o *evalOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	for _, path := range []string{o.Predictions, o.HTML} { // before the long computation
		if path == "" {
			continue
		}
		if err := atomicfile.TryFolder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	base, adapter, err := o.open(ctx, s)
	if err != nil {
		return err
	}
	defer base.Close()
	w := s.watch(false)
	defer w.close()
	e, err := base.EvaluateWith(ctx, adapter, o.options(), w.Event)
	if err != nil {
		if none := (*experiment.NoSplitError)(nil); errors.As(err, &none) {
			s.hints = append(s.hints, "--split all evaluates every image")
		}
		return err
	}
	defer func() {
		if err := e.Close(); err != nil {
			s.notef("%s", oneLine(err))
		}
	}()
	if o.Predictions != "" {
		if err := e.WritePredictions(o.Predictions); err != nil {
			return err
		}
	}
	e.Predictions, e.Report = o.Predictions, o.HTML
	if o.HTML != "" {
		if err := e.FindShortcuts(ctx, o.Shortcuts); err != nil {
			return err
		}
		page, err := study.Evaluation(ctx, e, study.Options{Pictures: o.Pictures, Maps: o.Maps})
		if err != nil {
			return err
		}
		if err := page.WriteFile(o.HTML); err != nil {
			return err
		}
	}
	e.Seconds = time.Since(start).Seconds()
	w.close()
	lines.Evaluation(s.lines(), &e.EvaluationDocument)
	s.notice()
	return s.document(&e.EvaluationDocument)
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
	trusting, err := o.trusting()
	if err != nil {
		return nil, nil, err
	}
	base, adapter, err := facade.OpenFor(o.Adapter, o.Base, trusting, facade.Workers(o.Workers), facade.Batch(o.Batch), facade.Remember(cacheDir()),
		facade.InPrecision(precision, func(reason string) { s.notef("%s", reason) }))
	return base, adapter, badInput(err)
}
