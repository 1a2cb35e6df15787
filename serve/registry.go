package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"melo.example/melo/lora/trust"
)

// CurrentAlias is the alias with which an operator selects the version for the bare name.
const CurrentAlias = "current"

// firstVersion is the version that clients with numbered versions request for the current one. An alias of that
// name takes precedence.
const firstVersion = "1"

// Registry manages the adapters in a folder and their names, and keeps requested adapters in memory. It is safe
// for concurrent use.
//
// A file "busi.safetensors" is the current version of the adapter busi, "busi@v2.safetensors" another version
// of it, with the alias v2. PEFT folders are named in the same way, and so is "busi.ensemble.json", whose members
// are adapters of the folder. Watch, Scan and Load notice changed, new
// and removed files. A file that cannot be used does not affect other adapters, and is examined again when it
// changes. As long as the version that it should replace is in memory, that version continues to answer.
type Registry struct {
	dir       string
	statePath string
	reader    *reader
	cache     *cache
	observer  Observer
	counts    *counters
	policy    func() *trust.Policy // the present policy; another pointer means another policy
	selfTest  func(ctx context.Context, path string, h *handle) error
	loading   chan struct{} // limits the number of files being read

	ctx     context.Context // cancelled when the engine closes
	cancel  context.CancelFunc
	group   sync.WaitGroup // background work
	closed  bool           // guarded by closeMu
	closeMu sync.Mutex

	table atomic.Pointer[table]

	scanning sync.Mutex // serialises scans of the whole folder

	admin    sync.Mutex // serialises changes and guards the fields below; no file is read under it
	state    *state
	looks    uint64
	files    map[string]*file    // by path
	contents map[string]*content // by digest
	versions map[Identity]*version
	scanErr  error
}

// registryConfig holds the parameters of a Registry.
type registryConfig struct {
	dir, state string
	budget     int64
	readers    int // number of files read concurrently
	bases      []*backbone
	anyBase    bool
	observer   Observer
	counts     *counters
	policy     func() *trust.Policy
	selfTest   func(ctx context.Context, path string, h *handle) error
}

func newRegistry(c registryConfig) (*Registry, error) {
	s, err := readState(c.state)
	if err != nil {
		return nil, err
	}
	r := &Registry{dir: c.dir, statePath: c.state, reader: &reader{anyBase: c.anyBase}, observer: c.observer, counts: c.counts, policy: c.policy, selfTest: c.selfTest,
		loading: make(chan struct{}, c.readers), state: s, files: map[string]*file{}, contents: map[string]*content{},
		versions: map[Identity]*version{}}
	r.reader.list.Store(&c.bases)
	r.cache = newCache(c.budget, r.wasEvicted)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.table.Store(&table{entries: map[string]*entry{}})
	return r, nil
}

// close stops background work and waits for it.
func (r *Registry) close() {
	r.closeMu.Lock()
	r.closed = true
	r.closeMu.Unlock()
	r.cancel()
	r.group.Wait()
}

// spawn runs f in the background, unless the registry is closed.
func (r *Registry) spawn(f func()) bool {
	r.closeMu.Lock()
	defer r.closeMu.Unlock()
	if r.closed {
		return false
	}
	r.group.Go(f)
	return true
}

func (r *Registry) wasEvicted(c *content) {
	r.counts.evictions.Add(1)
	r.observer.AdapterChanged(AdapterEvent{Change: Evicted, Bytes: c.bytes,
		Identity: Identity{Name: r.nameOf(c), Version: short(c.digest), Digest: c.digest, Base: c.base.called()}})
}

// nameOf returns a name of c, for events.
func (r *Registry) nameOf(c *content) string {
	name, _, _ := fileName(*c.path.Load())
	return name
}

// Resolve returns the adapter that a request for name and version would get now, without loading it. If the
// name has a canary it chooses at random. The error is an *UnknownError or a *BrokenError.
func (r *Registry) Resolve(name, version string) (Identity, error) {
	v, err := r.resolve(name, version)
	if err != nil {
		return Identity{Name: name}, err
	}
	return v.Identity, nil
}

func (r *Registry) resolve(name, wanted string) (*version, error) {
	if wanted == "" {
		name, wanted = splitName(name)
	}
	e := r.table.Load().entries[name]
	switch {
	case e == nil:
		return nil, &UnknownError{Name: name, Version: wanted}
	case e.unloaded:
		return nil, &UnknownError{Name: name, Version: wanted, Reason: "unloaded"}
	case wanted != "":
		return e.find(wanted)
	case e.current == nil && e.broken != nil:
		return nil, e.broken
	case e.current == nil:
		return nil, &UnknownError{Name: name, Reason: e.noReason}
	case e.canary != nil && rand.Float64() < e.weight:
		return e.canary, nil
	}
	return e.current, nil
}

// find returns the version with that alias, digest or prefix of a digest.
func (e *entry) find(wanted string) (*version, error) {
	if digest, ok := e.byAlias[wanted]; ok {
		for _, v := range e.versions {
			if v.Digest == digest {
				return v, nil
			}
		}
		return nil, &UnknownError{Name: e.name, Version: wanted, Reason: "no file has its digest " + digest}
	}
	if wanted == firstVersion && e.current != nil {
		return e.current, nil
	}
	var found *version
	for _, v := range e.versions {
		if isPrefix(wanted, v.Digest) {
			if found != nil {
				return nil, &UnknownError{Name: e.name, Version: wanted, Reason: "several versions begin like that"}
			}
			found = v
		}
	}
	if found == nil {
		for _, d := range e.damaged {
			if slices.Contains(d.Aliases, wanted) {
				return nil, &BrokenError{Name: full(e.name, wanted), Path: d.Path, Err: errors.New(d.Reason)}
			}
		}
		return nil, &UnknownError{Name: e.name, Version: wanted}
	}
	return found, nil
}

// Names returns the sorted names of the adapters, including refused and unloaded ones.
func (r *Registry) Names() []string { return slices.Clone(r.table.Load().names) }

// List returns every version of every adapter and every unusable file, by name. The current version comes
// first.
func (r *Registry) List() []Status {
	t := r.table.Load()
	var list []Status
	for _, name := range t.names {
		list = append(list, t.entries[name].list()...)
	}
	return list
}

// Versions returns the part of List with that name, or nil if there is none.
func (r *Registry) Versions(name string) []Status {
	e := r.table.Load().entries[name]
	if e == nil {
		return nil
	}
	return e.list()
}

// Describe returns the status of one version. Without a version it is the current one, never the canary.
func (r *Registry) Describe(name, version string) (Status, error) {
	if version == "" {
		name, version = splitName(name)
	}
	e := r.table.Load().entries[name]
	if e == nil {
		return Status{}, &UnknownError{Name: name, Version: version}
	}
	v := e.current
	if version != "" {
		var err error
		if v, err = e.find(version); err != nil {
			return Status{}, err
		}
	}
	if v != nil {
		return e.status(v), nil
	}
	if e.broken != nil {
		return Status{}, e.broken
	}
	return Status{}, &UnknownError{Name: name, Version: version, Reason: e.noReason}
}

func (e *entry) list() []Status {
	list := make([]Status, 0, len(e.versions)+len(e.damaged))
	for _, v := range e.versions {
		list = append(list, e.status(v))
	}
	for _, d := range e.damaged {
		if e.unloaded {
			d.State = Unloaded
		}
		list = append(list, d)
	}
	return list
}

func (e *entry) status(v *version) Status {
	c := v.content
	s := Status{Identity: v.Identity, Signers: v.signers, Path: v.path, State: Ready, Side: v.content.base.model.Image, Current: v == e.current, Aliases: v.aliases, Pinned: e.pinned,
		Bytes: c.bytes, Modified: v.modified, Card: c.card}
	if root := c.base.root(); root.room != nil {
		base := root.status(0)
		s.Base = &base
	}
	if v == e.canary {
		s.Canary = e.weight
	}
	for _, part := range c.parts() {
		if part.live.Load() != nil {
			s.Resident += part.bytes
		}
	}
	own, resident, broken := c.ownStatus()
	s.Own, s.Bytes, s.Resident = own, s.Bytes+own, s.Resident+resident
	if v.problem != nil {
		s.Reason = v.problem.Error()
	}
	c.mu.Lock()
	loading := c.flight != nil
	c.mu.Unlock()
	switch err := c.refusedPart(); {
	case e.unloaded:
		s.State, s.Reason = Unloaded, "unloaded by an operator"
	case err != nil:
		s.State, s.Reason = Unavailable, err.Error()
	case broken != nil:
		s.State, s.Reason = Unavailable, broken.Error()
	case loading:
		s.State = Loading
	}
	return s
}

// Stats returns the counters of the existing versions, by name.
func (r *Registry) Stats() []VersionStats {
	t := r.table.Load()
	var list []VersionStats
	for _, name := range t.names {
		for _, v := range t.entries[name].versions {
			v.stats.mu.Lock()
			s := v.stats.VersionStats
			v.stats.mu.Unlock()
			s.Identity = v.Identity
			list = append(list, s)
		}
	}
	return list
}

// Err returns the error of the last scan of the folder, or nil.
func (r *Registry) Err() error {
	r.admin.Lock()
	defer r.admin.Unlock()
	return r.scanErr
}

// brokenBy wraps an error of loading as an error about the adapter.
func brokenBy(v *version, err error) error {
	var broken *BrokenError
	if errors.As(err, &broken) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrDraining) {
		return err
	}
	return &BrokenError{Name: v.Name, Path: *v.content.path.Load(), Err: err}
}

// checkDigest returns an error if s is not a full digest.
func checkDigest(s string) error {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("serve: digest %.100q, expected %q and 64 hexadecimal digits", s, digestPrefix)
	}
	return nil
}
