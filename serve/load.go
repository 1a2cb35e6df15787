package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// reader reads files into contents and adapters, and makes all checks that need no pass through the base.
type reader struct {
	list    atomic.Pointer[[]*backbone] // the bases
	anyBase bool                        // accept adapters that do not identify their base
}

func (r *reader) bases() []*backbone { return *r.list.Load() }

// errChanged reports that a file's content has changed since it was examined.
var errChanged = errors.New("serve: the file has changed")

// branchPart: an adapter that leaves at least 1/branchPart of the blocks unchanged can usefully share them.
// With fewer, a batch larger than the curve recommends costs more than it saves.
const branchPart = 4

// maxAdapter limits the size of a file in the folder, which is read into memory.
const maxAdapter = 512 << 20

// read reads and checks the adapter at path, and determines its base.
func (r *reader) read(path string) (*adapterfile.File, *backbone, error) {
	list := r.bases()
	if len(list) == 1 {
		f, err := r.readFor(path, list[0])
		return f, list[0], err
	}
	f, err := adapterfile.DescribeFor(path, list[0].model, maxAdapter)
	if err == nil && f.From == adapterfile.Native {
		b, err := r.baseOf(f)
		return f, b, err
	}
	return r.readForeign(path)
}

// readFor reads and checks the adapter at path for a base.
func (r *reader) readFor(path string, b *backbone) (*adapterfile.File, error) {
	f, err := adapterfile.DescribeFor(path, b.model, maxAdapter)
	if err != nil {
		return nil, err
	}
	return f, r.check(f, b)
}

// readWith is readFor with the weights of the base, those of m, for an adapter that changes them.
func (r *reader) readWith(path string, m *vit.Model, b *backbone) (*adapterfile.File, error) {
	f, err := adapterfile.ReadFor(path, m, maxAdapter)
	if err != nil {
		return nil, err
	}
	return f, r.check(f, b)
}

// baseOf determines the base of a native adapter by the digest in it; without a digest, if allowed, by its
// shape.
func (r *reader) baseOf(f *adapterfile.File) (*backbone, error) {
	list := r.bases()
	if len(list) == 1 {
		return list[0], r.check(f, list[0])
	}
	digest := f.Meta.Base.Digest
	for _, b := range list {
		if digest != "" && b.digest == digest {
			return b, r.check(f, b)
		}
	}
	if digest != "" {
		return nil, fmt.Errorf("serve: %s: its base %.200q (%.19s) is not served here; served are %s", f.Path, f.Meta.Base.ID, digest, r.served())
	}
	var fits []*backbone
	var wrong error
	for _, b := range list {
		if err := r.check(f, b); err == nil {
			fits = append(fits, b)
		} else if wrong == nil {
			wrong = err
		}
	}
	return one(f.Path, fits, wrong)
}

// readForeign reads an adapter of another library, which at most names its base. It takes the only base of that
// name that fits, or else the only one that fits.
func (r *reader) readForeign(path string) (*adapterfile.File, *backbone, error) {
	var fits []*backbone
	var wrong error
	files := map[*backbone]*adapterfile.File{}
	for _, b := range r.bases() {
		f, err := r.readFor(path, b)
		if err == nil {
			fits, files[b] = append(fits, b), f
		} else if wrong == nil {
			wrong = err
		}
	}
	b, err := one(path, fits, wrong)
	return files[b], b, err
}

// one returns the only base that an adapter fits.
func one(path string, fits []*backbone, wrong error) (*backbone, error) {
	switch len(fits) {
	case 0:
		return nil, wrong
	case 1:
		return fits[0], nil
	}
	return nil, fmt.Errorf("serve: %s: does not say which base it belongs to, and fits %s and %s", path, fits[0].name, fits[1].name)
}

// served lists the names of the bases.
func (r *reader) served() string {
	var names []string
	for _, b := range r.bases() {
		names = append(names, fmt.Sprintf("%s (%.19s)", b.name, b.digest))
	}
	return strings.Join(names, ", ")
}

func (r *reader) check(f *adapterfile.File, b *backbone) error {
	switch {
	case f.Adapter.Head == nil:
		return fmt.Errorf("serve: %s: the adapter has no head, so it cannot answer", f.Path)
	case f.From == adapterfile.Native && f.Meta.Base.Digest == "" && !r.anyBase:
		return fmt.Errorf("serve: %s: does not say which base it belongs to", f.Path)
	case f.From == adapterfile.PEFT && !r.anyBase && !sameBase(f.Meta.Base.ID, b.path):
		return fmt.Errorf("serve: %s: was made for the base %.200q, this is %q: --any-base takes it if its shape fits", f.Path, f.Meta.Base.ID, b.path)
	}
	m, err := b.formOf(f)
	if err != nil {
		return err
	}
	if err := f.CheckBase(&m.Config, b.digest); err != nil {
		return err
	}
	if recipe := b.recipeOf(f); recipe.Size != m.Image {
		return fmt.Errorf("serve: %s: its recipe makes images of side %d, its network takes %d", f.Path, recipe.Size, m.Image)
	}
	if b.recipeOf(f).Interpolation == "" {
		return fmt.Errorf("serve: %s: neither it nor the base says how an image becomes the input", f.Path)
	}
	return nil
}

// sameBase reports whether the base named in a PEFT folder may be the base with the given name: it is empty, or
// has the same last component.
func sameBase(id, name string) bool {
	last := func(s string) string {
		s = s[strings.LastIndexAny(s, `/\:`)+1:]
		return strings.ToLower(strings.TrimSuffix(s, extension))
	}
	clean := func(s string) string { return strings.TrimRight(s, `/\`) }
	return id == "" || last(clean(id)) == last(clean(name))
}

func (b *backbone) recipeOf(f *adapterfile.File) imaging.Recipe {
	if f.Meta.Recipe == (imaging.Recipe{}) {
		return b.model.Recipe
	}
	return f.Meta.Recipe
}

// content returns the content of a checked file.
func (b *backbone) content(f *adapterfile.File) *content {
	meta := f.Meta
	c := &content{digest: f.Digest, base: b, lane: lane{base: b}, card: &meta, labels: meta.LabelNames(), rule: meta.Rule(), recipe: b.recipeOf(f), bytes: f.Adapter.Resident(b.model.Precision).Bytes()}
	if f.Fit != nil {
		c.bytes += int64(f.Fit.Bytes())
	}
	if m, err := b.formOf(f); f.Meta.Method == lora.FullTuning || err == nil && m != b.model {
		c.base = b.tunedFor(c)
		c.base.assume(m)
		c.lane.base = c.base
	}
	c.setThresholds()
	return c
}

// flight is a load in progress and the number of requests that wait for it.
type flight struct {
	done    chan struct{}
	waiters int // guarded by content.mu until done is closed
	handle  *handle
	err     error
}

// hold acquires the adapter of c and its base, loading them if necessary. The caller must release the handle.
// It also returns the time that the request waited.
func (r *Registry) hold(ctx context.Context, c *content) (*handle, time.Duration, error) {
	var waited time.Duration
	if c.base.room != nil {
		start := time.Now()
		if err := c.base.hold(ctx); err != nil {
			return nil, time.Since(start), err
		}
		waited = time.Since(start)
	}
	h, loading, err := r.holdAdapter(ctx, c)
	if err != nil {
		c.base.release()
	}
	return h, waited + loading, err
}

// holdAdapter is hold for the adapter only; the base must be held. Concurrent requests wait for the same load.
func (r *Registry) holdAdapter(ctx context.Context, c *content) (*handle, time.Duration, error) {
	if h := c.hold(&r.cache.clock); h != nil {
		return h, 0, nil
	}
	if err := c.refused(); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	c.mu.Lock()
	if h := c.hold(&r.cache.clock); h != nil { // loaded meanwhile
		c.mu.Unlock()
		return h, time.Since(start), nil
	}
	f := c.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flight = f
		c.base.again() // held for the load, in case its request gives up
		if !r.spawn(func() { r.load(c, f) }) {
			c.base.release()
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
	case <-f.done: // both happened: the handle is already held for this request
		if f.handle != nil {
			f.handle.drop()
		}
	default:
		f.waiters--
	}
	return nil, time.Since(start), ctx.Err()
}

// load does the work of a flight.
func (r *Registry) load(c *content, f *flight) {
	defer c.base.release()
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

// loaded counts a load and notifies the observer, before any request is answered.
func (r *Registry) loaded(c *content, took time.Duration, err error) {
	e := AdapterEvent{Change: Loaded, Identity: Identity{Name: r.nameOf(c), Version: short(c.digest), Digest: c.digest, Base: c.base.called()},
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

// retryAfter is how long a failure that may be temporary is remembered.
const retryAfter = 2 * time.Second

// refusalOf returns how long a failed load is remembered.
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

// loadFile reads and checks the adapter of c again, and runs its self-test.
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

// readContent reads the adapter of c again. An adapter with its own network was read together with that.
func (r *Registry) readContent(path string, c *content) (*adapterfile.File, error) {
	if c.own() != nil {
		return c.base.stack.adapter, nil
	}
	f, err := r.reader.readFor(path, c.base)
	if err == nil && f.Digest != c.digest {
		err = errChanged
	}
	return f, err
}

func (r *Registry) readHandle(c *content) (*handle, error) {
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-r.ctx.Done():
		return nil, r.ctx.Err()
	}
	path := *c.path.Load()
	f, err := r.readContent(path, c)
	if err != nil {
		return nil, err
	}
	h := &handle{content: c, adapter: f.Adapter.Resident(c.base.model.Precision), fit: f.Fit, cache: r.cache}
	h.branches = h.adapter.FirstBlock() >= max(1, c.base.model.Depth/branchPart)
	if c.tested.Load() {
		return h, nil
	}
	if err := r.selfTest(r.ctx, path, h); err != nil {
		return nil, err
	}
	c.tested.Store(true)
	return h, nil
}
