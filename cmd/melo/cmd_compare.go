package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	facade "melo.example/melo"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora"
	"melo.example/melo/report/lines"
	"melo.example/melo/report/study"
	"melo.example/melo/train"
)

// compareOptions are the options of "melo compare".
type compareOptions struct {
	Base string `required:"" help:"${base}" placeholder:"BASE"`
	Data string `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Out  string `help:"Folder for adapters, training records and results. Default: the data's name with .compare." placeholder:"DIR"`

	Adapters []string `sep:"none" group:"Existing adapters:" help:"Existing adapter to compare; repeat for each. Nothing is trained. The first is compared with the others." placeholder:"FILE"`
	Answers  []string `sep:"none" group:"Existing adapters:" help:"CSV file with another program's answers for the same images, compared with the first adapter. Columns: path, and probability:LABEL for each label." placeholder:"FILE"`
	Split    string   `default:"test" enum:"train,val,test,all" group:"Existing adapters:" help:"Split to compare existing adapters on: ${enum}."`

	Methods []string           `default:"melo,linear,full" enum:"melo,linear,full" help:"Methods to compare, the first with each of the others: ${enum}."`
	Seeds   int                `default:"3" help:"Runs of each method, with seeds 1, 2 and so on. All use the same split."`
	Repeats int                `default:"1" help:"With --folds: repeat the cross-validation this often, each time with other folds and another seed. Replaces --seeds." placeholder:"R"`
	Shots   []int              `help:"Few-shot learning curves: repeat the comparison with each of these numbers of training images per label." placeholder:"K,K"`
	LR      map[string]float64 `name:"lr" mapsep:"," group:"Training:" help:"Peak learning rate of a method. Default: derived from the base; linear is solved without steps." placeholder:"METHOD=RATE"`

	trainSettings

	Resamples int     `default:"2000" group:"Intervals:" help:"Number of bootstrap resamples."`
	Margin    float64 `default:"1" group:"Intervals:" help:"Margin of non-inferiority: points of AUC by which the first method may be worse than another." placeholder:"POINTS"`
	Pictures  int     `default:"12" group:"Output and machine:" help:"Misclassified images of each method to show in the report; 0: none." placeholder:"N"`
	Restart   bool    `group:"Output and machine:" help:"Start over even if the folder contains finished runs."`
}

// Help returns the long help text.
func (compareOptions) Help() string {
	return `Trains low-rank adapters, linear probes and fully fine-tuned models on the same split, with several seeds each, and
compares them on the test split: trainable parameters, file size, AUC with confidence interval, accuracy, calibration
error before and after calibration, seconds per epoch and peak memory. Differences come with intervals and p-values
that account for the choice of images and of seeds, and with a test of non-inferiority. The test split is used once,
when all runs are finished.

DIR receives the adapters with their training records, compare.json (the output of --json), compare.csv, and
report.html, one file with curves and images.

--folds K cross-validates instead: K adapters of each method are trained, each on all folds but one, and predict the
images of the fold that they have not seen. Reported are the AUC of all predictions together, with its interval, the
mean and standard deviation over folds, and differences with the corrected resampled t-test of Nadeau and Bengio.
--repeats R repeats this R times with other folds.

--shots 5,10,20 measures few-shot learning curves: the comparison is repeated with each number of training images per
label. They are drawn anew for each seed; validation and test images stay the same.

Ctrl-C keeps finished runs: the same command continues. Peak memory is measured for each run separately.

--adapters trains nothing. It compares existing adapters, and other programs' answers (--answers, a CSV file as written
by melo eval --predictions), on the same images.

Examples:

    melo compare --base vit_tiny/ --data busi/ --adapters a.safetensors \
        --adapters b.safetensors --answers other.csv
    melo compare --base vit_tiny/ --data busi/
    melo compare --base vit_tiny/ --data busi/ --methods melo,linear --seeds 5
    melo compare --base vit_tiny/ --data busi/ --folds 5 --repeats 2
    melo compare --base vit_tiny/ --data busi/ --shots 5,10,20,50
    melo compare --base vit_tiny/ --data chest.csv --group-column patient \
        --no-flip --lr full=0.00003 --epochs 10 --out chest.compare

Research software, not a medical device.` + exitHelp
}

// options returns the options of the comparison.
func (o *compareOptions) options() *experiment.CompareOptions {
	e := &experiment.CompareOptions{Options: o.settings(), Folder: o.folder(), Seeds: o.Seeds, Repeats: o.Repeats, Rates: map[lora.Method]float64{}, Resamples: o.Resamples, Margin: o.Margin / 100,
		Apart: true, Open: facade.Opener(o.Base, facade.Workers(o.Workers), facade.Batch(cmp.Or(o.Pass, experiment.UsualPass)), facade.Remember(cacheDir()), facade.ImageSize(o.ImageSize))}
	e.Restart = o.Restart
	for _, m := range o.Methods {
		e.Methods = append(e.Methods, lora.Method(m))
	}
	for m, rate := range o.LR {
		e.Rates[lora.Method(m)] = rate
	}
	return e
}

// Validate rejects invalid option values.
func (o *compareOptions) Validate() error {
	if o.Pictures < 0 || o.Pictures > maxPictures {
		return fmt.Errorf("--pictures %d, expected 0 to %d", o.Pictures, maxPictures)
	}
	return asFlag(o.options().CheckShots(o.Shots))
}

// folder returns the output folder.
func (o *compareOptions) folder() string {
	name := strings.TrimSuffix(filepath.Base(filepath.Clean(o.Data)), filepath.Ext(o.Data))
	return cmp.Or(o.Out, name+".compare")
}

// Run compares and writes the results.
func (o *compareOptions) Run(ctx context.Context, s *stdio) error {
	if len(o.Adapters)+len(o.Answers) > 0 {
		return o.runExisting(ctx, s)
	}
	e := o.options()
	e.Command = s.args
	for _, folder := range append(e.ShotsFolders(o.Shots), o.folder()) {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return fmt.Errorf("folder for the comparison: %w", err)
		}
		if err := atomicfile.TryFolder(folder); err != nil {
			return err
		}
	}
	w := s.watch(true)
	defer w.close()
	set, base, err := openInputs(ctx, s, w, o.Base, o.Data, &o.trainSettings)
	if err != nil {
		return err
	}
	defer base.Close()
	defer set.close(s)
	compare := o.once
	if len(o.Shots) > 0 {
		compare = o.shots
	}
	c, err := compare(ctx, s, e, base, set.Set, w.Event)
	if err != nil {
		return o.unfinished(s, c.document != nil, hintPrepare(err))
	}
	w.close()
	c.show()
	s.notice()
	return s.document(c.document)
}

// found is the result of a comparison. document is nil if some runs are missing.
type found struct {
	document any
	show     func()
}

// once compares on one split, or on folds, and writes the results.
func (o *compareOptions) once(ctx context.Context, s *stdio, e *experiment.CompareOptions, base *experiment.Base, set *experiment.Set, hook experiment.Hook) (found, error) {
	c, err := experiment.Compare(ctx, e, base, set, hook)
	if err != nil {
		return found{}, err
	}
	return found{&c.ComparisonDocument, func() { lines.Comparison(s.lines(), c) }}, study.WriteComparison(ctx, c, s.sameCommand("--restart"), o.Pictures)
}

// shots compares on few images, once for each number of them, and writes the results.
func (o *compareOptions) shots(ctx context.Context, s *stdio, e *experiment.CompareOptions, base *experiment.Base, set *experiment.Set, hook experiment.Hook) (found, error) {
	d, err := experiment.CompareShots(ctx, e, o.Shots, base, set, hook)
	if err != nil {
		return found{}, err
	}
	return found{d, func() { lines.Shots(s.lines(), d) }}, study.WriteShots(ctx, d, s.sameCommand("--restart"), o.Pictures)
}

// unfinished adds to err how to continue an interrupted comparison. measured says that all runs are finished.
func (o *compareOptions) unfinished(s *stdio, measured bool, err error) error {
	if other := (*experiment.OtherRunError)(nil); errors.As(err, &other) {
		return fmt.Errorf("%w, or --restart to start over", err)
	}
	runs := o.options().Runs() * max(1, len(o.Shots))
	done := runs
	if !measured {
		partial := (*experiment.PartialError)(nil)
		if !errors.As(err, &partial) {
			return err
		}
		done, runs = partial.Done, partial.Runs
	}
	kept := fmt.Sprintf("%d of %d runs are done and kept in %s", done, runs, o.folder())
	if diverged := (*train.NotFiniteError)(nil); errors.As(err, &diverged) { // would diverge again
		s.hints = append(s.hints, kept)
		return err
	}
	s.hints = append(s.hints, kept+"; to go on:", "    "+s.sameCommand("--restart"))
	return err
}
