package melo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/lora"
)

// Method selects what is trained.
type Method = lora.Method

// The training methods.
const (
	// LowRank trains low-rank matrices for some linear layers of the frozen base, and a head: the paper's method.
	LowRank Method = lora.MeLo
	// Linear trains the head alone, on frozen features (linear probe).
	Linear Method = lora.LinearOnly
	Full   Method = lora.FullTuning // all weights
)

// Event is a progress report; see the event types of package experiment.
type Event = experiment.Event

// Recipe says how to train. Zero fields have defaults.
type Recipe struct {
	Method Method // default: LowRank
	Rank   int    // of the low-rank matrices; default: 8
	// Sites are the linear layers with low-rank matrices, such as "q,v" (the default), "q,k,v,proj" or "all".
	Sites  string
	Epochs int     // maximum number; default: 20
	Batch  int     // images per optimizer step; default: 16
	LR     float64 // peak learning rate; default: derived from the base
	Seed   uint64  // of initial weights, order, augmentation and dropout; default: 1

	// Out is the path of the adapter file to write. Default: the name of the data with .safetensors, in the
	// working folder.
	Out string
	// Restart starts over. Otherwise an interrupted run continues from its checkpoint, next to Out, and a
	// finished run is not repeated.
	Restart bool

	// Progress receives events, one at a time. It may be nil.
	Progress func(Event)
	// Adjust changes any other setting. It may be nil.
	Adjust func(*experiment.Options)
}

// options converts the recipe for package experiment, with the options with which the base was opened.
func (b *Base) options(r *Recipe, d *Data) experiment.Options {
	o := experiment.Defaults()
	if b.usable() == nil {
		o.ImageSize, o.Prepare = b.form.image, b.form.prepare
	}
	set(&o.Method, r.Method)
	set(&o.Rank, r.Rank)
	set(&o.Sites, r.Sites)
	set(&o.Epochs, r.Epochs)
	set(&o.Batch, r.Batch)
	set(&o.LR, r.LR)
	set(&o.Seed, r.Seed)
	o.Source = *d.source()
	o.Out = r.Out
	if o.Out == "" {
		name := filepath.Base(filepath.Clean(d.Path))
		o.Out = strings.TrimSuffix(name, filepath.Ext(name)) + ".safetensors"
	}
	o.Resume, o.Restart = !r.Restart, r.Restart
	if r.Adjust != nil {
		r.Adjust(&o)
	}
	return o
}

// set sets a field unless value is zero.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// Run is a finished training run.
type Run struct {
	Adapter *Adapter           // attached to the base
	Path    string             // of the adapter file
	Result  *experiment.Result // what was trained, how, and the validation scores
}

// Train trains an adapter for the base on the training split of data, selects on the validation split, and
// writes the adapter to a file. It does not use the test split; see Evaluate. If ctx ends, a checkpoint
// remains, and the same call continues from it.
func (b *Base) Train(ctx context.Context, data Data, recipe Recipe) (*Run, error) {
	o := b.options(&recipe, &data)
	set, base, err := b.openTraining(ctx, &data, o.Validate(), recipe.Progress)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	run, err := experiment.NewRun(&o, base, set, recipe.Progress)
	if err == nil {
		err = o.CheckOutput()
	}
	var result *experiment.Result
	if err == nil {
		if result = run.Finished(); result == nil || recipe.Restart {
			result, err = run.Train(ctx, time.Now())
		}
	}
	if err := errors.Join(err, set.Close()); err != nil {
		return nil, err
	}
	a, err := b.Adapter(o.Out)
	if err != nil {
		return nil, err
	}
	return &Run{Adapter: a, Path: o.Out, Result: result}, nil
}

// openTraining opens the data, and the base a second time in the form needed for training.
func (b *Base) openTraining(ctx context.Context, data *Data, wrong error, hook experiment.Hook) (*experiment.Set, *experiment.Base, error) {
	if err := errors.Join(b.usable(), data.check(), wrong); err != nil {
		return nil, nil, err
	}
	if b.form.heads != 0 {
		return nil, nil, fmt.Errorf("melo: %s: does not tell its number of attention heads: a base to train on must", b.Path())
	}
	digest, err := b.Digest()
	if err != nil {
		return nil, nil, err
	}
	base, err := experiment.OpenBase(b.Path(), b.form.workers, b.form.remember)
	if err != nil {
		return nil, nil, err
	}
	if base.Digest() != digest {
		base.Close()
		return nil, nil, fmt.Errorf("melo: %s: the file has changed since it was opened: expected weights %s, found %s", b.Path(), digest, base.Digest())
	}
	set, err := experiment.OpenSet(ctx, data.Path, data.source(), hook)
	if err != nil {
		base.Close()
		return nil, nil, err
	}
	return set, base, nil
}

// Plan configures Compare. Zero fields have defaults.
type Plan struct {
	// Methods to compare, the first with each of the others; default: LowRank, Linear, Full.
	Methods []Method
	Seeds   int // runs of each method; default: 3
	// Folds is the number of folds for cross-validation instead of a single test split, repeated Repeats times
	// (default: once) with other folds. Each image is predicted by the adapter that was not trained on it, and
	// Seeds is not used.
	Folds, Repeats int
	// LR are the peak learning rates; default: derived from the base.
	LR map[Method]float64
	// Recipe of all runs; its Method, LR, Seed and Out are not used.
	Recipe Recipe
	// Folder for adapters, records and results; default: the name of the data with .compare.
	Folder string
	// Resamples is the number of bootstrap resamples; default: 2000.
	Resamples int
}

// Compare trains each method with each seed on the same split of data, and evaluates all adapters on the test
// split. Finished runs in the same folder are reused. The caller closes the comparison.
func Compare(ctx context.Context, base *Base, data Data, plan Plan) (*Comparison, error) {
	if base == nil {
		return nil, errNoBase
	}
	o := &experiment.CompareOptions{Options: base.options(&plan.Recipe, &data), Folder: plan.Folder, Methods: plan.Methods, Seeds: 3, Rates: plan.LR,
		Resamples: 2000, Open: func() (experiment.Opened, error) { return shared{base}, nil }}
	if len(o.Methods) == 0 {
		o.Methods = []Method{LowRank, Linear, Full}
	}
	set(&o.Seeds, plan.Seeds)
	set(&o.Resamples, plan.Resamples)
	if o.Folds = plan.Folds; o.Folds > 0 {
		o.Repeats = 1
	}
	set(&o.Repeats, plan.Repeats)
	if o.Folder == "" {
		o.Folder = folderFor(data.Path, ".compare")
	}
	images, trained, err := base.openTraining(ctx, &data, o.Validate(), plan.Recipe.Progress)
	if err != nil {
		return nil, err
	}
	defer trained.Close()
	if err := os.MkdirAll(o.Folder, 0o777); err != nil {
		return nil, errors.Join(err, images.Close())
	}
	c, err := experiment.Compare(ctx, o, trained, images, plan.Recipe.Progress)
	if err == nil {
		err = c.Write()
	}
	if err != nil {
		return nil, errors.Join(err, images.Close())
	}
	return &Comparison{Comparison: c, images: images}, nil
}

// Comparison is the result of Compare.
type Comparison struct {
	*experiment.Comparison
	images *experiment.Set
}

// Close releases the data.
func (c *Comparison) Close() error { return c.images.Close() }

// SweepPlan configures Sweep. Zero fields have defaults.
type SweepPlan struct {
	// Try lists settings and their values as "rank=4/8/16", with names of [experiment.TunableNames]. All
	// combinations are tried. Default: depends on the method.
	Try    []string
	Grid   bool   // train every candidate for all epochs, instead of successive halving
	Seeds  int    // runs of each candidate; default: 1
	Recipe Recipe // of the first candidate; its Seed and Out are not used
	Folder string // for runs and results; default: the name of the data with .sweep
}

// Sweep trains candidates on the training split of data and ranks them by their AUC on the validation split. It
// does not use the test split. Finished runs in the same folder are reused.
func Sweep(ctx context.Context, base *Base, data Data, plan SweepPlan) (*experiment.SweepResult, error) {
	if base == nil {
		return nil, errNoBase
	}
	o := &experiment.SweepOptions{Options: base.options(&plan.Recipe, &data), Folder: plan.Folder, Try: plan.Try, Search: "halving", Eta: 3, Seeds: 1}
	if plan.Grid {
		o.Search = "grid"
	}
	set(&o.Seeds, plan.Seeds)
	if o.Folder == "" {
		o.Folder = folderFor(data.Path, ".sweep")
	}
	images, trained, err := base.openTraining(ctx, &data, o.Validate(), plan.Recipe.Progress)
	if err != nil {
		return nil, err
	}
	defer trained.Close()
	r, err := experiment.Sweep(ctx, o, trained, images, plan.Recipe.Progress)
	if err == nil {
		err = r.Write(o.Folder)
	}
	if err := errors.Join(err, images.Close()); err != nil {
		return nil, err
	}
	return r, nil
}

// folderFor returns the name of the data with another extension.
func folderFor(path, ending string) string {
	name := filepath.Base(filepath.Clean(path))
	return strings.TrimSuffix(name, filepath.Ext(name)) + ending
}
