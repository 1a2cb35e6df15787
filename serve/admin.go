package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/trust"
	"melo.example/melo/vit"
)

// joinName returns the path of the current version of name.
func joinName(dir, name string) string { return filepath.Join(dir, name+extension) }

// Load makes an unloaded adapter available again, examines its files, and loads its current version. The name
// may be "name@version".
func (r *Registry) Load(ctx context.Context, name string) error {
	name, wanted := splitName(name)
	if err := checkName("name", name); err != nil {
		return &InputError{err}
	}
	if err := r.refresh(ctx, name); err != nil {
		return err
	}
	if err := r.decide(name, Restored, func(d *decision) error { d.Unloaded = false; return nil }); err != nil {
		return err
	}
	return r.warm(ctx, name, wanted, true)
}

// Reload is Load that also retries adapters that were refused.
func (r *Registry) Reload(ctx context.Context, name string) error { return r.Load(ctx, name) }

// warm loads a version.
func (r *Registry) warm(ctx context.Context, name, wanted string, anew bool) error {
	for range holdTries {
		v, err := r.resolve(name, wanted)
		if err != nil {
			return err
		}
		if anew {
			for _, part := range v.content.parts() {
				part.refusal.Store(nil)
			}
		}
		err = r.warmAll(ctx, v.content)
		if errors.Is(err, errChanged) {
			if err := r.again(ctx, v); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return brokenBy(v, err)
		}
		return nil
	}
	return errChanged
}

// CheckAll loads every version once, so that those that fail their self-test are known before the first
// request. It calls report for each; the least recently used are evicted for the others. It stops early only
// with an error of ctx.
func (r *Registry) CheckAll(ctx context.Context, report func(id Identity, err error)) error {
	t := r.table.Load()
	var list []*version
	for _, name := range t.names {
		list = append(list, t.entries[name].versions...)
	}
	place := map[*backbone]int{} // ordered by base, so that each base is loaded once
	for i, b := range r.reader.bases() {
		place[b] = i
	}
	slices.SortStableFunc(list, func(a, b *version) int { return place[a.content.base.root()] - place[b.content.base.root()] })
	for _, v := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.warmAll(ctx, v.content)
		if err != nil {
			err = brokenBy(v, err)
		}
		report(v.Identity, err)
	}
	return nil
}

// holdTries is how often a request retries if files change while it is being processed.
const holdTries = 4

// LoadBytes checks an uploaded adapter file, puts it into the folder atomically, as name or "name@version", and
// loads it. signatures is the text of its signature file; without one, the file in the folder counts. If the
// adapter is refused, nothing changes.
func (r *Registry) LoadBytes(ctx context.Context, name string, data, signatures []byte) error {
	base, wanted := splitName(name)
	if err := checkName("name", base); err != nil {
		return &InputError{err}
	}
	if wanted != "" {
		if err := checkName("version", wanted); err != nil {
			return &InputError{err}
		}
	}
	path := joinName(r.dir, full(base, wanted))
	f, err := adapterfile.Parse(data, path)
	var b *backbone
	if err == nil {
		b, err = r.reader.baseOf(f)
	}
	var signed []byte
	if err == nil {
		signed, err = r.signed(base, path, f, signatures)
	}
	if err == nil {
		err = r.try(ctx, path, f, b)
	}
	if err != nil {
		return &BrokenError{Name: base, Path: path, Err: err}
	}
	if r.dir == "" {
		return errors.New("serve: there is no folder of adapters")
	}
	if signatures != nil { // first, because an adapter without its signatures would be refused
		if err := writeFile(trust.FileOf(path), signed); err != nil {
			return err
		}
	}
	if err := writeFile(path, data); err != nil {
		return err
	}
	return r.Load(ctx, name)
}

func writeFile(path string, data []byte) error {
	return atomicfile.Write(path, 0o666, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// signed checks that a file to be stored at path is trusted, and returns the text of its signature file. That
// text includes the signatures of the previous file, which remains in place until it is replaced.
func (r *Registry) signed(name, path string, f *adapterfile.File, signatures []byte) ([]byte, error) {
	beside, err := trust.ReadSignatures(path)
	if err != nil {
		return nil, err
	}
	digests := []string{f.Digest}
	r.admin.Lock()
	if before := r.files[path]; before != nil && before.content != nil {
		digests = append(digests, before.content.digest)
	}
	r.admin.Unlock()
	text := beside
	if signatures != nil {
		if text, err = trust.Join(signatures, beside, digests...); err != nil {
			return nil, fmt.Errorf("its signature file: %w", err)
		}
	}
	_, err = r.policy().Check(f.Digest, name, text)
	return text, err
}

// try runs the self-test of a file that is not in the folder yet.
func (r *Registry) try(ctx context.Context, path string, f *adapterfile.File, b *backbone) error {
	c := b.content(f)
	if own := c.own(); own != nil {
		own.source = func(*reader, *vit.Model) (*adapterfile.File, error) { return f, nil }
		defer c.leaveOwn(true)
	}
	if err := c.base.hold(ctx); err != nil {
		return err
	}
	defer c.base.release()
	if err := r.cache.reserve(ctx, c.bytes); err != nil {
		return err
	}
	defer r.cache.freed(c.bytes)
	return r.selfTest(ctx, path, &handle{content: c, adapter: f.Adapter.Resident(b.model.Precision), cache: r.cache})
}

// Unload withdraws the adapter: requests for it are refused until Load. Running requests finish.
func (r *Registry) Unload(name string) error {
	if err := r.decide(name, Withdrawn, func(d *decision) error { d.Unloaded = true; return nil }); err != nil {
		return err
	}
	if e := r.table.Load().entries[name]; e != nil {
		for _, v := range e.versions {
			if !r.sharedContent(v) {
				r.cache.unload(v.content)
				v.content.leaveOwn(false)
			}
		}
	}
	return nil
}

// sharedContent reports whether another available name refers to the same content.
func (r *Registry) sharedContent(v *version) bool {
	for name, e := range r.table.Load().entries {
		if name != v.Name && !e.unloaded && e.byDigest(v.Digest) != nil {
			return true
		}
	}
	return false
}

// Pin keeps the adapter that name refers to in memory, or stops doing so. It loads the adapter and returns an
// error if that is not possible.
func (r *Registry) Pin(ctx context.Context, name string, pinned bool) error {
	if pinned {
		if err := r.warm(ctx, name, "", false); err != nil {
			return err
		}
	}
	return r.decide(name, Changed, func(d *decision) error { d.Pinned = pinned; return nil })
}

// SetAlias makes alias another name of the version with that digest (or a prefix of one, or an alias). An empty
// digest removes the alias. CurrentAlias selects the version for the bare name, instead of its file.
func (r *Registry) SetAlias(name, alias, digest string) error {
	return r.decide(name, Changed, func(d *decision) error {
		if err := checkName("alias", alias); err != nil {
			return &InputError{err}
		}
		if digest == "" {
			delete(d.Aliases, alias)
			return nil
		}
		e := r.table.Load().entries[name]
		v, err := e.find(digest)
		if err != nil {
			return err
		}
		for _, f := range r.files {
			if f.name == name && f.version == alias {
				return &InputError{fmt.Errorf("alias %q is the version of %s", alias, f.path)}
			}
		}
		d.Aliases[alias] = v.Digest
		return nil
	})
}

// SetCanary sends a fraction of the requests for the bare name, 0 to 1, to the version with that digest (or a
// prefix of one, or an alias). An empty digest, or weight 0, ends that.
func (r *Registry) SetCanary(name, digest string, weight float64) error {
	return r.decide(name, Changed, func(d *decision) error {
		if !(weight >= 0 && weight <= 1) {
			return &InputError{fmt.Errorf("canary weight %v, expected 0 to 1", weight)}
		}
		d.Canary, d.Weight = "", 0
		if digest == "" || weight == 0 {
			return nil
		}
		v, err := r.table.Load().entries[name].find(digest)
		if err != nil {
			return err
		}
		d.Canary, d.Weight = v.Digest, weight
		return nil
	})
}

// decide changes the decision about a name, stores it, and publishes the new table.
func (r *Registry) decide(name string, change Change, f func(d *decision) error) error {
	r.admin.Lock()
	defer r.admin.Unlock()
	e := r.table.Load().entries[name]
	if e == nil {
		return &UnknownError{Name: name}
	}
	old := r.state.Adapters[name]
	d := old.clone()
	if err := f(d); err != nil {
		return err
	}
	restore := func() {
		delete(r.state.Adapters, name)
		if old != nil {
			r.state.Adapters[name] = old
		}
	}
	restore()
	if d.empty() {
		delete(r.state.Adapters, name)
	} else {
		r.state.Adapters[name] = d
	}
	if equalDecisions(old, d) {
		return nil
	}
	if err := r.state.write(r.statePath); err != nil {
		restore()
		return err
	}
	r.publish()
	r.observer.AdapterChanged(AdapterEvent{Change: change, Identity: Identity{Name: name}, Forgotten: r.statePath == ""})
	return nil
}

// Decided describes in one line what a name refers to: the digest of its current version, and the operators'
// decisions. ok is false if there is no such name.
func (r *Registry) Decided(name string) (text string, current Identity, ok bool) {
	r.admin.Lock()
	defer r.admin.Unlock()
	e := r.table.Load().entries[name]
	if e == nil {
		return "", Identity{}, false
	}
	current.Name = name
	text = "current none"
	if e.current != nil {
		current, text = e.current.Identity, "current "+e.current.Digest
	}
	d := r.state.Adapters[name]
	if d == nil {
		return text, current, true
	}
	if d.Unloaded {
		text += ", unloaded"
	}
	if d.Pinned {
		text += ", pinned"
	}
	for _, alias := range slices.Sorted(maps.Keys(d.Aliases)) {
		text += fmt.Sprintf(", alias %q %s", alias, short(d.Aliases[alias]))
	}
	if d.Canary != "" {
		text += fmt.Sprintf(", canary %s weight %g", d.Canary, d.Weight)
	}
	return text, current, true
}
