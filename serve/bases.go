package serve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/vit"
)

// baseName returns the display name of a base: the last component of its path.
func baseName(path string) string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(path)), extension)
}

// openSeveral is Open for several bases. It reads their descriptions; a network is loaded on first use.
func openSeveral(ctx context.Context, c Config) (*Engine, error) {
	e, err := newEngineOf(c)
	if err != nil {
		return nil, err
	}
	e.pool = compute.NewPool(c.Workers)
	e.workers = e.pool.Workers()
	release := e.config.Release
	e.config.Release = func() { e.pool.Close(); release() }
	e.room = e.tuning
	list, err := e.describeAll(append([]string{c.Base}, c.Bases...), c.Precisions)
	var pins []bool
	if err == nil {
		pins, err = named(list, c.Pinned)
	}
	if err != nil {
		e.config.Release()
		return nil, err
	}
	for i, b := range list {
		b.pinned = pins[i]
		e.room.add(b)
	}
	if e, err = e.start(ctx, list...); err != nil {
		return nil, err
	}
	if err := e.loadPinned(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// describeAll reads the descriptions of bases. If two have the same name, their paths distinguish them.
func (e *Engine) describeAll(paths []string, precisions map[string]vit.Precision) ([]*backbone, error) {
	var list []*backbone
	for _, path := range paths {
		p, ok := precisions[path]
		if !ok {
			p = e.config.Precision
		}
		b, err := e.describe(path, p)
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			if x.digest == b.digest {
				return nil, fmt.Errorf("serve: the bases %s and %s have the same weights", x.path, b.path)
			}
		}
		list = append(list, b)
	}
	for _, b := range list {
		if slices.ContainsFunc(list, func(x *backbone) bool { return x != b && baseName(x.path) == baseName(b.path) }) {
			b.name = b.path
		}
	}
	return list, nil
}

func (e *Engine) describe(path string, p vit.Precision) (*backbone, error) {
	if !vit.Supports(p) {
		return nil, fmt.Errorf("serve: this CPU (%s) has no instructions for %v", vit.Kernels(), p)
	}
	m, err := bases.Outline(path, vit.Options{Precision: p})
	if err != nil {
		return nil, err
	}
	digest, err := bases.Digest(e.known, path)
	if err != nil {
		return nil, err
	}
	b := e.newBackbone(m, baseName(path), path, digest)
	b.footprint = vit.Footprint(&m.Config, p, b.curve.max, e.workers)
	b.bytes = b.footprint
	return b, nil
}

// named reports which of the bases have one of the names or paths.
func named(list []*backbone, names []string) ([]bool, error) {
	found := make([]bool, len(list))
	for _, name := range names {
		i := slices.IndexFunc(list, func(b *backbone) bool { return b.name == name || b.path == name })
		if i < 0 {
			return nil, fmt.Errorf("serve: %q is to stay in memory, and is none of the bases", name)
		}
		found[i] = true
	}
	return found, nil
}

// loadPinned loads the pinned bases.
func (e *Engine) loadPinned(ctx context.Context) error {
	for _, b := range e.registry.reader.bases() {
		if !b.pinned {
			continue
		}
		if err := b.hold(ctx); err != nil {
			return errors.Join(fmt.Errorf("serve: %w", err), e.Close())
		}
		b.release()
	}
	return nil
}

// SetBases changes the bases that are served: new ones are read, and others are dropped once their requests
// have been answered. Adapters whose base was added or dropped are examined again. An engine that was opened
// with a single base keeps it. On error nothing changes, unless the error is that a pinned base cannot be
// loaded.
func (e *Engine) SetBases(ctx context.Context, paths, pinned []string, precisions map[string]vit.Precision) error {
	if e.room == nil {
		return errors.New("serve: one base was opened, and stays: start again to serve several")
	}
	if len(paths) == 0 {
		return errors.New("serve: no base")
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	before := e.registry.reader.bases()
	list, err := e.describeAll(paths, precisions)
	if err != nil {
		return err
	}
	for i, b := range list {
		for _, x := range before {
			if x.path == b.path && x.digest == b.digest && x.model.Precision == b.model.Precision {
				list[i] = x
			}
		}
	}
	pins, err := named(list, pinned)
	if err != nil {
		return err
	}
	for i, b := range list {
		if !slices.Contains(before, b) {
			b.curve.load(e.known, e.curveKey(b))
			e.room.add(b)
		}
		e.room.pin(b, pins[i])
	}
	e.registry.reader.list.Store(&list)
	err = e.registry.reread(ctx)
	for _, b := range before {
		if !slices.Contains(list, b) {
			b.curve.save(e.known, e.curveKey(b))
			e.room.remove(b)
		}
	}
	for i, b := range list {
		if pins[i] {
			if e2 := b.hold(ctx); e2 != nil {
				err = errors.Join(err, fmt.Errorf("serve: %w", e2))
				continue
			}
			b.release()
		}
	}
	return err
}

// BaseChanged returns an error if the one base that is served is not what lies at its path any more. Several bases are looked at by
// SetBases.
func (e *Engine) BaseChanged() error {
	if e.room != nil || e.config.Base == "" {
		return nil
	}
	digest, err := bases.Digest(e.known, e.config.Base)
	if err != nil {
		return fmt.Errorf("serve: the base: %w", err)
	}
	if digest != e.BaseDigest() {
		return fmt.Errorf("serve: the base %s has other weights now: they take a restart", e.config.Base)
	}
	return nil
}

// reread examines all files again, because their bases may have changed.
func (r *Registry) reread(ctx context.Context) error {
	r.admin.Lock()
	for path, f := range r.files {
		anew := *f
		anew.key, anew.settled = "", false
		r.files[path] = &anew
	}
	r.admin.Unlock()
	return r.Scan(ctx)
}

// BaseStatus describes one of the bases that an engine serves.
type BaseStatus struct {
	Name      string // display name
	Path      string // path as given
	Digest    string // digest of its weights
	Side      int    // side of its input in pixels
	Precision string // precision of its products
	State     State  // Ready: in memory, or loaded on demand; Loading; Unavailable: see Reason
	Reason    string
	Pinned    bool
	Resident  int64 // estimated memory now, in bytes
	Bytes     int64 // estimated memory when loaded; 0 for a single base
	Adapters  int   // adapter names whose current version belongs to it
	Loads     uint64
	Evictions uint64
}

// Bases returns the bases in the order in which they were given.
func (e *Engine) Bases() []BaseStatus {
	var list []BaseStatus
	counts := map[*backbone]int{}
	for _, x := range e.registry.table.Load().entries {
		if x.current != nil {
			counts[x.current.content.base.root()]++
		}
	}
	for _, b := range e.registry.reader.bases() {
		list = append(list, b.status(counts[b]))
	}
	return list
}

// MaxSide returns the largest input side of all bases, in pixels.
func (e *Engine) MaxSide() (side int) {
	for _, b := range e.registry.reader.bases() {
		side = max(side, b.model.Image)
	}
	return side
}

// pinnedThere returns an error if a pinned base cannot be loaded.
func (e *Engine) pinnedThere() error {
	if e.room == nil {
		return nil
	}
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	for _, b := range e.room.list {
		if b.parent == nil && b.pinned && b.stack == nil {
			if err := b.notNow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Several reports whether the engine was opened for several bases.
func (e *Engine) Several() bool { return e.room != nil }

func (b *backbone) status(adapters int) BaseStatus {
	s := BaseStatus{Name: b.name, Path: b.path, Digest: b.digest, Side: b.model.Image, Precision: b.model.Precision.String(), State: Ready,
		Bytes: b.bytes, Adapters: adapters}
	if b.room == nil {
		s.Pinned = true
		return s
	}
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	s.Pinned, s.Loads, s.Evictions = b.pinned, b.loads, b.evicted
	if b.stack != nil {
		s.Resident = b.bytes
	}
	switch err := b.notNow(); {
	case err != nil:
		s.State, s.Reason = Unavailable, err.Error()
	case b.flight != nil:
		s.State = Loading
	}
	return s
}
