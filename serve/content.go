package serve

import (
	"sync"
	"sync/atomic"
	"time"

	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/answer"
)

// content is what one file holds, whatever names point to it. Its digest is its identity. The description is read
// when the file appears and stays; the matrices come and go with the cache.
type content struct {
	digest     string
	base       *backbone
	card       *adapterfile.Metadata
	labels     []string
	recipe     imaging.Recipe
	rule       answer.Rule
	thresholds []float64 // one a label; nil for multiclass
	bytes      int64     // when resident

	path    atomic.Pointer[string]  // a file that has it
	live    atomic.Pointer[handle]  // nil: not resident
	used    atomic.Int64            // the cache's clock at the last use
	tested  atomic.Bool             // it passed its self-test in this process
	refusal atomic.Pointer[refusal] // why it was not loaded; nil: not tried, or not in vain

	mu     sync.Mutex // guards flight
	flight *flight    // the loading under way

	pinned, retired bool // guarded by the cache

	lane lane // of the queue, which guards it
}

// refusal remembers a loading that failed, so that requests do not try again and again.
type refusal struct {
	err   error
	until time.Time // zero: as long as the content is the same
}

// refused returns why c is not to be loaded now, or nil.
func (c *content) refused() error {
	r := c.refusal.Load()
	if r == nil || !r.until.IsZero() && time.Now().After(r.until) {
		return nil
	}
	return r.err
}

// handle is a resident adapter. It stays whole as long as somebody holds it, also when it was evicted or
// replaced meanwhile.
type handle struct {
	content *content
	adapter *lora.Resident
	fit     *fit.Description // nil: unknown
	// branches says that the adapter leaves so many blocks bare that requests for the same image had better pass together.
	branches bool
	cache    *cache
	refs     atomic.Int64 // 1 for being resident, and 1 for each request that holds it
}

// acquire takes hold of h, unless it is gone.
func (h *handle) acquire() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release lets go of h and of its base, for a request.
func (h *handle) release() {
	h.drop()
	h.content.base.release()
}

// drop lets go of h alone.
func (h *handle) drop() {
	switch h.refs.Add(-1) {
	case 0:
		h.cache.freed(h.content.bytes)
	case 1:
		h.cache.idle()
	}
}

// hold returns the resident adapter and takes hold of it, nil if it has to be loaded. It neither locks nor
// allocates: this is what switching costs.
func (c *content) hold(clock *atomic.Int64) *handle {
	h := c.live.Load()
	if h == nil || !h.acquire() {
		return nil
	}
	c.used.Store(clock.Add(1))
	return h
}

// version is a content under a name.
type version struct {
	Identity
	content  *content
	aliases  []string // of files and of operators, sorted
	path     string
	signers  []string // whose signatures it has, of those that are trusted
	modified time.Time
	problem  error // of the file that should have replaced it
	stats    *versionStats
}

// versionStats counts what one version did.
type versionStats struct {
	mu sync.Mutex
	VersionStats
}

// entry is everything under one name.
type entry struct {
	name     string
	current  *version
	noReason string // why current is nil, if nothing is broken
	broken   *BrokenError
	versions []*version
	byAlias  map[string]string // to digests
	canary   *version
	weight   float64
	unloaded bool
	pinned   bool
	damaged  []Status // files of this name that hold nothing
}

// table is what names mean at one moment. It never changes.
type table struct {
	entries map[string]*entry
	names   []string // sorted
}
