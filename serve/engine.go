package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/imaging"
	"melo.example/melo/lora/trust"
	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// Config configures an engine. A zero field means its default.
type Config struct {
	Base string // folder or file of the base, or "embedded"
	// Bases lists further bases. An adapter is assigned to its base by the digest of the base's weights. If
	// there are several, each is loaded on first use.
	Bases []string
	// Pinned lists those of Base and Bases, by name or path, that are loaded at once and stay in memory.
	Pinned []string
	// BaseBudget limits the estimated memory in bytes of bases, and of networks that adapters make of them; 0:
	// no limit. The least recently used one is unloaded. A single base always stays in memory.
	BaseBudget int64
	// Precisions maps bases, as given in Base and Bases, to precisions. Others use Precision.
	Precisions map[string]vit.Precision
	Adapters   string // folder of adapters: native files, LoRA-ViT files, PEFT folders; empty: none
	// AnyBase accepts adapters that do not identify their base, and PEFT folders that name another one, if
	// their shape fits.
	AnyBase bool
	// Trust returns the policy that decides which adapters may be used. It is called on every scan of the
	// folder; another pointer means another policy. nil: all adapters are trusted.
	Trust func() *trust.Policy

	// Refuse makes an image unlike an adapter's training images an error, whatever the adapter's own policy.
	Refuse bool

	Precision vit.Precision // of the base
	Workers   int           // default all cores
	Batch     int           // maximum images per pass; default chosen by the batching curve, at most 16
	Queue     int           // maximum waiting requests; default 256
	Budget    int64         // memory in bytes for resident adapters; 0: no limit
	// file for operators' decisions (pins, aliases, canaries, unloaded adapters); empty: they are not stored
	State    string
	Remember string   // folder for facts between runs: digests, passed self-tests, batching curves; empty: none
	Observer Observer // receives events; may be nil
	// Release is called when the base is no longer needed: after Close, or if New fails. It may be nil.
	Release func()
}

const (
	defaultQueue = 256
	defaultBatch = 16
	maxBatch     = 1024
)

// Engine answers requests. It is safe for concurrent use.
type Engine struct {
	config   Config
	pool     *compute.Pool // for bases that can be unloaded
	workers  int
	room     *room      // memory for bases; nil: a single base that stays
	tuning   *room      // memory for networks of adapters: the same as room, or, with a single base, separate
	changing sync.Mutex // serialises changes of the bases
	known    *memo.Cache
	observer Observer
	registry *Registry
	queue    *queue
	runner   *runner
	counts   counters

	close    sync.Once
	draining atomic.Bool
	mu       sync.Mutex    // guards the fields below
	active   int           // running calls of Predict
	idle     chan struct{} // closed when draining and active is 0
}

// counters holds the counts for Stats.
type counters struct {
	requests, answered, failed, overloaded, canceled, unknown atomic.Uint64
	batches, images, loads, evictions, refusals               atomic.Uint64
}

// Open opens the base of c, scans its folder of adapters and returns an engine that is ready. Close it after
// use.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if !vit.Supports(c.Precision) {
		return nil, fmt.Errorf("serve: this CPU (%s) has no instructions for %v", vit.Kernels(), c.Precision)
	}
	if len(c.Bases) > 0 {
		return openSeveral(ctx, c)
	}
	pool := compute.NewPool(c.Workers)
	known := memo.New(c.Remember)
	m, weights, err := bases.OpenWithWeights(c.Base, vit.Options{Workers: pool, Precision: c.Precision, Known: known}, true)
	if err != nil {
		pool.Close()
		return nil, err
	}
	digest, err := weights.Digest()
	if err := errors.Join(err, weights.Close()); err != nil {
		pool.Close()
		return nil, err
	}
	c.Release = pool.Close
	return New(ctx, m, digest, c)
}

// New is Open for a base in memory, whose weights have the given digest (adapterfile.BaseDigest). It stays
// there.
func New(ctx context.Context, m *vit.Model, digest string, c Config) (*Engine, error) {
	if m == nil || m.Backend == nil {
		c.release()
		return nil, errors.New("serve: no base")
	}
	e, err := newEngineOf(c)
	if err != nil {
		return nil, err
	}
	path := cmp.Or(c.Base, m.Path)
	e.workers = m.Workers()
	b := e.newBackbone(m, baseName(path), path, digest)
	b.stack = b.newStack(m)
	b.footprint = vit.Footprint(&m.Config, m.Precision, b.curve.max, e.workers)
	e.tuning.bookFixed(b)
	return e.start(ctx, b)
}

func (c *Config) release() {
	if c.Release != nil {
		c.Release()
	}
}

// newEngineOf returns an engine without bases.
func newEngineOf(c Config) (*Engine, error) {
	if c.Release == nil {
		c.Release = func() {}
	}
	if err := c.complete(); err != nil {
		c.Release()
		return nil, err
	}
	e := &Engine{config: c, known: memo.New(c.Remember), observer: c.Observer, idle: make(chan struct{})}
	e.tuning = e.newRoom()
	return e, nil
}

// start scans the adapters and starts answering.
func (e *Engine) start(ctx context.Context, list ...*backbone) (*Engine, error) {
	c := &e.config
	for _, b := range list {
		b.curve.load(e.known, e.curveKey(b))
	}
	e.queue = newQueue(c.Queue, list[0].curve.max, (*backbone).perImage, (*backbone).perBatch)
	e.runner = newRunner(e)
	var err error
	e.registry, err = newRegistry(registryConfig{dir: c.Adapters, state: c.State, budget: c.Budget, readers: max(2, runtime.GOMAXPROCS(0)),
		anyBase: c.AnyBase, bases: list,
		observer: c.Observer, counts: &e.counts, policy: c.Trust, selfTest: e.selfTest})
	if err != nil {
		c.Release()
		return nil, err
	}
	e.tuning.spawn, e.tuning.ctx = e.registry.spawn, e.registry.ctx
	go e.runner.run()
	if err := e.registry.Scan(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// complete sets defaults.
func (c *Config) complete() error {
	c.Queue = cmp.Or(c.Queue, defaultQueue)
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Trust == nil {
		c.Trust = func() *trust.Policy { return nil }
	}
	switch {
	case c.Batch < 0 || c.Batch > maxBatch:
		return fmt.Errorf("serve: batch of %d images, expected 1 to %d", c.Batch, maxBatch)
	case c.Queue < 1:
		return fmt.Errorf("serve: queue of %d requests, expected at least 1", c.Queue)
	case c.BaseBudget < 0:
		return fmt.Errorf("serve: budget for bases of %d bytes, expected 0 (no limit) or more", c.BaseBudget)
	case c.Budget < 0:
		return fmt.Errorf("serve: budget of %d bytes, expected 0 (no limit) or more", c.Budget)
	}
	return nil
}

// base returns the base, or the first of several.
func (e *Engine) base() *backbone { return e.registry.reader.bases()[0] }

// Registry returns the adapters that the engine serves.
func (e *Engine) Registry() *Registry { return e.registry }

// Model returns the base, which must not be modified. If several are served it is the description of the first,
// without weights.
func (e *Engine) Model() *vit.Model { return e.base().model }

// BaseDigest returns the digest of the base's weights; of several that of the first, see Bases.
func (e *Engine) BaseDigest() string { return e.base().digest }

// Side returns the side of the input in pixels; of several bases that of the first.
func (e *Engine) Side() int { return e.base().model.Image }

// Precision returns the precision of the base's products; of several bases that of the first.
func (e *Engine) Precision() string { return e.base().model.Precision.String() }

// Recipe returns the preprocessing for adapters that do not define their own.
func (e *Engine) Recipe() imaging.Recipe { return e.base().model.Recipe }

// Ready reports whether the engine accepts requests and all pinned bases can be loaded.
func (e *Engine) Ready() bool { return !e.draining.Load() && e.pinnedThere() == nil }

// stalled is the duration after which a running batch counts as stuck.
const stalled = 5 * time.Minute

// Live reports whether the engine works. If it is false, because a batch does not end, the process should be
// restarted.
func (e *Engine) Live() bool { return e.runner.busy() < stalled }

// Drain makes Ready false and refuses new requests. It waits until running requests are answered or ctx is
// cancelled.
func (e *Engine) Drain(ctx context.Context) error {
	e.draining.Store(true)
	e.mu.Lock()
	if e.active == 0 {
		e.closeIdle()
	}
	e.mu.Unlock()
	select {
	case <-e.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) closeIdle() {
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}

// enter counts a call of Predict; leave undoes that.
func (e *Engine) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return ErrDraining
	}
	e.active++
	return nil
}

func (e *Engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active--
	if e.active == 0 && e.draining.Load() {
		e.closeIdle()
	}
}

// Close stops the engine after running requests have been answered.
func (e *Engine) Close() error {
	e.close.Do(func() {
		_ = e.Drain(context.Background()) // cannot fail without a deadline
		e.registry.close()
		e.queue.close()
		<-e.runner.done
		for _, b := range e.registry.reader.bases() {
			b.curve.save(e.known, e.curveKey(b))
		}
		e.tuning.close()
		e.config.Release()
	})
	return nil
}

// CurvePoint is the duration of a pass with a number of images.
type CurvePoint struct {
	Images  int
	Seconds float64
	Samples int // number of measured passes, including a few from an earlier process
}

// Curve returns the known durations of passes by number of images.
func (e *Engine) Curve() []CurvePoint { return e.base().curve.points() }

// Stats returns the counters since the engine was created, and its present state.
func (e *Engine) Stats() Stats {
	c := &e.counts
	s := Stats{Requests: c.requests.Load(), Answered: c.answered.Load(), Failed: c.failed.Load(), Overloaded: c.overloaded.Load(),
		Canceled: c.canceled.Load(), Unknown: c.unknown.Load(), Batches: c.batches.Load(), Images: c.images.Load(),
		Loads: c.loads.Load(), Evictions: c.evictions.Load(), Refusals: c.refusals.Load(), Budget: e.config.Budget, BaseBudget: e.config.BaseBudget}
	s.Resident, s.ResidentBytes = e.registry.cache.usage()
	s.Tuned, s.TunedBytes = e.tuning.tuned()
	s.Adapters, s.Waiting = len(e.registry.table.Load().names), e.queue.waiting()
	s.Batch, s.PerImage = e.base().curve.max, e.base().curve.perImage()
	return s
}

// Predict answers requests. Both results have one element per request; a request that fails does not affect
// others. See UnknownError, BrokenError, OverloadError, InputError, ErrDraining and the errors of ctx.
func (e *Engine) Predict(ctx context.Context, requests ...Request) ([]Answer, []error) {
	answers, errs := make([]Answer, len(requests)), make([]error, len(requests))
	if err := e.enter(); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return answers, errs
	}
	defer e.leave()
	e.predict(ctx, requests, answers, errs)
	return answers, errs
}

// done counts a request and tells the observer.
func (e *Engine) done(ctx context.Context, a *Answer, v *version, method string, start time.Time, err error) {
	t := a.Timing
	e.counts.requests.Add(1)
	var overload *OverloadError
	switch {
	case err == nil:
		e.counts.answered.Add(1)
	default:
		e.counts.failed.Add(1)
		switch {
		case errors.As(err, &overload):
			e.counts.overloaded.Add(1)
		case errors.Is(err, ErrUnknownAdapter):
			e.counts.unknown.Add(1)
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			e.counts.canceled.Add(1)
		}
	}
	if v != nil {
		v.stats.count(start, t, err)
	}
	event := RequestEvent{Identity: a.Identity, Start: start, Timing: t, Err: err, Fit: a.Fit, Explain: method}
	if v != nil {
		event.Signers = v.signers
	}
	e.observer.RequestDone(ctx, event)
}

// count adds one request.
func (s *versionStats) count(start time.Time, t Timing, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Last = start
	total := time.Since(start)
	if err != nil {
		s.Fail.add(total)
		return
	}
	s.Success.add(total)
	s.Load.add(t.Load)
	s.Queue.add(t.Queue)
	s.Prepare.add(t.Prepare)
	s.Compute.add(t.Compute)
	s.Requests++
}

func (t *Total) add(d time.Duration) {
	t.Count++
	t.Time += d
}
