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
	Out  string `required:"" help:"Folder for the runs and the results." placeholder:"DIR"`

	Try    []string `sep:"none" group:"Search:" help:"Values of a setting: NAME=VALUE/VALUE/..., with NAME one of ${try_names}. Repeat for several settings; all combinations are tried. Default: ${try_default}." placeholder:"NAME=VALUES"`
	Search string   `default:"halving" enum:"halving,grid" group:"Search:" help:"Strategy. halving: rounds with more and more epochs, of which the best candidates enter the next; grid: all candidates with all epochs."`
	Eta    int      `default:"3" group:"Search:" help:"With halving: one in ETA candidates enters the next round, with ETA times the epochs."`
	Seeds  int      `default:"1" group:"Search:" help:"Runs of each candidate, with seeds 1, 2 and so on; candidates are ranked by the mean."`

	Method string  `default:"melo" enum:"melo,linear,full" group:"Trainable parameters:" help:"What is trained. melo: low-rank matrices and a head; linear: the head alone; full: all weights."`
	LR     float64 `name:"lr" placeholder:"RATE" group:"Training:" help:"Peak learning rate, unless it is one of the settings tried. Default: derived from the base."`

	trainSettings
}

// Help returns the long help text.
func (sweepOptions) Help() string {
	return `Searches for settings: trains candidates on the training split and ranks them by their AUC on the validation split.
The settings of the command line, including defaults, are always one candidate and are trained for all epochs, so that
the results show the gain from tuning. The test split is not used.

DIR receives sweep.json (the output of --json), sweep.csv, and the adapters with their training records in DIR/runs.
After Ctrl-C or a crash the same command continues. Finished runs are reused, also after values were added.

The best of many validation AUCs is biased upwards: evaluate the chosen adapter with "melo eval", once.

Examples:

    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep
    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep --seeds 3 \
        --try lr=0.001/0.002/0.004 --try rank=2/8
    melo sweep --base vit_tiny/ --data busi/ --out busi.sweep --search grid \
        --try sites=q,v/q,k,v,proj --try epochs=10/20

Research software, not a medical device.` + exitHelp
}

// options returns the options of the sweep.
func (o *sweepOptions) options() *experiment.SweepOptions {
	e := &experiment.SweepOptions{Options: o.settings(), Folder: o.Out, Try: o.Try, Search: o.Search, Eta: o.Eta, Seeds: o.Seeds}
	e.Method, e.LR, e.Seed = lora.Method(o.Method), o.LR, 1
	return e
}

// Validate rejects invalid option values, including the values to try.
func (o *sweepOptions) Validate() error { return asFlag(o.options().Validate()) }

// Run searches and prints the ranking.
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

// bestCommand returns the command that trains the best candidate alone: the arguments of the sweep without
// those of the search, with the candidate's values added.
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
