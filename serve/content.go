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

// content is the content of one file, whatever names refer to it. Its digest is its identity. The description
// is read when the file appears and stays in memory; the matrices are loaded and evicted by the cache.
type content struct {
	digest     string
	base       *backbone
	card       *adapterfile.Metadata
	labels     []string
	recipe     imaging.Recipe
	rule       answer.Rule
	thresholds []float64  // one per label; nil for multiclass
	bytes      int64      // memory when resident
	members    []*content // of an ensemble, which is never resident itself

	path    atomic.Pointer[string]  // a file with this content
	live    atomic.Pointer[handle]  // nil: not resident
	used    atomic.Int64            // the cache's clock at last use
	tested  atomic.Bool             // it has passed its self-test in this process
	refusal atomic.Pointer[refusal] // why loading failed; nil: not tried, or successful

	mu     sync.Mutex // guards flight
	flight *flight    // the load in progress

	pinned, retired bool // guarded by the cache

	lane lane // its lane in the queue, guarded by the queue
}

// refusal records a failed load, so that requests do not retry it again and again.
type refusal struct {
	err   error
	until time.Time // zero: until the content changes
}

// refused returns why c must not be loaded now, or nil.
func (c *content) refused() error {
	r := c.refusal.Load()
	if r == nil || !r.until.IsZero() && time.Now().After(r.until) {
		return nil
	}
	return r.err
}

// handle is a resident adapter. It remains valid as long as it is held, even if it is evicted or replaced
// meanwhile.
type handle struct {
	content *content
	adapter *lora.Resident
	fit     *fit.Description // nil: unknown
	// branches says that the adapter leaves enough blocks unchanged that requests for the same image should be
	// computed together.
	branches bool
	cache    *cache
	refs     atomic.Int64 // 1 for being resident, plus 1 per request that holds it
}

// acquire acquires h. It returns false if h is gone.
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

// release releases h and its base, for a request.
func (h *handle) release() {
	h.drop()
	h.content.base.release()
}

// drop releases only h.
func (h *handle) drop() {
	switch h.refs.Add(-1) {
	case 0:
		h.cache.freed(h.content.bytes)
	case 1:
		h.cache.idle()
	}
}

// hold acquires and returns the resident adapter, or nil if it must be loaded. It neither locks nor allocates:
// this is the cost of switching adapters.
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
	aliases  []string // from files and operators, sorted
	path     string
	signers  []string // trusted owners of its signatures
	modified time.Time
	problem  error // error of the file that should have replaced it
	stats    *versionStats
}

// versionStats holds the counters of a version.
type versionStats struct {
	mu sync.Mutex
	VersionStats
}

// entry is everything under one name.
type entry struct {
	name     string
	current  *version
	noReason string // why current is nil, if there is no error
	broken   *BrokenError
	versions []*version
	byAlias  map[string]string // aliases to digests
	canary   *version
	weight   float64
	unloaded bool
	pinned   bool
	damaged  []Status // files of this name without a valid content
}

// table maps names to adapters at one point in time. It is immutable.
type table struct {
	entries map[string]*entry
	names   []string // sorted
}
