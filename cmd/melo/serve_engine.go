package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	facade "melo.example/melo"
	"melo.example/melo/bases"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/memo"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/vit"
)

// traceTimeout bounds sending the last traces.
const traceTimeout = 5 * time.Second

// checkTime bounds the search for a precision that suits every adapter. Those for which there was no time are checked
// when they are asked for, and refused where the precision does not suit them.
const checkTime = 20 * time.Second

// openEngine opens the base in the precision that --precision says. With auto that is the fastest in which no adapter
// fails that would not fail in a slower one, too.
func (r *server) openEngine(ctx context.Context, s *stdio, observer serve.Observer) (*serve.Engine, error) {
	o := r.options
	p, err := o.fastest()
	if err != nil {
		return nil, err
	}
	if o.Precision != "auto" {
		if !vit.Supports(p) {
			return nil, fmt.Errorf("serve: --precision %s: this CPU (%s) has no instructions for it", o.Precision, kernel.Name())
		}
		e, err := r.openIn(ctx, p, observer)
		if err != nil || !o.CheckAdapters {
			return e, err
		}
		_, err = unfit(ctx, e)
		return r.unless(e, err)
	}
	return r.openFastest(ctx, s, p, observer)
}

// unless closes the engine if there is an error.
func (r *server) unless(e *serve.Engine, err error) (*serve.Engine, error) {
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openFastest tries precisions from p on.
func (r *server) openFastest(ctx context.Context, s *stdio, p vit.Precision, observer serve.Observer) (*serve.Engine, error) {
	type attempt struct {
		p     vit.Precision
		fails map[string]error
	}
	var tried []attempt
	for {
		later := &heldObserver{to: observer}
		e, err := r.openIn(ctx, p, later)
		if err != nil {
			return nil, err
		}
		limit, cancel := context.WithTimeout(ctx, checkTime)
		if r.options.CheckAdapters {
			limit = ctx
		}
		fails, err := unfit(limit, e)
		cancel()
		if err != nil {
			return r.unless(e, err)
		}
		tried = append(tried, attempt{p, fails})
		if len(fails) == 0 {
			later.release()
			return e, nil
		}
		if p != facade.F32 {
			for _, err := range fails {
				s.notef("%s: trying %v", oneLine(err), slowerThan(p))
				break
			}
			if err := e.Close(); err != nil {
				return nil, err
			}
			p = slowerThan(p)
			continue
		}
		// What fails in float32 fails everywhere.
		for _, a := range tried {
			if a.p != facade.F32 && maps.EqualFunc(a.fails, fails, func(error, error) bool { return true }) {
				if err := e.Close(); err != nil {
					return nil, err
				}
				return r.openIn(ctx, a.p, observer)
			}
		}
		later.release()
		return e, nil
	}
}

func slowerThan(p vit.Precision) vit.Precision {
	if p == facade.I8 && vit.Supports(facade.BF16) {
		return facade.BF16
	}
	return facade.F32
}

// unfit returns the adapters that do not pass their self-test, by digest. It returns those found so far when the time
// is up.
func unfit(ctx context.Context, e *serve.Engine) (map[string]error, error) {
	fails := map[string]error{}
	err := e.Registry().CheckAll(ctx, func(id serve.Identity, err error) {
		var wrong *adapterfile.SelfCheckError
		if errors.As(err, &wrong) {
			fails[id.Digest] = err
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return fails, err
}

// openIn opens the engine in one precision.
func (r *server) openIn(ctx context.Context, p vit.Precision, observer serve.Observer) (*serve.Engine, error) {
	o, known := r.options, memo.New(cacheDir())
	pool := par.New(o.Workers)
	m, err := bases.Open(o.Base, vit.Options{Workers: pool, Precision: p, Known: known})
	if err != nil {
		pool.Close()
		return nil, err
	}
	digest, err := bases.Digest(known, o.Base)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return serve.New(ctx, m, digest, serve.Config{Release: pool.Close, Base: o.Base, Adapters: o.Adapters, AnyBase: o.AnyBase, Precision: p,
		Workers: o.Workers, Batch: o.Batch, Queue: o.Queue, Budget: int64(o.AdapterMemory), State: o.StateFile, Remember: cacheDir(), Observer: observer})
}

// heldObserver keeps changes of adapters to itself until the engine that reports them is the one to be used: what an
// attempt refuses is no news.
type heldObserver struct {
	to serve.Observer

	mu       sync.Mutex
	released bool
	held     []serve.AdapterEvent
}

// release tells what was kept, and from now on everything at once.
func (h *heldObserver) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.held {
		h.to.AdapterChanged(e)
	}
	h.held, h.released = nil, true
}

// RequestDone passes on.
func (h *heldObserver) RequestDone(ctx context.Context, e serve.RequestEvent) {
	h.to.RequestDone(ctx, e)
}

// BatchDone passes on.
func (h *heldObserver) BatchDone(e serve.BatchEvent) { h.to.BatchDone(e) }

// AdapterChanged passes on, or keeps.
func (h *heldObserver) AdapterChanged(e serve.AdapterEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released {
		h.held = append(h.held, e)
		return
	}
	h.to.AdapterChanged(e)
}
