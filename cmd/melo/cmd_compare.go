package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"melo.example/melo/internal/par"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/ui"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// compareOptions are the options of "melo compare".
type compareOptions struct {
	Base string `required:"" help:"${base}" placeholder:"BASE"`
	Data string `required:"" help:"Data: a folder with labels.csv, a CSV file, a folder with one folder per class (with or without train, val and test above them), or an .npz archive with MedMNIST's names." placeholder:"DATA"`
	Out  string `help:"Folder for the adapters, the records of the runs, and the results. Default: the name of the data with .compare." placeholder:"DIR"`

	Methods []string           `default:"melo,linear,full" enum:"melo,linear,full" help:"Methods to compare, the first against the others: ${enum}."`
	Seeds   int                `default:"3" help:"Runs of each method, with the seeds 1, 2 and so on. The split is the same for all."`
	LR      map[string]float64 `name:"lr" mapsep:"," group:"How:" help:"Peak learning rate of a method. Defaults: melo=${lr_melo}, linear=${lr_linear}, full=${lr_full}." placeholder:"METHOD=RATE"`

	trainRecipe

	Resamples int  `default:"2000" group:"Intervals:" help:"Resamples of the bootstrap."`
	Pictures  int  `default:"12" group:"Output and machine:" help:"Images of mistakes in the report, of each method; 0: none." placeholder:"N"`
	Restart   bool `group:"Output and machine:" help:"Start over although the folder has runs."`
}

// Help is the long help text.
func (compareOptions) Help() string {
	return `Trains low-rank adapters, linear probes and fully tuned models on the same split, several seeds each, and compares
them on the test split: trained numbers, file size, AUC with its interval, accuracy, calibration error before and
after calibration, seconds per epoch, peak memory, and the differences with paired bootstrap p-values. The test split
is used once, when all runs are done.

DIR gets the adapters with their records, compare.json (what --json prints), compare.csv, and report.html, one file
with curves and pictures.

Ctrl-C keeps what is there: the same command goes on. A finished run is not made again. Peak memory is that of each run
by itself: before it the program gives back what it can, and counts anew.

Examples:

    melo compare --base vit_tiny/ --data busi/
    melo compare --base vit_tiny/ --data busi/ --methods melo,linear --seeds 5
    melo compare --base vit_tiny/ --data chest.csv --group-column patient \
        --no-flip --lr full=0.00003 --epochs 10 --out chest.compare

Research software, not a medical device.` + exitHelp
}

// maxSeeds bounds --seeds, so that a slip does not ask for years.
const maxSeeds = 1000

// Validate refuses option values that cannot be.
func (o *compareOptions) Validate() error {
	switch {
	case o.Seeds < 1 || o.Seeds > maxSeeds:
		return fmt.Errorf("--seeds %d, expected 1 to %d", o.Seeds, maxSeeds)
	case o.Folds != 0:
		return errors.New("--folds: runs are compared on one test split; give none")
	case o.Resamples < 100 || o.Resamples > 1_000_000:
		return fmt.Errorf("--resamples %d, expected 100 to 1000000", o.Resamples)
	case o.Pictures < 0 || o.Pictures > maxPictures:
		return fmt.Errorf("--pictures %d, expected 0 to %d", o.Pictures, maxPictures)
	}
	for i, m := range o.Methods {
		if slices.Contains(o.Methods[:i], m) {
			return fmt.Errorf("--methods names %s twice", m)
		}
		one := o.run(m, 1)
		if err := one.Validate(); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	for m := range o.LR {
		if !slices.Contains(o.Methods, m) {
			return fmt.Errorf("--lr %s: expected one of the methods %s", m, strings.Join(o.Methods, ", "))
		}
	}
	return nil
}

// folder is where everything is written.
func (o *compareOptions) folder() string {
	name := strings.TrimSuffix(filepath.Base(filepath.Clean(o.Data)), filepath.Ext(o.Data))
	return cmp.Or(o.Out, name+".compare")
}

// run are the options of one of the trainings.
func (o *compareOptions) run(method string, seed int) *trainOptions {
	r := &trainOptions{Base: o.Base, Data: o.Data, Out: filepath.Join(o.folder(), fmt.Sprintf("%s-%d.safetensors", method, seed)),
		Method: method, LR: o.LR[method], Seed: uint64(seed), trainRecipe: o.trainRecipe, Resume: !o.Restart, Restart: o.Restart}
	if method == string(lora.FullTuning) {
		r.Precision = "auto" // there is but one
	}
	return r
}

// compareJob is one comparison.
type compareJob struct {
	o    *compareOptions
	s    *stdio
	base *trainBase
	set  *trainSet
	runs []compareRun // by method, then by seed
	bare bool         // runs leave no pictures of their curves
	test []int        // samples of the data

	judged *judgement
	doc    compareDocument
}

// compareRun is one training.
type compareRun struct {
	o     *trainOptions
	title string
	doc   *trainDocument // nil: to be done
}

// Run compares.
func (o *compareOptions) Run(ctx context.Context, s *stdio) error {
	start := time.Now()
	if err := os.MkdirAll(o.folder(), 0o777); err != nil {
		return fmt.Errorf("folder for the comparison: %w", err)
	}
	if err := tryFolder(o.folder()); err != nil {
		return err
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
	base.apart = true // or what one run has mapped would count as memory of all that follow
	j := &compareJob{o: o, s: s, base: base, set: set}
	if err := j.plan(); err != nil {
		return err
	}
	if err := j.train(ctx); err != nil {
		return j.unfinished(err)
	}
	if err := j.evaluate(ctx); err != nil {
		return j.unfinished(err)
	}
	if err := j.measure(ctx); err != nil {
		return j.unfinished(err)
	}
	j.doc.Seconds = time.Since(start).Seconds()
	if err := j.write(ctx); err != nil {
		return j.unfinished(err)
	}
	j.print()
	return s.document(&j.doc)
}

// plan lists the runs, finds out which are done, and refuses a folder with others in it.
func (j *compareJob) plan() error {
	for _, m := range j.o.Methods {
		for seed := 1; seed <= j.o.Seeds; seed++ {
			r := compareRun{o: j.o.run(m, seed), title: fmt.Sprintf("%s, seed %d", m, seed)}
			job, err := newTrainJob(r.o, j.s, j.base, j.set, runView{title: r.title, quiet: true})
			if err != nil {
				return err
			}
			if j.test = job.parts[2]; len(j.test) == 0 {
				return badInput(fmt.Errorf("%s: no test split to compare on: give --test-split", j.o.Data))
			}
			if !j.o.Restart {
				if r.doc = job.finished(); r.doc == nil {
					if err := job.otherRun(); err != nil {
						return fmt.Errorf("%w, or --restart to start over", err)
					}
				}
			}
			j.doc.Data = job.info
			j.runs = append(j.runs, r)
		}
	}
	return nil
}

// train makes the runs that are not done.
func (j *compareJob) train(ctx context.Context) error {
	view := j.s.progress()
	defer view.Close()
	for i := range j.runs {
		r := &j.runs[i]
		if r.doc != nil {
			view.Printf("melo: %s: done before (%d of %d)", r.title, i+1, len(j.runs))
			continue
		}
		clear(j.base.models) // of another method, maybe in another precision: it would count as memory of this run
		counted := sysinfo.ResetPeak()
		job, err := newTrainJob(r.o, j.s, j.base, j.set, runView{title: r.title, quiet: true, bare: j.bare, ui: view})
		if err != nil {
			return err
		}
		doc, err := job.run(ctx, time.Now())
		if err != nil {
			return fmt.Errorf("%s: %w", r.title, err)
		}
		if !counted && doc.PeakMemory != 0 {
			doc.PeakMemory = 0 // that of an earlier run, maybe
			job.record.Result = doc
			if err := job.writeRecord(); err != nil {
				return err
			}
		}
		r.doc = doc
		view.Printf("melo: %s: val %s, epoch %d of %d, %s (%d of %d)", r.title, scoreLine(doc.Validation.Scores, 2), doc.BestEpoch, doc.Epochs,
			ui.Duration(time.Duration(doc.Seconds*float64(time.Second))), i+1, len(j.runs))
	}
	clear(j.base.models)
	return nil
}

// unfinished says how a comparison that ended too early can be gone on with.
func (j *compareJob) unfinished(err error) error {
	done := 0
	for i := range j.runs {
		if j.runs[i].doc != nil {
			done++
		}
	}
	kept := fmt.Sprintf("%d of %d runs are done and kept in %s", done, len(j.runs), j.o.folder())
	if diverged := (*train.NotFiniteError)(nil); errors.As(err, &diverged) { // and would do so again
		j.s.hints = append(j.s.hints, kept)
		return err
	}
	j.s.hints = append(j.s.hints, kept+"; to go on:", "    "+j.s.sameCommand("--restart"))
	return err
}
