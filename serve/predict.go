package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"melo.example/melo/conformal"
	"melo.example/melo/explain"
	"melo.example/melo/fit"
	"melo.example/melo/lora/adapterfile"
)

// call is one call of Predict. It has as many requests in progress as are needed to fill batches, and no more,
// so that a call for all adapters leaves room for others.
type call struct {
	e       *Engine
	ctx     context.Context
	shared  *sharing    // nil: a single request
	explain *explaining // nil: answers alone are asked for
	logits  bool        // of the answers alone: parts of an explanation
	mu      sync.Mutex
	running int           // requests admitted by the queue
	ended   chan struct{} // closed and replaced whenever one of them is answered
}

// predict answers requests into answers and errs.
func (e *Engine) predict(ctx context.Context, requests []Request, answers []Answer, errs []error) {
	c := &call{e: e, ctx: ctx, ended: make(chan struct{})}
	if len(requests) == 1 {
		answers[0], errs[0] = c.one(requests[0])
		return
	}
	c.shared = newSharing(requests)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(len(requests), 2*e.queue.rows) {
		group.Go(func() {
			for i := range next {
				answers[i], errs[i] = c.one(requests[i])
				c.shared.served(requests[i].Input)
			}
		})
	}
	for i := range requests {
		next <- i
	}
	close(next)
	group.Wait()
}

// one answers one request and notifies the observer.
func (c *call) one(q Request) (Answer, error) {
	start := time.Now()
	var a Answer
	v, err := c.e.registry.resolve(q.Name, q.Version)
	if q.Hidden {
		v, err = nil, hidden(q.Name, q.Version)
	}
	if err != nil {
		a.Name, _ = splitName(q.Name)
	}
	for try := 1; err == nil; try++ {
		a.Identity = v.Identity
		if err = c.compute(v, &q, &a); err == nil || !errors.Is(err, errChanged) {
			break
		}
		if try == holdTries {
			err = &BrokenError{Name: v.Name, Path: v.path, Err: err}
		} else if err = c.e.registry.again(c.ctx, v); err == nil {
			v, err = c.e.registry.resolve(q.Name, q.Version)
		}
	}
	c.e.done(c.ctx, &a, v, c.explain.name(), start, err)
	if err != nil {
		return Answer{Identity: a.Identity, Timing: a.Timing}, err
	}
	return a, nil
}

// hidden returns the error for an adapter that the client must not know about: the same as for one that does
// not exist.
func hidden(name, version string) error {
	if version == "" {
		name, version = splitName(name)
	}
	return &UnknownError{Name: name, Version: version}
}

// compute takes a request for v through admission, loading, preparation and the queue.
func (c *call) compute(v *version, q *Request, a *Answer) error {
	if err := q.checkCoverage(v); err != nil {
		return err
	}
	if len(v.content.members) > 0 {
		return c.computeTogether(v, q, a)
	}
	if c.explain != nil {
		if err := c.explain.begin(v, q.Input); err != nil {
			return err
		}
		if c.explain.method == explain.Occlusion {
			return c.occlude(v, q, a)
		}
	}
	it, err := c.row(v, q.Input, &a.Timing)
	if err != nil {
		return err
	}
	a.Timing.Queue, a.Timing.Compute, a.Timing.Batch = it.wait, it.compute, it.batch
	a.Remarks = it.remarks
	switch {
	case c.logits:
		a.Logits, a.Fit = it.logits, it.fit
		return nil
	case it.trace != nil:
		if err := c.explain.found(v, it.trace.score, it.trace.values, it.trace.err); err != nil {
			return err
		}
	}
	return a.fill(v, it.logits, it.fit, c.e.config.Refuse, q.Coverage)
}

// row returns the answered row of one adapter for one input.
func (c *call) row(v *version, x Input, t *Timing) (*item, error) {
	for {
		if err := c.enter(v.content); err != nil {
			return nil, err
		}
		it, err := c.queued(v, x, t)
		if err == nil {
			err = c.wait(it)
		}
		c.leave()
		var overload *OverloadError
		if errors.As(err, &overload) && c.patient() {
			continue
		}
		return it, err
	}
}

// checkCoverage refuses a coverage that cannot be, or that a version can give no sets for if there has to be one.
func (q *Request) checkCoverage(v *version) error {
	if q.Coverage == 0 {
		return nil
	}
	if err := conformal.Check(q.Coverage); err != nil {
		return &InputError{err}
	}
	if q.NeedSet && v.content.rule.Sets == nil {
		return &NoSetsError{v.Name}
	}
	return nil
}

// enter asks the queue for a place. Where it is full, requests of this call wait for others of it.
func (c *call) enter(x *content) error {
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := c.e.queue.admit(c.ctx, &x.lane)
		if err == nil {
			c.mu.Lock()
			c.running++
			c.mu.Unlock()
			return nil
		}
		var overload *OverloadError
		if !errors.As(err, &overload) || !c.patient() {
			return err
		}
	}
}

// patient waits until a request of this call has been answered. It returns false if none is running.
func (c *call) patient() bool {
	c.mu.Lock()
	ended, running := c.ended, c.running
	c.mu.Unlock()
	if running == 0 {
		return false
	}
	select {
	case <-ended:
	case <-c.ctx.Done():
	}
	return true
}

func (c *call) leave() {
	c.mu.Lock()
	c.running--
	close(c.ended)
	c.ended = make(chan struct{})
	c.mu.Unlock()
}

// queued loads the adapter, prepares the input and puts the request into the queue.
func (c *call) queued(v *version, x Input, t *Timing) (*item, error) {
	h, loading, err := c.e.registry.hold(c.ctx, v.content)
	t.Load += loading
	if err != nil {
		c.e.queue.leave(&v.content.lane)
		if !errors.Is(err, errChanged) {
			err = brokenBy(v, err)
		}
		return nil, err
	}
	c.comes(x)
	start := time.Now()
	in, err := c.prepare(x, v.content)
	t.Prepare += time.Since(start)
	if err != nil {
		c.arrives(x, nil)
		c.e.queue.leave(&v.content.lane)
		h.release()
		return nil, err
	}
	it := &item{handle: h, input: in, remarks: in.remarks, stats: v.stats, queued: time.Now(), done: make(chan struct{}, 1)}
	it.deadline, _ = c.ctx.Deadline()
	if c.explain != nil {
		it.trace = &trace{method: c.explain.method, choice: c.explain.choice}
	}
	c.arrives(x, it)
	return it, nil
}

func (c *call) comes(x Input) {
	if c.shared != nil {
		c.shared.comes(x)
	}
}

// arrives puts an item into the queue, together with those of other requests of the call for the same input.
func (c *call) arrives(x Input, it *item) {
	switch {
	case c.shared != nil:
		c.e.queue.put(c.shared.arrives(x, it)...)
	case it != nil:
		c.e.queue.put(it)
	}
}

func (c *call) prepare(x Input, of *content) (*input, error) {
	if c.shared == nil {
		return of.base.inputs.prepare(c.ctx, x, of.recipe)
	}
	return c.shared.prepare(c.ctx, of.base.inputs, x, of.recipe)
}

// wait returns when the item is answered or ctx is cancelled, which frees its place in the queue.
func (c *call) wait(it *item) error {
	select {
	case <-it.done:
		return it.err
	case <-c.ctx.Done():
		c.e.queue.cancel(it)
		return c.ctx.Err()
	}
}

// selfTest runs an adapter on the self-test inputs in its file.
func (e *Engine) selfTest(ctx context.Context, path string, h *handle) error {
	f := &adapterfile.File{Path: path, Digest: h.content.digest, Meta: *h.content.card}
	c := &call{e: e, ctx: ctx}
	h.refs.Store(1) // held by the caller
	return f.CheckSelf(h.content.base.model.Precision, h.content.recipe.Values(), e.known, func(input []float32) ([]float32, error) {
		in := h.content.base.inputs.get()
		copy(in.data, input)
		h.acquire()
		h.content.base.again()
		it := &item{handle: h, input: in, test: true, queued: time.Now(), done: make(chan struct{}, 1)}
		e.queue.enter(&h.content.lane)
		e.queue.put(it)
		if err := c.wait(it); err != nil {
			return nil, err
		}
		return it.logits, nil
	})
}

// fill writes what follows from the logits.
func (a *Answer) fill(v *version, logits []float32, verdict *fit.Verdict, refuse bool, coverage float64) error {
	c := v.content
	if verdict != nil && verdict.Unlike && (refuse || c.card.Refuses()) {
		return &AnswerError{v.Name, &fit.UnlikeError{Verdict: *verdict}}
	}
	x, err := c.rule.Of(logits)
	if err != nil {
		return &AnswerError{v.Name, err}
	}
	a.Identity, a.Labels, a.Logits, a.Probabilities = v.Identity, c.labels, x.Logits, x.Probabilities
	x.Fit = verdict
	a.Fit, a.Decision = verdict, c.rule.Decision(&x)
	a.Label, a.Probability, a.Present = x.Label, x.Probability, x.Present
	if coverage > 0 && c.rule.Sets != nil {
		a.Coverage, a.Set = coverage, c.rule.Set(&x, coverage)
	}
	if x.Present != nil {
		a.Thresholds = c.thresholds
	}
	return nil
}
