package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/report/lines"
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
	LR     float64 `name:"lr" placeholder:"RATE" group:"How:" help:"Peak learning rate, where it is not tried. Default: rates that are safe for the base."`

	trainSettings
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

// options are those of the sweep.
func (o *sweepOptions) options() *experiment.SweepOptions {
	e := &experiment.SweepOptions{Options: o.settings(), Folder: o.Out, Try: o.Try, Search: o.Search, Eta: o.Eta, Seeds: o.Seeds}
	e.Method, e.LR, e.Seed = lora.Method(o.Method), o.LR, 1
	return e
}

// Validate refuses option values that cannot be, those to try included.
func (o *sweepOptions) Validate() error { return asFlag(o.options().Validate()) }

// Run sweeps.
func (o *sweepOptions) Run(ctx context.Context, s *stdio) error {
	e := o.options()
	e.Command = s.args
	if err := os.MkdirAll(o.Out, 0o777); err != nil {
		return fmt.Errorf("folder for the sweep: %w", err)
	}
	w := s.watch(true)
	defer w.close()
	set, base, err := openInputs(ctx, s, w, o.Base, o.Data, &o.trainSettings)
	if err != nil {
		return err
	}
	defer base.Close()
	defer set.close(s)
	doc, err := experiment.Sweep(ctx, e, base, set.Set, w.Event)
	if err != nil {
		if ctx.Err() != nil {
			s.hints = append(s.hints, "the same command goes on with what is in "+o.Out)
		}
		return hintPrepare(err)
	}
	doc.Command = bestCommand(s.args, doc)
	if err := doc.Write(o.Out); err != nil {
		return err
	}
	w.close()
	lines.Sweep(s.lines(), doc)
	s.notice()
	return s.document(doc)
}

// bestCommand trains the best candidate by itself: the words of the sweep without what belongs to the search, and the values.
func bestCommand(args []string, d *experiment.SweepResult) string {
	drop := []string{"--out", "--try", "--search", "--eta", "--seeds"}
	for _, s := range d.Tried {
		drop = append(drop, "--"+s.Name)
	}
	words := []string{"melo"}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch {
		case args[i] == "sweep":
			words = append(words, "train")
		case !slices.Contains(drop, name):
			words = append(words, text.ShellWord(args[i]))
		case !joined:
			i++ // its value
		}
	}
	for k, s := range d.Tried {
		words = append(words, "--"+s.Name, text.ShellWord(d.Results[0].Values[k]))
	}
	return strings.Join(append(words, "--out", "best.safetensors"), " ")
}
