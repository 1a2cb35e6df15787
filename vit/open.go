package vit

import (
	"errors"
	"fmt"
	"io/fs"

	"melo.example/melo/compute"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/memo"
	"melo.example/melo/vit/checkpoint"
)

// Options change how Open reads a base.
type Options struct {
	// Image is the side of the input in pixels. Position embeddings are resized to it. 0: the size in the
	// base's configuration.
	Image int
	// Workers pack the weights and run the model. nil: a new pool with one worker per core.
	Workers compute.Workers
	// Precision is the precision of the linear maps in the blocks. This machine must support it; see Supports.
	Precision Precision
	// Known caches packed weights between runs, in files that are mapped: the next process neither reads nor
	// packs the weights again, and processes share their memory. nil: every run packs.
	Known *memo.Cache
	// Heads is the number of attention heads, for files that do not record it.
	Heads int
	// Prepare overrides what the files say about preprocessing.
	Prepare processor.Override
	// Pool selects a pooling other than the base's own: "class", "mean" or "class+mean". The base's own head,
	// trained for its own pooling, is then left out. Empty: the base's pooling.
	Pool string
}

// Open reads a base, found as by checkpoint.Open, and packs its weights. It returns an error if a weight is not
// finite. The file is not needed afterwards.
func Open(path string, o Options) (*Model, error) {
	return open(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.Open(path, c) })
}

// OpenFS is Open for a base in a single file in the top folder of fsys. Error messages call it name.
func OpenFS(fsys fs.FS, name string, o Options) (*Model, error) {
	return open(o, func(c checkpoint.Options) (*checkpoint.Checkpoint, error) { return checkpoint.OpenFS(fsys, name, c) })
}

func open(o Options, find finder) (m *Model, err error) {
	err = read(o, find, func(c *checkpoint.Checkpoint) (err error) {
		m, err = build(c, o)
		return err
	})
	if err != nil || o.Pool == "" {
		return m, err
	}
	return Pooled(m, o.Pool)
}

// finder opens a checkpoint.
type finder func(checkpoint.Options) (*checkpoint.Checkpoint, error)

// read calls do with an open checkpoint. It turns a fault from a file that is truncated meanwhile into an
// error.
func read(o Options, find finder, do func(c *checkpoint.Checkpoint) error) error {
	if !Supports(o.Precision) {
		return fmt.Errorf("vit: this CPU has no instructions for %v", o.Precision)
	}
	c, err := find(checkpoint.Options{Image: o.Image, Heads: o.Heads, Prepare: o.Prepare})
	if err != nil {
		return err
	}
	return errors.Join(c.Guard(c.Path, func() error { return do(c) }), c.Close())
}

// build packs the weights of a base.
func build(c *checkpoint.Checkpoint, o Options) (*Model, error) {
	m, b := begin(c, o)
	b.kept = openKept(o.Known, c, o.Precision)
	for _, p := range m.pieces() {
		if err := b.piece(p); err != nil {
			return nil, err
		}
	}
	if err := b.heads(m); err != nil {
		return nil, err
	}
	b.kept.keep()
	if b.kept != nil {
		m.mapped = b.kept.file
	}
	return m.self(), nil
}

// begin returns a model without weights, and the builder that fills it.
func begin(c *checkpoint.Checkpoint, o Options) (*model, *builder) {
	m := newModel(&c.Description, o)
	m.Path, m.RecipeNote, m.Notes = c.Path, c.RecipeNote, c.Notes
	return m, &builder{c: c, ex: kernel.NewExec(m.workers), has: shapes(&m.Config), precision: o.Precision}
}

// newModel returns a model without weights.
func newModel(d *checkpoint.Description, o Options) *model {
	m := &model{workers: o.Workers}
	m.Config, m.Precision, m.Recipe, m.Labels, m.Problem = d.Config, o.Precision, d.Recipe, d.Labels, d.Problem
	if m.workers == nil {
		m.workers = compute.NewPool(0)
	}
	m.Blocks = make([]block, m.Depth)
	return m
}

// shapes returns the shapes of all parameters of a network, by name.
func shapes(c *Config) map[string][]int {
	s := map[string][]int{}
	for _, p := range c.Params() {
		s[p.Name] = p.Shape
	}
	return s
}

// builder fills a Model from a checkpoint.
type builder struct {
	c   *checkpoint.Checkpoint
	ex  *kernel.Exec
	has map[string][]int

	precision Precision // precision of the linear maps in the blocks
	kept      *kept
	scratch   []float32 // for weights that are converted or joined before packing
}

// piece fills one part of the model, if the network has it.
func (b *builder) piece(p piece[linear]) (err error) {
	switch {
	case p.vector != nil:
		*p.vector, err = b.vector(p.name)
	case p.norm != nil:
		if p.norm.Gain, err = b.vector(p.name + ".weight"); err == nil {
			p.norm.Bias, err = b.vector(p.name + ".bias")
		}
	case b.has[p.of[0]+".weight"] != nil:
		err = b.linear(p.linear, precisionOf(p.block, b.precision), p.of)
	}
	return err
}

// vector returns the values of parameters, concatenated, or nil if the network has none of them.
func (b *builder) vector(names ...string) ([]float32, error) {
	var all []float32
	for _, name := range names {
		if b.has[name] == nil {
			continue
		}
		v, err := b.c.Read(name, nil)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = v
			continue
		}
		all = append(all, v...)
	}
	return all, nil
}

// biases returns the concatenated biases of maps with n outputs each. A map without bias contributes zeros if
// another one has a bias. The result is nil if none has.
func (b *builder) biases(names []string, n int) ([]float32, error) {
	if !anyOf(b.has, names) {
		return nil, nil
	}
	all := make([]float32, n*len(names))
	for i, name := range names {
		if b.has[name] == nil {
			continue
		}
		v, err := b.c.Read(name, nil)
		if err != nil {
			return nil, err
		}
		copy(all[i*n:], v)
	}
	return all, nil
}

// linear packs the maps of the named modules, stacked, as one. It reuses the memory of l's previous weight if
// that has the same shape.
func (b *builder) linear(l *linear, prec Precision, of []string) (err error) {
	names, biases := make([]string, len(of)), make([]string, len(of))
	for i, module := range of {
		names[i], biases[i] = module+".weight", module+".bias"
	}
	shape, again := b.has[names[0]], l.W
	l.In, l.Out = 1, shape[0]*len(of)
	for _, n := range shape[1:] {
		l.In *= n
	}
	if l.Bias, err = b.biases(biases, l.Out/len(of)); err != nil {
		return err
	}
	if l.W = b.kept.next(prec, l.Out, l.In); l.W != nil {
		return nil
	}
	w, err := b.matrix(names)
	if err != nil {
		return err
	}
	if again != nil && again.K == l.In && again.N == l.Out {
		l.W = again
		l.W.Repack(b.ex, w)
	} else {
		l.W = kernel.PackAs(b.ex, elem(prec), w, l.Out, l.In)
	}
	if !l.W.Finite() { // only a view of the file can fail here; matrix has checked others
		for _, name := range names {
			if err := b.c.NotFinite(name); err != nil {
				return err
			}
		}
		return fmt.Errorf("vit: %s: %s is not finite", b.c.Path, names[0])
	}
	b.kept.add(l.W)
	for _, name := range names {
		b.c.Forget(name)
	}
	return nil
}

// matrix returns the stacked values of parameters. If possible it is a view of the file, whose values packing
// checks. Otherwise the values are checked and lie in scratch memory that the next call overwrites.
func (b *builder) matrix(names []string) ([]float32, error) {
	if w, ok := b.view(names); ok {
		return w, nil
	}
	at := 0
	for _, name := range names {
		n := 1
		for _, s := range b.has[name] {
			n *= s
		}
		if len(b.scratch) < at+n {
			b.scratch = append(make([]float32, 0, len(names)*n+at), b.scratch[:at]...)[:len(names)*n+at]
		}
		v, err := b.c.Read(name, b.scratch[at:at+n:at+n])
		if err != nil {
			return nil, err
		}
		at += copy(b.scratch[at:], v)
	}
	return b.scratch[:at], nil
}

// view returns the parameters in place if they are adjacent in the file.
func (b *builder) view(names []string) ([]float32, bool) {
	all, ok := b.c.View(names[0])
	if !ok {
		return nil, false
	}
	for _, name := range names[1:] {
		next, ok := b.c.View(name)
		n := len(all) + len(next)
		if !ok || cap(all) < n || &all[:n][len(all)] != &next[0] {
			return nil, false
		}
		all = all[:n]
	}
	return all, true
}

// heads reads the base's own heads.
func (b *builder) heads(m *model) (err error) {
	if m.Head, err = b.head("head"); err == nil {
		m.HeadDist, err = b.head("head_dist")
	}
	return err
}

func (b *builder) head(name string) (*compute.Head, error) {
	shape := b.has[name+".weight"]
	if shape == nil {
		return nil, nil
	}
	h := &compute.Head{Classes: shape[0], Features: shape[1]}
	var err error
	if h.W, err = b.vector(name + ".weight"); err == nil {
		h.Bias, err = b.vector(name + ".bias")
	}
	return h, err
}
