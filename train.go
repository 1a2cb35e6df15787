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

// Method says what is trained.
type Method = lora.Method

// The methods.
const (
	LowRank Method = lora.MeLo       // low-rank matrices beside chosen maps of the frozen base, and a head: the paper's method
	Linear  Method = lora.LinearOnly // the head alone, on frozen features
	Full    Method = lora.FullTuning // every weight
)

// Event is what work that takes long reports: see the types of package experiment.
type Event = experiment.Event

// Recipe says how to train. The zero value of a field is its default.
type Recipe struct {
	Method Method  // default: LowRank
	Rank   int     // of the matrices; default: 8
	Sites  string  // maps with matrices beside them, such as "q,v" (the default), "q,k,v,proj" or "all"
	Epochs int     // at most; default: 20
	Batch  int     // images of an optimizer step; default: 16
	LR     float64 // peak learning rate; default: the method's own
	Seed   uint64  // of first weights, order, augmentation and dropout; default: 1

	// Out is the adapter file to write. Default: the name of the data with .safetensors, in the working folder.
	Out string
	// Restart starts over. Otherwise a run that was interrupted goes on from its checkpoint, beside Out, and a run that was
	// finished is not made again.
	Restart bool

	// Progress is told what happens, one event at a time; may be nil.
	Progress func(Event)
	// Adjust changes whatever else there is to choose, last; may be nil.
	Adjust func(*experiment.Options)
}

// options are the recipe as experiments know it, for a base in the form in which it was opened.
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

// set changes what is not zero.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// Run is a training that is done.
type Run struct {
	Adapter *Adapter           // on the base that was trained
	Path    string             // of its file
	Result  *experiment.Result // what was trained, how, and what validation says
}

// Train trains an adapter for the base on the training images of data, keeps the best epoch on validation, and writes it. The
// images for testing are not touched: that is what Evaluate is for. The end of ctx leaves a checkpoint, and the same call
// goes on from it.
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

// openTraining opens data, and the base once more, in the form that it is trained in.
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

// Plan says what a comparison compares. The zero value of a field is its default.
type Plan struct {
	Methods []Method // the first against the others; default: LowRank, Linear, Full
	Seeds   int      // runs of each method; default: 3
	// Folds are for cross-validation instead of one test split, made Repeats times (default: once) with other divisions.
	// Every image is then answered by the adapter that was not trained on it, and Seeds is not used.
	Folds, Repeats int
	LR             map[Method]float64 // peak learning rates; default: the methods' own
	Recipe         Recipe             // of all runs; its Method, LR, Seed and Out are not used
	Folder         string             // for adapters, records and results; default: the name of the data with .compare
	// Resamples of the bootstrap; default: 2000.
	Resamples int
}

// Compare trains each method with each seed on the same split of data, and measures all of them on the test images. What
// was done by an earlier call in the same folder is not done again. Close the comparison when done.
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

// Comparison is what a comparison found.
type Comparison struct {
	*experiment.Comparison
	images *experiment.Set
}

// Close gives back what the data holds.
func (c *Comparison) Close() error { return c.images.Close() }

// SweepPlan says what settings are tried. The zero value of a field is its default.
type SweepPlan struct {
	// Try lists values as "rank=4/8/16", one entry a setting, of [experiment.TunableNames]. All combinations are tried.
	// Default: what suits the method.
	Try    []string
	Grid   bool   // try every candidate with all epochs, instead of giving more and more epochs to fewer and fewer
	Seeds  int    // runs of each candidate; default: 1
	Recipe Recipe // one of the candidates; its Seed and Out are not used
	Folder string // for the runs and the table; default: the name of the data with .sweep
}

// Sweep trains candidates on the training images of data and ranks them by their AUC on validation. Images for testing are
// not touched. What was done by an earlier call in the same folder is not done again.
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

// folderFor is the name of data with another ending.
func folderFor(path, ending string) string {
	name := filepath.Base(filepath.Clean(path))
	return strings.TrimSuffix(name, filepath.Ext(name)) + ending
}
