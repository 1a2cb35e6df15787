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

// Config says what an engine serves and how. The zero value of a field means its default.
type Config struct {
	Base string // folder or file of the base, or "embedded"
	// Bases are further bases. Adapters find theirs by the digest of its weights that is in them. With several, each is loaded
	// when it is first asked for.
	Bases []string
	// Pinned are those of Base and Bases, by name or as they are given there, that are loaded at once and stay.
	Pinned []string
	// BaseBudget is how many bytes of memory bases may take together, by estimate, and networks that adapters make of them; 0: no
	// limit. The least recently used one makes room. A base that is alone stays.
	BaseBudget int64
	// Precisions are those of several bases, as they are given in Base and Bases; others have Precision.
	Precisions map[string]vit.Precision
	Adapters   string // folder of adapters: native files, LoRA-ViT files, folders of PEFT; empty: none
	// AnyBase takes adapters that do not say which base they belong to, and folders of PEFT that call it otherwise, if
	// their shape fits.
	AnyBase bool
	// Trust returns which adapters may answer; it is asked at every look at the folder, and another pointer is another policy.
	// nil: all may.
	Trust func() *trust.Policy

	// Refuse makes an image that is unlike those that an adapter was trained on an error, whatever the adapter says.
	Refuse bool

	Precision vit.Precision // of the base
	Workers   int           // default all cores
	Batch     int           // the most images of a pass; default what the batching curve says, at most 16
	Queue     int           // requests that may wait, default 256
	Budget    int64         // bytes of memory for resident adapters; 0: no limit
	State     string        // file that keeps what operators decided (pins, aliases, canaries, unloaded adapters); empty: nothing is kept
	Remember  string        // folder that keeps facts between runs: digests, passed self-tests, the batching curve; empty: none
	Observer  Observer      // is told what happens; may be nil
	// Release is called once the base is no longer needed: after Close, or when New has failed. nil: nothing is done.
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
	pool     *compute.Pool // of bases that come and go
	workers  int
	room     *room      // of them; nil: there is one base, which stays
	tuning   *room      // of networks that adapters make of bases: the same or, beside one base, that of them alone
	changing sync.Mutex // the bases, one after the other
	known    *memo.Cache
	observer Observer
	registry *Registry
	queue    *queue
	runner   *runner
	counts   counters

	close    sync.Once
	draining atomic.Bool
	mu       sync.Mutex    // guards what follows
	active   int           // calls of Predict
	idle     chan struct{} // closed when draining and active is 0
}

// counters are what Stats tells.
type counters struct {
	requests, answered, failed, overloaded, canceled, unknown atomic.Uint64
	batches, images, loads, evictions, refusals               atomic.Uint64
}

// Open opens the base of c, scans its folder of adapters and returns an engine that is ready. Close it when done.
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

// New is Open for a base in memory, whose weights have that digest (adapterfile.BaseDigest). It stays there.
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

// newEngineOf makes an engine without bases.
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

// start looks at the adapters and begins to answer.
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

// complete fills in defaults.
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

// base is the base, or the first of several.
func (e *Engine) base() *backbone { return e.registry.reader.bases()[0] }

// Registry returns the adapters that the engine serves.
func (e *Engine) Registry() *Registry { return e.registry }

// Model returns the base, read-only; where several are served, what the first is, without its weights.
func (e *Engine) Model() *vit.Model { return e.base().model }

// BaseDigest returns the identity of the base's weights; of several the first's, see Bases.
func (e *Engine) BaseDigest() string { return e.base().digest }

// Side returns the side of the input in pixels; of several bases the first's.
func (e *Engine) Side() int { return e.base().model.Image }

// Precision names that of the base's products, in which every answer is computed; of several bases the first's.
func (e *Engine) Precision() string { return e.base().model.Precision.String() }

// Recipe returns how an image becomes an input where an adapter does not say otherwise.
func (e *Engine) Recipe() imaging.Recipe { return e.base().model.Recipe }

// Ready reports whether new requests are taken, and no base that is to stay in memory is missing.
func (e *Engine) Ready() bool { return !e.draining.Load() && e.pinnedThere() == nil }

// stalled is how long a batch may take before the engine counts as stuck.
const stalled = 5 * time.Minute

// Live reports whether the engine works: false, because a batch does not end, asks for the process to be started anew.
func (e *Engine) Live() bool { return e.runner.busy() < stalled }

// Drain makes Ready false and new requests fail, and waits until those under way are answered or ctx ends.
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

// enter counts a call of Predict in, leave out.
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

// Close ends the engine. Requests under way are answered first.
func (e *Engine) Close() error {
	e.close.Do(func() {
		_ = e.Drain(context.Background()) // ends without an error
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

// CurvePoint is what a pass of so many images takes.
type CurvePoint struct {
	Images  int
	Seconds float64
	Samples int // passes that were measured; of what an earlier process learnt, a few
}

// Curve returns what is known of how the time of a pass grows with its images.
func (e *Engine) Curve() []CurvePoint { return e.base().curve.points() }

// Stats returns the counts since the engine was made.
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

// Predict answers requests; both results have one element a request, and one that fails does not make others
// fail. See UnknownError, BrokenError, OverloadError, InputError, ErrDraining and the errors of ctx.
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
