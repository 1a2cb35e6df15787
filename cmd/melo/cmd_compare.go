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
	Out  string `help:"Folder for the adapters, the records of the runs, and the results. Default: the name of the data with .compare." placeholder:"DIR"`

	Adapters []string `sep:"none" group:"Adapters that are there:" help:"Adapter to compare, once for each; no training. The first is compared with the others." placeholder:"FILE"`
	Answers  []string `sep:"none" group:"Adapters that are there:" help:"CSV file with another program's answers for the same images, compared with the first adapter: path, and probability:LABEL for each label." placeholder:"FILE"`
	Split    string   `default:"test" enum:"train,val,test,all" group:"Adapters that are there:" help:"Images to compare adapters on: ${enum}."`

	Methods []string           `default:"melo,linear,full" enum:"melo,linear,full" help:"Methods to compare, the first against the others: ${enum}."`
	Seeds   int                `default:"3" help:"Runs of each method, with the seeds 1, 2 and so on. The split is the same for all."`
	Repeats int                `default:"1" help:"With --folds: how often all folds are made, each time divided otherwise and with another seed; --seeds is not used then." placeholder:"R"`
	Shots   []int              `help:"Few-shot curves: compare once for each of these numbers of training images of each label." placeholder:"K,K"`
	LR      map[string]float64 `name:"lr" mapsep:"," group:"How:" help:"Peak learning rate of a method. Default: rates that are safe for the base; linear is solved without steps." placeholder:"METHOD=RATE"`

	trainSettings

	Resamples int     `default:"2000" group:"Intervals:" help:"Resamples of the bootstrap."`
	Margin    float64 `default:"1" group:"Intervals:" help:"Points of AUC by which the first method may be worse than another and still count as not inferior." placeholder:"POINTS"`
	Pictures  int     `default:"12" group:"Output and machine:" help:"Images of mistakes in the report, of each method; 0: none." placeholder:"N"`
	Restart   bool    `group:"Output and machine:" help:"Start over although the folder has runs."`
}

// Help is the long help text.
func (compareOptions) Help() string {
	return `Trains low-rank adapters, linear probes and fully tuned models on the same split, several seeds each, and compares
them on the test split: trainable parameters, file size, AUC with its interval, accuracy, calibration error before and
after calibration, seconds per epoch, peak memory, and the differences with intervals and p-values that hold for other images and other seeds, and a test of
non-inferiority with a margin. The test split
is used once, when all runs are done.

DIR gets the adapters with their records, compare.json (what --json prints), compare.csv, and report.html, one file
with curves and pictures.

With --folds K there is no single test split: K adapters of each method are trained, each on all but one part of the
data, and every image is answered by the one adapter that has not seen it. The AUC of these answers together is
shown with its interval, that of the folds with mean and standard deviation, and differences over the folds with
the corrected t-test of Nadeau and Bengio. --repeats R does it R times with other divisions.

--shots 5,10,20 draws few-shot curves: the comparison is made once for each number of training images of each label,
drawn anew for each seed, with the same validation and test images.

Ctrl-C keeps what is there: the same command goes on. A finished run is not made again. Peak memory is that of each run
by itself: before it the program gives back what it can, and counts anew.

With --adapters nothing is trained: adapters that are there, and other programs' answers (--answers, a CSV file as
melo eval --predictions writes it), are compared on the same images.

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

// options are those of the comparison.
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

// Validate refuses option values that cannot be.
func (o *compareOptions) Validate() error {
	if o.Pictures < 0 || o.Pictures > maxPictures {
		return fmt.Errorf("--pictures %d, expected 0 to %d", o.Pictures, maxPictures)
	}
	return asFlag(o.options().CheckShots(o.Shots))
}

// folder is where everything is written.
func (o *compareOptions) folder() string {
	name := strings.TrimSuffix(filepath.Base(filepath.Clean(o.Data)), filepath.Ext(o.Data))
	return cmp.Or(o.Out, name+".compare")
}

// Run compares.
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

// found is what came of comparing: the document, nil if not all runs were measured, and how it is shown to people.
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

// unfinished says how a comparison that ended too early can be gone on with. measured: all its runs are done.
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
	if diverged := (*train.NotFiniteError)(nil); errors.As(err, &diverged) { // and would do so again
		s.hints = append(s.hints, kept)
		return err
	}
	s.hints = append(s.hints, kept+"; to go on:", "    "+s.sameCommand("--restart"))
	return err
}
