package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"melo.example/melo/internal/par"
)

// sweepOptions are the options of "melo sweep".
type sweepOptions struct {
	Base string `required:"" help:"${base}" placeholder:"BASE"`
	Data string `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Out  string `required:"" help:"Folder for the runs and the table." placeholder:"DIR"`

	Try    []string `sep:"none" group:"Search:" help:"Values of a setting: NAME=VALUE/VALUE/..., of ${try_names}. Give one for each setting; all combinations are tried. Default: ${try_default}." placeholder:"NAME=VALUES"`
	Search string   `default:"halving" enum:"halving,grid" group:"Search:" help:"halving: rounds of more and more epochs, from each of which the best go on; grid: all candidates with all epochs."`
	Eta    int      `default:"3" group:"Search:" help:"With halving: one of so many goes on, with so many times the epochs."`
	Seeds  int      `default:"1" group:"Search:" help:"Runs of each candidate, with the seeds 1, 2 and so on; their mean counts."`

	Method string  `default:"melo" enum:"melo,linear,full" group:"What is trained:" help:"melo: low-rank matrices and a head; linear: the head alone; full: everything."`
	LR     float64 `name:"lr" placeholder:"RATE" group:"How:" help:"Peak learning rate, where it is not tried. Default: ${lr_melo} for melo, ${lr_linear} for linear, ${lr_full} for full."`

	trainRecipe
}

// Help is the long help text.
func (sweepOptions) Help() string {
	return `Looks for settings: trains candidates on the training images and ranks them by their AUC on validation. The settings
of the command line, defaults or not, are always one of them, and are trained with all epochs, so that the table
tells what is gained by tuning. The test split is not touched.

DIR gets sweep.json (what --json prints), sweep.csv, and the adapters with their records in DIR/runs. Ctrl-C or a crash
loses little: the same command goes on. A finished run is not made again, also when values are added.

The best of many validation AUCs is too good: measure the chosen adapter with "melo eval", once.

Examples:

    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep
    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep --seeds 3 \
        --try lr=0.001/0.002/0.004 --try rank=2/8
    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep --search grid \
        --try sites=q,v/q,k,v,proj --try epochs=10/20

Research software, not a medical device.` + exitHelp
}

// Validate refuses option values that cannot be, those to try included.
func (o *sweepOptions) Validate() error {
	switch {
	case o.Eta < 2 || o.Eta > 100:
		return fmt.Errorf("--eta %d, expected 2 to 100", o.Eta)
	case o.Seeds < 1 || o.Seeds > maxSweepSeeds:
		return fmt.Errorf("--seeds %d, expected 1 to %d", o.Seeds, maxSweepSeeds)
	case o.Folds != 0:
		return errors.New("--folds: candidates are compared on one validation split; give none")
	case o.ValSplit == 0:
		return errors.New("--val-split 0: candidates are compared on validation")
	}
	_, err := o.candidates()
	return err
}

// maxSweepSeeds and maxCandidates bound a sweep, so that a slip does not ask for years.
const (
	maxSweepSeeds = 100
	maxCandidates = 10_000
)

// options are those of the run that a sweep without --try would make.
func (o *sweepOptions) options() *trainOptions {
	return &trainOptions{Base: o.Base, Data: o.Data, Method: o.Method, LR: o.LR, Seed: 1, trainRecipe: o.trainRecipe}
}

// Run sweeps.
func (o *sweepOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	if err := os.MkdirAll(filepath.Join(o.Out, "runs"), 0o777); err != nil {
		return fmt.Errorf("folder for the sweep: %w", err)
	}
	pool := par.New(o.Workers)
	defer pool.Close()
	set, err := openTrainSet(ctx, s, o.Data, &o.dataSource)
	if err != nil {
		return err
	}
	defer set.close(s)
	base, err := openTrainBase(ctx, s, o.Base, pool)
	if err != nil {
		return err
	}
	j := &sweepJob{o: o, s: s, base: base, set: set}
	if j.candidates, err = o.candidates(); err != nil {
		return usage(err)
	}
	if err := j.search(ctx); err != nil {
		if ctx.Err() != nil {
			s.hints = append(s.hints, "the same command goes on with what is in "+o.Out)
		}
		return err
	}
	doc := j.document(start)
	if err := doc.write(o.Out); err != nil {
		return err
	}
	doc.print(s)
	return s.document(doc)
}
