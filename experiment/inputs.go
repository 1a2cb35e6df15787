package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// Base is a base on which runs are trained, one after the other. Its weights are read once for each form that a
// run needs. Close it after use.
type Base struct {
	path   string
	digest string
	known  *memo.Cache
	pool   *compute.Pool
	models map[form]*vit.Model
	told   bool // preprocessing was reported
	apart  bool // weights are packed in memory of this process, so that memory is released when models are dropped
}

// OpenBase opens the base of a name, as [bases.Open]; a base of a hub must have been downloaded. Its runs use
// the given number of workers (0: all cores). remember is the folder of a cache of facts about files (empty:
// none).
func OpenBase(path string, workers int, remember string) (*Base, error) {
	known := memo.New(remember)
	digest, err := bases.Digest(known, path) // every form that is loaded must have the same digest
	if err != nil {
		return nil, badInput(err)
	}
	return &Base{path: path, digest: digest, known: known, pool: compute.NewPool(workers), models: map[form]*vit.Model{}}, nil
}

// Path returns the path of the base.
func (b *Base) Path() string { return b.path }

// Digest returns the digest of its weights.
func (b *Base) Digest() string { return b.digest }

// Close stops the workers.
func (b *Base) Close() { b.pool.Close() }

// tellPrepare reports the preprocessing once, if no file gives it.
func (b *Base) tellPrepare(hook Hook, m *vit.Model) error {
	if b.told {
		return nil
	}
	b.told = true
	if err := m.CheckRecipe(); err != nil {
		return badInput(err)
	}
	if m.RecipeNote != "" {
		hook.tell(Prepared{Base: m.Path, Recipe: m.Recipe, Why: m.RecipeNote})
	}
	return nil
}

// form is how a base is held in memory.
type form struct {
	precision vit.Precision
	image     int // side of the input in pixels; 0: the base's own
	prepare   processor.Override
	pool      string
	apart     bool // packed weights are neither stored in nor mapped from a cache file, which would stay mapped
}

// model returns the base in a form, loading it if necessary.
func (b *Base) model(f form) (*vit.Model, error) {
	f.apart = b.apart
	if m := b.models[f]; m != nil {
		return m, nil
	}
	opt := b.options(f)
	if !f.apart {
		opt.Known = b.known
	}
	m, weights, err := bases.OpenWithWeights(b.path, opt, true)
	if err != nil {
		return nil, badInput(err)
	}
	digest, err := weights.Digest()
	if err := errors.Join(err, weights.Close()); err != nil {
		return nil, badInput(err)
	}
	if err := b.same(digest); err != nil {
		return nil, err
	}
	b.models[f] = m
	return m, nil
}

// options returns the options for opening the base in a form.
func (b *Base) options(f form) vit.Options {
	return vit.Options{Image: f.image, Workers: b.pool, Precision: f.precision, Prepare: f.prepare, Pool: f.pool}
}

// same returns an error if the weights have changed since the base was opened.
func (b *Base) same(digest string) error {
	if digest != b.digest {
		return badInput(fmt.Errorf("%s: the file has changed: expected weights %s, found %s", b.path, b.digest, digest))
	}
	return nil
}

// features computes the features of n images in a form that is needed only once. Unless it is in memory
// already, its blocks are loaded one by one, because a large base may not fit in memory in addition to the form
// being trained.
func (b *Base) features(f form, images []float32, n int, s lora.Segment) ([]float32, error) {
	f.apart = b.apart
	if m := b.models[f]; m != nil {
		return m.NewEngine(n).Features(images, n, s), nil
	}
	x, err := bases.Streamed(b.path, b.options(f), images, n, s)
	if err != nil {
		return nil, badInput(err)
	}
	digest, err := bases.Digest(b.known, b.path)
	if err != nil {
		return nil, badInput(err)
	}
	return x, b.same(digest)
}

// Set is data for training runs, after every image has been scanned. Close it after use.
type Set struct {
	*dataset.Dataset
	path   string
	digest string
	bad    []string // unreadable images, which are left out
	told   int      // number of warnings already shown
}

// OpenSet opens and scans the data at path. Each run makes its own split.
func OpenSet(ctx context.Context, path string, source *Source, hook Hook) (*Set, error) {
	ds, err := source.Open(path, nil)
	if err != nil {
		return nil, badInput(err)
	}
	set := &Set{Dataset: ds, path: path, bad: []string{}}
	if err := set.scan(ctx, hook, source); err != nil {
		return nil, badInput(errors.Join(err, set.Close()))
	}
	if source.LeftOut != "" {
		if err := atomicfile.Write(source.LeftOut, 0o666, ds.WriteLeftOut); err != nil {
			return nil, errors.Join(err, set.Close())
		}
	}
	set.say(hook)
	for _, b := range ds.Bad() {
		set.bad = append(set.bad, b.Path)
		hook.note("note: left out: " + text.OneLine(b.Err))
	}
	return set, nil
}

// say reports how the data was interpreted, and what was left out.
func (t *Set) say(hook Hook) {
	hook.note("data: " + t.Understood())
	for _, n := range append(t.LeftOutWords(), t.Notes...) {
		hook.note("note: " + n)
	}
}

// fewToJudge is the number of validation images below which a training warns.
const fewToJudge = 30

// few warns about splits that are too small to train or evaluate on.
func (t *Set) few(parts [3][]int) {
	warn := func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); !slices.Contains(t.Warnings, line) {
			t.Warnings = append(t.Warnings, line)
		}
	}
	if n := len(parts[0]); n < fewImages {
		warn("trained on %d images only: expect little of the adapter, and much of chance", n)
	}
	var rare []string
	for l, n := range t.Counts(append([]int{}, parts[0]...)) {
		if n < fewPositives {
			rare = append(rare, fmt.Sprintf("%s (%d)", t.Labels[l], n))
		}
	}
	if len(rare) > 0 {
		warn("labels with fewer than %d training images: %s", fewPositives, text.List(rare))
	}
	if n := len(parts[1]); n > 0 && n < fewToJudge {
		warn("validation has %d images: it can choose little, and its numbers are uncertain", n)
	}
}

// tell reports new warnings, because splitting the data may add some.
func (t *Set) tell(hook Hook) {
	for ; t.told < len(t.Warnings); t.told++ {
		hook.note("note: " + t.Warnings[t.told])
	}
}

func (t *Set) scan(ctx context.Context, hook Hook, source *Source) error {
	if err := Scan(ctx, hook, t.Dataset, dataset.ScanOptions{MaxBad: source.MaxBad}); err != nil {
		return err
	}
	digest, err := t.Digest()
	t.digest = "sha256:" + digest
	return err
}
