package serve

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/lora/ensemble"
)

// publish makes a new table from the files and the decisions, replaces the old one, and releases what is no
// longer in it. r.admin must be held.
func (r *Registry) publish() {
	old := r.table.Load()
	contents, versions := map[string]*content{}, map[Identity]*version{}
	next := &table{entries: map[string]*entry{}}
	paths := slices.Sorted(maps.Keys(r.files))
	slices.SortStableFunc(paths, func(a, b string) int { return boolOrder(ensemble.Is(a), ensemble.Is(b)) }) // after their members
	for _, path := range paths {
		f := r.files[path]
		e := next.entries[f.name]
		if e == nil {
			e = &entry{name: f.name, byAlias: map[string]string{}}
			next.entries[f.name] = e
		}
		reason := f.err
		if f.list != nil {
			f.content, reason = r.together(f.list, contents)
		}
		if f.content == nil {
			e.addDamaged(f, reason)
			continue
		}
		// Equal bytes are one content, whichever file was read first.
		if c := contents[f.content.digest]; c != nil && c.base.root() == f.content.base.root() {
			f.content = c
		} else if c := r.contents[f.content.digest]; c != nil && c.base.root() == f.content.base.root() {
			f.content = c
		}
		contents[f.content.digest] = f.content
		if f.err == nil || f.content.path.Load() == nil {
			f.content.path.Store(&f.path)
		}
		e.addVersion(f, r.versions, versions)
	}
	for name, e := range next.entries {
		e.decide(r.files, r.dir, r.state.Adapters[name])
	}
	next.names = slices.Sorted(maps.Keys(next.entries))
	retired := r.contents
	r.contents, r.versions = contents, versions
	r.table.Store(next)
	for digest, c := range retired {
		if contents[digest] != c {
			r.cache.retire(c)
			c.leaveOwn(true)
		}
	}
	r.repin(next)
	r.report(old, next)
}

// boolOrder puts what is true last.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// addDamaged lists a file that holds nothing.
func (e *entry) addDamaged(f *file, reason error) {
	s := Status{Identity: Identity{Name: f.name}, Path: f.path, State: Unavailable, Reason: reason.Error(), Modified: f.modified}
	if f.version != "" {
		s.Aliases = []string{f.version}
	}
	e.damaged = append(e.damaged, s)
}

// addVersion adds the content of a file. Versions keep their counters from table to table.
func (e *entry) addVersion(f *file, before, now map[Identity]*version) {
	id := Identity{Name: f.name, Version: short(f.content.digest), Digest: f.content.digest, Base: f.content.base.called()}
	v := now[id]
	if v == nil {
		v = &version{Identity: id, content: f.content, path: f.path, signers: f.signers, modified: f.modified, stats: &versionStats{}}
		if last := before[id]; last != nil && last.content == f.content {
			v.stats = last.stats
		}
		now[id] = v
		e.versions = append(e.versions, v)
	}
	if f.err != nil {
		v.problem = f.err
	}
	if f.version != "" {
		v.aliases = append(v.aliases, f.version)
		e.byAlias[f.version] = v.Digest
	}
}

// decide determines what the bare name refers to, from the files and the operators' decisions.
func (e *entry) decide(files map[string]*file, dir string, d *decision) {
	e.chooseByFiles(files, dir)
	if d != nil {
		e.apply(d)
	}
	slices.SortStableFunc(e.versions, func(a, b *version) int {
		switch {
		case a == e.current:
			return -1
		case b == e.current:
			return 1
		}
		return 0
	})
	for _, v := range e.versions {
		slices.Sort(v.aliases)
		v.aliases = slices.Compact(v.aliases)
	}
}

// chooseByFiles takes the file or PEFT folder of the bare name, or else the only version.
func (e *entry) chooseByFiles(files map[string]*file, dir string) {
	var f *file
	var kinds []string
	for _, x := range []struct{ kind, path string }{{"a file", joinName(dir, e.name)}, {"a folder", filepath.Join(dir, e.name)}, {"an ensemble", filepath.Join(dir, e.name+ensemble.Ending)}} {
		if files[x.path] != nil {
			f, kinds = files[x.path], append(kinds, x.kind)
		}
	}
	if len(kinds) > 1 {
		e.noReason = "is " + strings.Join(kinds, " and ") + ", and nothing tells which is current: ask for one of the versions"
		return
	}
	if f != nil {
		if f.content == nil {
			i := slices.IndexFunc(e.damaged, func(s Status) bool { return s.Path == f.path })
			e.broken = &BrokenError{Name: e.name, Path: f.path, Err: errorText(e.damaged[i].Reason)}
			return
		}
		e.current = e.byDigest(f.content.digest)
		return
	}
	switch {
	case len(e.versions) == 1 && len(e.damaged) == 0:
		e.current = e.versions[0]
	case len(e.versions) == 0 && len(e.damaged) == 1:
		e.broken = &BrokenError{Name: e.name, Path: e.damaged[0].Path, Err: errorText(e.damaged[0].Reason)}
	default:
		e.noReason = "has several versions and none that is current: ask for one of them"
	}
}

// errorText is an error from stored text.
type errorText string

func (e errorText) Error() string { return string(e) }

// apply applies the operators' decisions.
func (e *entry) apply(d *decision) {
	e.unloaded, e.pinned = d.Unloaded, d.Pinned
	for alias, digest := range d.Aliases {
		v := e.byDigest(digest)
		if alias == CurrentAlias {
			e.current, e.broken = v, nil
			if v == nil {
				e.noReason = "no file has the digest " + digest + " that an operator made current"
			}
			continue
		}
		if _, taken := e.byAlias[alias]; !taken { // a file's version takes precedence
			e.byAlias[alias] = digest
			if v != nil {
				v.aliases = append(v.aliases, alias)
			}
		}
	}
	if v := e.byDigest(d.Canary); v != nil && e.current != nil && v != e.current {
		e.canary, e.weight = v, d.Weight
	}
}

func (e *entry) byDigest(digest string) *version {
	for _, v := range e.versions {
		if v.Digest == digest {
			return v
		}
	}
	return nil
}

// repin keeps the present targets of pinned names resident. r.admin must be held.
func (r *Registry) repin(t *table) {
	pinned := map[*content]bool{}
	for _, e := range t.entries {
		for _, v := range []*version{e.current, e.canary} {
			if v != nil && e.pinned && !e.unloaded {
				pinned[v.content] = true
				for _, m := range v.content.members {
					pinned[m] = true
				}
			}
		}
	}
	for _, c := range r.contents {
		was := r.cache.pin(c, pinned[c])
		c.pinOwn(pinned[c])
		if pinned[c] && !was && len(c.members) == 0 {
			r.spawn(func() {
				if h, _, err := r.hold(r.ctx, c); err == nil {
					h.release()
				}
			})
		}
	}
}

// report notifies the observer about the differences between two tables.
func (r *Registry) report(old, next *table) {
	tell := func(change Change, list []*version, others *table) {
		for _, v := range list {
			if e := others.entries[v.Name]; e == nil || e.byDigest(v.Digest) == nil {
				r.observer.AdapterChanged(AdapterEvent{Change: change, Identity: v.Identity, Signers: v.signers})
			}
		}
	}
	for _, name := range next.names {
		tell(Published, next.entries[name].versions, old)
		for _, d := range next.entries[name].damaged {
			if !old.damagedAlike(d) {
				r.counts.refusals.Add(1)
				r.observer.AdapterChanged(AdapterEvent{Change: Refused, Identity: d.Identity, Err: errorText(d.Reason)})
			}
		}
	}
	for _, name := range old.names {
		tell(Removed, old.entries[name].versions, next)
	}
}

// damagedAlike reports whether a file already had the same error.
func (t *table) damagedAlike(d Status) bool {
	e := t.entries[d.Name]
	return e != nil && slices.ContainsFunc(e.damaged, func(x Status) bool { return x.Path == d.Path && x.Reason == d.Reason })
}
