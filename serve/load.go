package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// reader turns files into contents and adapters, with every check that does not need a pass through the base.
type reader struct {
	model   *vit.Model // the base
	name    string     // of the base, as it was opened
	digest  string     // of the base
	anyBase bool       // adapters that do not say which base they belong to are taken
}

// errChanged says that a file has no longer the content that it had when it was looked at.
var errChanged = errors.New("serve: the file has changed")

// branchPart: an adapter that leaves this part of the blocks bare shares enough with others. Below that a pass that is larger
// than the curve says costs more than it saves.
const branchPart = 4

// maxAdapter bounds a file in the folder: it is read into memory.
const maxAdapter = 512 << 20

// read reads and checks the adapter at path.
func (r *reader) read(path string) (*adapterfile.File, error) {
	f, err := adapterfile.ReadFor(path, r.model, maxAdapter)
	if err != nil {
		return nil, err
	}
	return f, r.check(f)
}

func (r *reader) check(f *adapterfile.File) error {
	switch {
	case f.Adapter.Head == nil:
		return fmt.Errorf("serve: %s: the adapter has no head, so it cannot answer", f.Path)
	case f.Meta.Method == lora.FullTuning:
		return fmt.Errorf("serve: %s: method %q: a fully tuned model has a base of its own and cannot share this one", f.Path, f.Meta.Method)
	case f.From == adapterfile.Native && f.Meta.Base.Digest == "" && !r.anyBase:
		return fmt.Errorf("serve: %s: does not say which base it belongs to", f.Path)
	case f.From == adapterfile.PEFT && !r.anyBase && !sameBase(f.Meta.Base.ID, r.name):
		return fmt.Errorf("serve: %s: was made for the base %.200q, this is %q: --any-base takes it if its shape fits", f.Path, f.Meta.Base.ID, r.name)
	}
	if err := f.CheckBase(&r.model.Config, r.digest); err != nil {
		return err
	}
	if recipe := r.recipeOf(f); recipe.Size != r.model.Image {
		return fmt.Errorf("serve: %s: its recipe makes images of side %d, the base takes %d", f.Path, recipe.Size, r.model.Image)
	}
	if r.recipeOf(f).Interpolation == "" {
		return fmt.Errorf("serve: %s: neither it nor the base says how an image becomes the input", f.Path)
	}
	return nil
}

// sameBase reports whether what a PEFT folder calls its base may be the one with that name: nothing, or the same last part.
func sameBase(id, name string) bool {
	last := func(s string) string {
		s = s[strings.LastIndexAny(s, `/\:`)+1:]
		return strings.ToLower(strings.TrimSuffix(s, extension))
	}
	clean := func(s string) string { return strings.TrimRight(s, `/\`) }
	return id == "" || last(clean(id)) == last(clean(name))
}

func (r *reader) recipeOf(f *adapterfile.File) imaging.Recipe {
	if f.Meta.Recipe == (imaging.Recipe{}) {
		return r.model.Recipe
	}
	return f.Meta.Recipe
}

// content describes a checked file.
func (r *reader) content(f *adapterfile.File) *content {
	meta := f.Meta
	c := &content{digest: f.Digest, card: &meta, labels: meta.LabelNames(), rule: meta.Rule(), recipe: r.recipeOf(f), bytes: f.Adapter.Resident(r.model.Precision).Bytes()}
	if f.Fit != nil {
		c.bytes += int64(f.Fit.Bytes())
	}
	if meta.Task != adapterfile.Multiclass {
		c.thresholds = make([]float64, len(c.labels))
		for i := range c.thresholds {
			c.thresholds[i] = c.rule.Threshold(i)
		}
	}
	return c
}

// flight is one loading, and who waits for it.
type flight struct {
	done    chan struct{}
	waiters int // guarded by content.mu until done is closed
	handle  *handle
	err     error
}

// hold returns the adapter of c, loading it if need be; release it. Whoever asks while it is being loaded waits
// for the same loading. The time is what the loading took of the request.
func (r *Registry) hold(ctx context.Context, c *content) (*handle, time.Duration, error) {
	if h := c.hold(&r.cache.clock); h != nil {
		return h, 0, nil
	}
	if err := c.refused(); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	c.mu.Lock()
	if h := c.hold(&r.cache.clock); h != nil { // it came meanwhile
		c.mu.Unlock()
		return h, time.Since(start), nil
	}
	f := c.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flight = f
		if !r.spawn(func() { r.load(c, f) }) {
			c.flight = nil
			c.mu.Unlock()
			return nil, 0, ErrDraining
		}
	}
	f.waiters++
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.handle, time.Since(start), f.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-f.done: // both: the handle is already held for this request
		if f.handle != nil {
			f.handle.release()
		}
	default:
		f.waiters--
	}
	return nil, time.Since(start), ctx.Err()
}

// load does the work of a flight.
func (r *Registry) load(c *content, f *flight) {
	start := time.Now()
	h, err := r.loadFile(c)
	r.loaded(c, time.Since(start), err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		r.cache.settle(c, h, f.waiters)
		if f.waiters > 0 {
			f.handle = h
		}
	}
	c.refusal.Store(refusalOf(err))
	f.err = err
	c.flight = nil
	close(f.done)
}

// loaded counts a loading and tells the observer, before anybody is answered.
func (r *Registry) loaded(c *content, took time.Duration, err error) {
	e := AdapterEvent{Change: Loaded, Identity: Identity{Name: r.nameOf(c), Version: short(c.digest), Digest: c.digest},
		Bytes: c.bytes, Duration: took, Err: err}
	switch {
	case err == nil:
		r.counts.loads.Add(1)
	case errors.Is(err, errChanged), errors.Is(err, context.Canceled):
		return
	default:
		r.counts.refusals.Add(1)
		e.Change, e.Bytes = Refused, 0
	}
	r.observer.AdapterChanged(e)
}

// retryAfter is how long a failure that may pass is remembered.
const retryAfter = 2 * time.Second

// refusalOf says for how long a failed loading is remembered.
func refusalOf(err error) *refusal {
	var unfit *adapterfile.SelfCheckError
	switch {
	case err == nil, errors.Is(err, errChanged), errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &unfit):
		return &refusal{err: err}
	}
	return &refusal{err: err, until: time.Now().Add(retryAfter)}
}

// loadFile reads the adapter of c again, checks it again, and lets it pass its self-test.
func (r *Registry) loadFile(c *content) (*handle, error) {
	if err := r.cache.reserve(r.ctx, c.bytes); err != nil {
		return nil, err
	}
	h, err := r.readHandle(c)
	if err != nil {
		r.cache.freed(c.bytes)
		return nil, err
	}
	return h, nil
}

func (r *Registry) readHandle(c *content) (*handle, error) {
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-r.ctx.Done():
		return nil, r.ctx.Err()
	}
	path := *c.path.Load()
	f, err := r.reader.read(path)
	if err != nil {
		return nil, err
	}
	if f.Digest != c.digest {
		return nil, errChanged
	}
	h := &handle{content: c, adapter: f.Adapter.Resident(r.reader.model.Precision), fit: f.Fit, cache: r.cache}
	h.branches = h.adapter.FirstBlock() >= max(1, r.reader.model.Depth/branchPart)
	if c.tested.Load() {
		return h, nil
	}
	if err := r.selfTest(r.ctx, path, h); err != nil {
		return nil, err
	}
	c.tested.Store(true)
	return h, nil
}
