package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/report/lines"
	"melo.example/melo/train"
)

// trainOptions are the options of "melo train".
type trainOptions struct {
	Base   string  `required:"" help:"${base}" placeholder:"BASE"`
	Data   string  `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Out    string  `required:"" help:"Adapter file to write." placeholder:"FILE"`
	Method string  `default:"melo" enum:"melo,linear,full" group:"Trainable parameters:" help:"What is trained. melo: low-rank matrices and a head; linear: the head alone; full: all weights."`
	LR     float64 `name:"lr" placeholder:"RATE" group:"Training:" help:"Peak learning rate for all parameters. Default: derived from the base (see --step)."`
	Seed   uint64  `default:"1" group:"Training:" help:"Random seed of initial weights, order, augmentation and dropout."`

	Tune int `placeholder:"N" group:"Training:" help:"First search for the step and the number of epochs on the validation split, with at most N runs (3 or more)."`

	trainSettings
	Fold  int `placeholder:"N" group:"Data:" help:"With --folds: the fold to hold out, counted from 1."`
	Shots int `placeholder:"K" group:"Data:" help:"Train on only K images of each label, drawn with --seed. Default: all."`

	Checkpoint  string `group:"Output and machine:" help:"Folder for checkpoint and training record. Default: next to the adapter, with .run in its name." placeholder:"DIR"`
	TensorBoard bool   `name:"tensorboard" group:"Output and machine:" help:"Also write TensorBoard event files into this folder."`
	Resume      bool   `group:"Output and machine:" help:"Continue from the checkpoint of an interrupted run, if there is one."`
	Restart     bool   `group:"Output and machine:" help:"Start over even if there is a checkpoint of an interrupted run."`
	Force       bool   `group:"Output and machine:" help:"Overwrite a finished adapter."`
}

// trainDefaults are help texts and defaults that several commands share.
var trainDefaults = map[string]string{"epochs": "20",
	"base":      "Base: a folder with config.json and model.safetensors, a file, hf:owner/name of a Hugging Face hub, or embedded: the small base that is part of melo.",
	"try_names": experiment.TunableNames(), "try_default": strings.Join(experiment.TryDefault[lora.MeLo], " ")}

// Help returns the long help text.
func (trainOptions) Help() string {
	return `Trains an adapter for a base on labelled images and writes it to one file, together with the labels, preprocessing,
thresholds and calibration that prediction needs. The test split is not used; "melo eval" evaluates on it.

Training starts from a linear probe of the frozen base, which takes seconds. If the result has a lower validation AUC
than the probe, beyond what chance explains, the probe is written instead, and a message says so. Learning rates are
derived from the base's activations (--step multiplies them; --lr sets one rate for all parameters). If the training
loss of an epoch rises, the epoch is repeated at half the learning rates, at most three times. The result is a moving
average of the parameters over about two epochs: at the last epoch or, with at least 1000 validation images, at the
best one. --method linear writes the probe itself.

Unless --no-flip is given, predictions are the mean over an image and its mirror image. That is slightly more accurate
and takes twice as long; --no-mirror turns it off.

Ctrl-C saves a checkpoint and prints how to continue. The same options, data and seed give the same file on one class
of machine, for any number of workers, interrupted or not.

An optimizer step uses --batch images, in passes of --pass images whose gradients are accumulated. The number of passes
changes memory use, but not one bit of the result.

Examples:

    melo train --base vit_tiny/ --data busi/ --out busi.safetensors
    melo train --base vit_tiny/ --data busi/ --out busi.safetensors --resume
    melo train --base vit_tiny/ --data busi/ --out b.safetensors --method linear
    melo train --base vit_tiny/ --data chest.csv --out chest.safetensors \
        --no-flip --group-column patient
    melo train --base vit_tiny/ --data skin/ --out skin.safetensors \
        --loss focal --class-weights balanced --ema 0.99
    melo train --base vit_tiny/ --data busi/ --out fold1.safetensors \
        --folds 5 --fold 1

Research software, not a medical device.` + exitHelp
}

// options returns the options of the run.
func (o *trainOptions) options() *experiment.Options {
	e := o.settings()
	e.Out, e.Method, e.LR, e.Seed, e.Fold, e.Shots = o.Out, lora.Method(o.Method), o.LR, o.Seed, o.Fold, o.Shots
	e.Folder, e.TensorBoard, e.Resume, e.Restart, e.Force = o.Checkpoint, o.TensorBoard, o.Resume, o.Restart, o.Force
	return &e
}

// Validate rejects invalid option values.
func (o *trainOptions) Validate() error {
	if o.Resume && o.Restart {
		return errors.New("--resume and --restart contradict each other")
	}
	return asFlag(o.options().Validate())
}

// Run trains and prints the results.
func (o *trainOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	e := o.options()
	e.Command = s.args
	if err := e.CheckOutput(); err != nil {
		if other := (*experiment.UnfinishedError)(nil); errors.As(err, &other) {
			return usage(fmt.Errorf("%s: an interrupted run: give --resume to go on with it, or --restart to start over", other.Checkpoint))
		}
		return err
	}
	w := s.watch(false)
	defer w.close()
	set, base, err := openInputs(ctx, s, w, o.Base, o.Data, &o.trainSettings)
	if err != nil {
		return err
	}
	defer base.Close()
	defer set.close(s)
	if o.Tune > 0 {
		if err := tune(ctx, s, w, e, o.Tune, base, set.Set); err != nil {
			return err
		}
	}
	run, err := experiment.NewRun(e, base, set.Set, w.Event)
	if err != nil {
		return hintPrepare(err)
	}
	doc, err := run.Train(ctx, start)
	if err != nil {
		return unfinishedRun(s, e, err)
	}
	w.close()
	lines.Trained(s.lines(), doc)
	s.notef("%s", notice)
	return s.document(doc)
}

// openInputs opens the data and the base of a command that trains.
func openInputs(ctx context.Context, s *stdio, w *watcher, base, data string, o *trainSettings) (dataSet, *experiment.Base, error) {
	set, err := experiment.OpenSet(ctx, data, o.source(), w.Event)
	if err != nil {
		return dataSet{}, nil, err
	}
	b, err := openTrainBase(ctx, s, base, o.Workers)
	if err != nil {
		dataSet{set}.close(s)
		return dataSet{}, nil, err
	}
	return dataSet{set}, b, nil
}

// openTrainBase opens a base to train on, after downloading it if it is on a hub.
func openTrainBase(ctx context.Context, s *stdio, path string, workers int) (*experiment.Base, error) {
	if err := fetchBase(ctx, s, path); err != nil {
		return nil, err
	}
	return experiment.OpenBase(path, workers, cacheDir())
}

// dataSet is the data that a command trains on.
type dataSet struct{ *experiment.Set }

// close releases the data.
func (d dataSet) close(s *stdio) {
	if err := d.Close(); err != nil {
		s.notef("%s", oneLine(err))
	}
}

// unfinishedRun adds to err how to continue a run that ended early.
func unfinishedRun(s *stdio, o *experiment.Options, err error) error {
	if _, statErr := os.Stat(o.CheckpointPath()); statErr != nil {
		return err
	}
	var mismatch *train.MismatchError
	var diverged *train.NotFiniteError
	switch {
	case errors.As(err, &mismatch):
		s.hints = append(s.hints, "give what that run was given, or --restart instead of --resume to start over")
		return err
	case errors.As(err, &diverged): // would diverge again
		s.hints = append(s.hints, "the last checkpoint is in "+o.RunFolder()+"; --restart starts over")
		return err
	}
	s.hints = append(s.hints, "the checkpoint is in "+o.RunFolder()+"; to go on:",
		"    "+s.commandLine("--resume", "--restart"))
	return err
}

// commandLine returns the command as it was given, with one option added and one removed.
func (s *stdio) commandLine(with, without string) string {
	return s.sameCommand(with, without) + " " + with
}

// sameCommand returns the command as it was given, without some options.
func (s *stdio) sameCommand(without ...string) string {
	return text.Command(s.argsWithout(without...))
}

// argsWithout returns the arguments of the command line without some options.
func (s *stdio) argsWithout(without ...string) []string {
	return slices.DeleteFunc(slices.Clone(s.args), func(a string) bool { return slices.Contains(without, a) })
}

// tune searches for settings before the run.
func tune(ctx context.Context, s *stdio, w *watcher, e *experiment.Options, times int, base *experiment.Base, set *experiment.Set) error {
	w.Quiet = true
	defer func() { w.Quiet = false }()
	t, err := experiment.Tune(ctx, e, times, base, set, w.Event)
	switch {
	case ctx.Err() != nil:
		s.hints = append(s.hints, "the search goes on where it was; to go on:", "    "+s.commandLine("--resume", "--restart"))
		return err
	case err != nil:
		if e := (*experiment.SettingError)(nil); errors.As(err, &e) {
			return usage(asFlag(err))
		}
		return err
	}
	gain := ""
	if t.Gain != nil {
		gain = fmt.Sprintf(", %+.4f AUC on validation", *t.Gain)
	}
	w.Remark(fmt.Sprintf("tuned: step %g, %d epochs, the best of %d%s (part of that is luck)", t.Step, t.Epochs, t.Tried, gain))
	return nil
}
