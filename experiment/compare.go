package experiment

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/lora"
	"melo.example/melo/metric"
)

// CompareOptions configures a comparison: which methods, with how many seeds. The options apply to every run,
// except for Out, Method, LR, Seed, Folder and Title, which the comparison sets.
type CompareOptions struct {
	Options
	Folder  string                  // for adapters, records and results
	Methods []lora.Method           // the first is compared with each of the others
	Seeds   int                     // runs per method, with seeds 1, 2 and so on; not used with Folds
	Repeats int                     // with Folds: repetitions of the cross-validation, each with another split and seed
	Rates   map[lora.Method]float64 // peak learning rates; missing: the method's default

	Resamples int // number of bootstrap resamples
	// Margin of non-inferiority: how much lower the AUC of the first method may be; 0: DefaultMargin.
	Margin float64
	// Apart packs the weights of the base again for each run, so that the memory of each run is measured
	// separately.
	Apart bool

	// Open opens the base for testing after all runs are done.
	Open func() (Opened, error)
}

// Opened is a base to which adapters can be attached.
type Opened interface {
	Attach(adapterPath string) (Predictor, error)
	Close() error
}

// DefaultMargin is 0.01 of AUC.
const DefaultMargin = 0.01

// maxSeeds limits Seeds, so that a typing error does not start years of computation.
const maxSeeds = 1000

// Validate returns a [SettingError] for invalid settings.
func (o *CompareOptions) Validate() error {
	switch {
	case len(o.Methods) == 0:
		return setting("methods", "names none")
	case o.Folds == 0 && o.Repeats > 1:
		return setting("repeats", "%d, but there are no folds to repeat: seeds repeat runs on one split", o.Repeats)
	case o.Folds != 0 && (o.Repeats < 1 || o.Repeats > maxSeeds):
		return setting("repeats", "%d, expected 1 to %d", o.Repeats, maxSeeds)
	case o.Folds == 0 && (o.Seeds < 1 || o.Seeds > maxSeeds):
		return setting("seeds", "%d, expected 1 to %d", o.Seeds, maxSeeds)
	case !(o.Margin >= 0 && o.Margin < 0.5):
		return setting("margin", "%v of an AUC, expected 0 to less than 0.5", o.Margin)
	case o.Resamples < 100 || o.Resamples > 1_000_000:
		return setting("resamples", "%d, expected 100 to 1000000", o.Resamples)
	}
	for i, m := range o.Methods {
		if slices.Contains(o.Methods[:i], m) {
			return setting("methods", "names %s twice", m)
		}
		if err := o.run(m, 1, min(1, o.Folds)).Validate(); err != nil {
			return err
		}
	}
	for m := range o.Rates {
		if !slices.Contains(o.Methods, m) {
			return setting("lr", "%s: expected one of the methods %v", m, o.Methods)
		}
	}
	return nil
}

// rounds returns how often a method answers for all test images: once per seed or, with folds, per repeat.
func (o *CompareOptions) rounds() int {
	if o.Folds > 0 {
		return o.Repeats
	}
	return o.Seeds
}

// perRound returns the number of trainings per round.
func (o *CompareOptions) perRound() int { return max(1, o.Folds) }

// run returns the options of one training, of a round and a fold, both from 1 (fold 0: no folds).
func (o *CompareOptions) run(method lora.Method, round, fold int) *Options {
	r := o.Options
	name, title := fmt.Sprintf("%s-%d", method, round), fmt.Sprintf("%s, seed %d", method, round)
	if o.Folds > 0 {
		name, title = fmt.Sprintf("%s-fold%d", name, fold), fmt.Sprintf("%s, repeat %d, fold %d", method, round, fold)
		r.Fold, r.SplitSeed = fold, o.SplitSeed+uint64(round-1)
	}
	r.Out, r.Folder = filepath.Join(o.Folder, name+".safetensors"), ""
	r.Method, r.LR, r.Seed, r.Resume = method, o.Rates[method], uint64(round), !o.Restart
	r.Title = title
	if method == lora.FullTuning {
		r.Precision = "auto" // full fine-tuning supports no other
	}
	return &r
}

// runs returns the options of all trainings of one method, by round and fold.
func (o *CompareOptions) runs(method lora.Method) []*Options {
	var list []*Options
	for round := 1; round <= o.rounds(); round++ {
		for k := range o.perRound() {
			list = append(list, o.run(method, round, min(k+1, o.Folds)))
		}
	}
	return list
}

// Runs returns the number of trainings.
func (o *CompareOptions) Runs() int { return len(o.Methods) * o.rounds() * o.perRound() }

// RunFolders lists the folders of the runs of one method, by seed, or by repeat and fold.
func (o *CompareOptions) RunFolders(method lora.Method) []string {
	var list []string
	for _, r := range o.runs(method) {
		list = append(list, r.RunFolder())
	}
	return list
}

// Comparison is the result of a comparison. Images of its judgement can be read as long as the data is open.
type Comparison struct {
	ComparisonDocument
	Judgement  *Judgement
	Options    *CompareOptions
	BaseDigest string
}

// PartialError reports a comparison that ended early. Finished runs are kept, and the same comparison can be
// continued.
type PartialError struct {
	Done, Runs int
	Err        error
}

// Error returns the message of Err.
func (e *PartialError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *PartialError) Unwrap() error { return e.Err }

// Compare trains each method with each seed on the same split, and evaluates all of them on the test images.
// Runs that are already done are not repeated. The base must not be used for anything else meanwhile, because
// the memory of each run is measured.
func Compare(ctx context.Context, o *CompareOptions, base *Base, set *Set, hook Hook) (*Comparison, error) {
	start := time.Now()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	base.apart = o.Apart // otherwise memory mapped by one run would count for all later ones
	j := &compareJob{o: o, hook: hook, base: base, set: set}
	if err := j.plan(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{j.train, j.evaluate, j.measure} {
		if err := step(ctx); err != nil {
			return nil, j.partial(err)
		}
	}
	j.doc.Seconds = time.Since(start).Seconds()
	return &Comparison{ComparisonDocument: j.doc, Judgement: j.judged, Options: o, BaseDigest: base.digest}, nil
}

// partial wraps an error with the number of finished runs.
func (j *compareJob) partial(err error) error {
	done := 0
	for i := range j.runs {
		if j.runs[i].doc != nil {
			done++
		}
	}
	return &PartialError{Done: done, Runs: len(j.runs), Err: err}
}

// compareJob is a comparison in progress.
type compareJob struct {
	o    *CompareOptions
	hook Hook
	base *Base
	set  *Set
	runs []comparedRun // by method, then by seed, or by repeat and fold

	judged *Judgement
	doc    ComparisonDocument
}

// comparedRun is one training.
type comparedRun struct {
	o    *Options
	test []int   // indices of test samples
	doc  *Result // nil: not done yet

	own, ownRaw *metric.Predictions // predictions of the adapter for test, calibrated and uncalibrated
}

// plan lists the runs and finds out which are done. It returns an error if a folder contains another run.
func (j *compareJob) plan() error {
	for _, m := range j.o.Methods {
		for _, o := range j.o.runs(m) {
			r := comparedRun{o: o}
			job, err := NewRun(r.o, j.base, j.set, j.hook)
			if err != nil {
				return err
			}
			if r.test = job.parts[2]; len(r.test) == 0 {
				return badInput(fmt.Errorf("%s: no test split to compare on: give a share for testing, or folds", j.set.path))
			}
			if !j.o.Restart {
				if r.doc = job.Finished(); r.doc == nil {
					if err := job.OtherRun(); err != nil {
						return err
					}
				}
			}
			j.doc.Data = job.info
			j.runs = append(j.runs, r)
		}
	}
	if j.o.Folds > 0 {
		j.pooledData()
	}
	return nil
}

// train trains the runs that are not done.
func (j *compareJob) train(ctx context.Context) error {
	for i := range j.runs {
		r := &j.runs[i]
		if r.doc != nil {
			j.hook.tell(Compared{Title: r.o.Title, Before: true, Number: i + 1, Runs: len(j.runs), Result: r.doc})
			continue
		}
		// models of another method, possibly in another precision, would count as memory of this run
		clear(j.base.models)
		counted := sysinfo.ResetPeak()
		job, err := NewRun(r.o, j.base, j.set, j.hook)
		if err != nil {
			return err
		}
		doc, err := job.Train(ctx, time.Now())
		if err != nil {
			return fmt.Errorf("%s: %w", r.o.Title, err)
		}
		if !counted && doc.PeakMemory != 0 {
			doc.PeakMemory = 0 // it may be from an earlier run
			job.record.Result = doc
			if err := job.writeRecord(); err != nil {
				return err
			}
		}
		r.doc = doc
		j.hook.tell(Compared{Title: r.o.Title, Number: i + 1, Runs: len(j.runs), Result: doc})
	}
	clear(j.base.models)
	return nil
}
