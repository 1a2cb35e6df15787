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
	Method string  `default:"melo" enum:"melo,linear,full" group:"What is trained:" help:"melo: low-rank matrices and a head; linear: the head alone; full: everything."`
	LR     float64 `name:"lr" placeholder:"RATE" group:"How:" help:"Peak learning rate, one for everything. Default: rates that are safe for the base (--step)."`
	Seed   uint64  `default:"1" group:"How:" help:"Seed of first weights, order, augmentation and dropout."`

	Tune int `placeholder:"N" group:"How:" help:"First look for the step and the number of epochs on validation, at the cost of at most N runs (3 or more)."`

	trainSettings
	Fold  int `placeholder:"N" group:"Data:" help:"With --folds: the fold that is held out, from 1."`
	Shots int `placeholder:"K" group:"Data:" help:"Train on K images of each label only, drawn by --seed. Default: all."`

	Checkpoint  string `group:"Output and machine:" help:"Folder for the run's record and checkpoint. Default: beside the adapter, with .run in its name." placeholder:"DIR"`
	TensorBoard bool   `name:"tensorboard" group:"Output and machine:" help:"Write TensorBoard's event files into that folder, too."`
	Resume      bool   `group:"Output and machine:" help:"Go on from the checkpoint of an interrupted run, if there is one."`
	Restart     bool   `group:"Output and machine:" help:"Start over although there is a checkpoint of an interrupted run."`
	Force       bool   `group:"Output and machine:" help:"Write over a finished adapter."`
}

// trainDefaults are what the help of several commands has.
var trainDefaults = map[string]string{"epochs": "20",
	"base":      "Base: a folder with config.json and model.safetensors, a file, hf:owner/name of a Hugging Face hub, or embedded: the small base that is part of melo.",
	"try_names": experiment.TunableNames(), "try_default": strings.Join(experiment.TryDefault[lora.MeLo], " ")}

// Help is the long help text.
func (trainOptions) Help() string {
	return `Trains an adapter for a base on labelled images and writes it with everything that a prediction needs. The
test split is not touched: "melo eval" is for that.

A run begins with the linear probe of the bare base, which takes seconds. Its head is the start, and its validation
AUC the floor: if training ends below it, the probe is what is written, and that is said. The rates follow from the
base's own activations (--step multiplies them; --lr sets one rate by hand). If the loss of an epoch rises, the epoch
is done again at half the rates, at most three times. What is kept is an average over about two epochs: of the last
epoch, or with 1000 validation images and more of the best one. --method linear is the probe itself.

Where images may be mirrored (--no-flip says that they may not), an answer is the mean over the image and its mirror
image. That is a little better and takes twice the time to predict; --no-mirror leaves it out.

Ctrl-C saves a checkpoint and says how to go on. The same options, data and seed give the same file on one
class of machine, whatever the number of workers, stopped and resumed or not.

--batch images make one step, in passes of --pass images whose gradients are added up: that is gradient
accumulation, and the number of passes changes no bit of the result, only memory.

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

// options are those of the run.
func (o *trainOptions) options() *experiment.Options {
	e := o.settings()
	e.Out, e.Method, e.LR, e.Seed, e.Fold, e.Shots = o.Out, lora.Method(o.Method), o.LR, o.Seed, o.Fold, o.Shots
	e.Folder, e.TensorBoard, e.Resume, e.Restart, e.Force = o.Checkpoint, o.TensorBoard, o.Resume, o.Restart, o.Force
	return &e
}

// Validate refuses option values that cannot be.
func (o *trainOptions) Validate() error {
	if o.Resume && o.Restart {
		return errors.New("--resume and --restart contradict each other")
	}
	return asFlag(o.options().Validate())
}

// Run trains.
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

// openInputs opens data and base of a command that trains.
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

// openTrainBase opens a base to train on, and fetches it if it is on a hub.
func openTrainBase(ctx context.Context, s *stdio, path string, workers int) (*experiment.Base, error) {
	if err := fetchBase(ctx, s, path); err != nil {
		return nil, err
	}
	return experiment.OpenBase(path, workers, cacheDir())
}

// dataSet is data that a command trains on.
type dataSet struct{ *experiment.Set }

// close gives back what the data holds.
func (d dataSet) close(s *stdio) {
	if err := d.Close(); err != nil {
		s.notef("%s", oneLine(err))
	}
}

// unfinishedRun says how a run that ended too early can be gone on with.
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
	case errors.As(err, &diverged): // and would do so again
		s.hints = append(s.hints, "the last checkpoint is in "+o.RunFolder()+"; --restart starts over")
		return err
	}
	s.hints = append(s.hints, "the checkpoint is in "+o.RunFolder()+"; to go on:",
		"    "+s.commandLine("--resume", "--restart"))
	return err
}

// commandLine is the command as it was given, with one option added and one taken away.
func (s *stdio) commandLine(with, without string) string {
	return s.sameCommand(with, without) + " " + with
}

// sameCommand is the command as it was given, without some options.
func (s *stdio) sameCommand(without ...string) string {
	return text.Command(s.argsWithout(without...))
}

// argsWithout are the arguments of the command line without some options.
func (s *stdio) argsWithout(without ...string) []string {
	return slices.DeleteFunc(slices.Clone(s.args), func(a string) bool { return slices.Contains(without, a) })
}

// tune looks for settings before the run.
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
