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

// Base is a base that runs are trained on, one after the other. Its weights are read once for each form that a run asks
// for. Close it when done.
type Base struct {
	path   string
	digest string
	known  *memo.Cache
	pool   *compute.Pool
	models map[form]*vit.Model
	told   bool // how images are prepared
	apart  bool // weights are packed for this process alone, so that what is dropped from models is given back
}

// OpenBase finds the base of a name as [bases.Open] knows it; one of a hub was downloaded before. Its runs have so many
// workers (0: all cores), and what they find out about files is remembered in a folder (empty: nowhere).
func OpenBase(path string, workers int, remember string) (*Base, error) {
	known := memo.New(remember)
	digest, err := bases.Digest(known, path) // of each form that is loaded it must be the same
	if err != nil {
		return nil, badInput(err)
	}
	return &Base{path: path, digest: digest, known: known, pool: compute.NewPool(workers), models: map[form]*vit.Model{}}, nil
}

// Path is where the base was found.
func (b *Base) Path() string { return b.path }

// Digest is the identity of its weights.
func (b *Base) Digest() string { return b.digest }

// Close stops the workers.
func (b *Base) Close() { b.pool.Close() }

// tellPrepare says once how images are prepared, where that is not the word of a file.
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

// form is how a base lies in memory.
type form struct {
	precision vit.Precision
	image     int // side of the input in pixels; 0: the base's own
	prepare   processor.Override
	pool      string
	apart     bool // packed weights are not kept in, or mapped from, a file, which stays mapped
}

// model returns the base in a form.
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

// options are how the base is opened in a form.
func (b *Base) options(f form) vit.Options {
	return vit.Options{Image: f.image, Workers: b.pool, Precision: f.precision, Prepare: f.prepare, Pool: f.pool}
}

// same returns an error if the weights are others than those that the base had when it was opened.
func (b *Base) same(digest string) error {
	if digest != b.digest {
		return badInput(fmt.Errorf("%s: the file has changed: expected weights %s, found %s", b.path, b.digest, digest))
	}
	return nil
}

// features are those of n images in a form that is needed this once: unless it is in memory already, its blocks come and
// go one by one, since a large base may not fit beside the form that is trained on.
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

// Set is data that runs are trained on: every image was looked at. Close it when done.
type Set struct {
	*dataset.Dataset
	path   string
	digest string
	bad    []string // images that cannot be read and are left out
	told   int      // warnings that were shown
}

// OpenSet finds the images and says what is there. How they are divided is a matter of each run.
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

// say shows what was decided in reading the data, and what was left out.
func (t *Set) say(hook Hook) {
	hook.note("data: " + t.Understood())
	for _, n := range append(t.LeftOutWords(), t.Notes...) {
		hook.note("note: " + n)
	}
}

// fewToJudge is the number of validation images below which a training warns.
const fewToJudge = 30

// few warns of divisions that are too small to learn or to judge much by.
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

// tell shows the warnings that it has not shown yet: dividing the data may find more.
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
