package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"time"

	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// checkTime limits the search for a precision that suits every adapter. Adapters that it did not reach are
// checked on first use, and refused if the precision does not suit them.
const checkTime = 20 * time.Second

// Choice says how the precision of an engine is chosen.
type Choice struct {
	// Fastest selects the fastest precision, from Config.Precision on, in which all adapters pass their
	// self-test that pass it in a slower one. Otherwise Config.Precision is used.
	Fastest bool
	// CheckAll runs the self-test of every adapter before the engine is returned, however long that takes.
	// Otherwise the search for the fastest precision is limited in time, and adapters that it did not reach are
	// tested on first use.
	CheckAll bool
	// Note is called with the reason why a precision is not used; may be nil.
	Note func(reason string)
}

// OpenChecked is [Open] with a precision that the self-tests of the adapters confirm.
func OpenChecked(ctx context.Context, c Config, how Choice) (*Engine, error) {
	if len(c.Bases) > 0 && (how.Fastest || how.CheckAll) {
		p, err := ChoosePrecisions(ctx, c, how)
		if err != nil {
			return nil, err
		}
		c.Precisions = p
		e, err := Open(ctx, c)
		if err != nil || !how.CheckAll {
			return e, err
		}
		_, err = unfit(ctx, e)
		return unless(e, err)
	}
	if how.Fastest {
		return openFastest(ctx, c, how)
	}
	e, err := Open(ctx, c)
	if err != nil || !how.CheckAll {
		return e, err
	}
	_, err = unfit(ctx, e)
	return unless(e, err)
}

// ChoosePrecisions chooses a precision for each of several bases, as OpenChecked does for one, using the
// adapters that belong to it. Bases are opened and closed one after the other. Bases in c.Precisions keep
// theirs.
func ChoosePrecisions(ctx context.Context, c Config, how Choice) (map[string]vit.Precision, error) {
	chosen := maps.Clone(c.Precisions)
	if chosen == nil {
		chosen = map[string]vit.Precision{}
	}
	alone := c
	alone.Bases, alone.Pinned, alone.Precisions, alone.Observer, alone.Release = nil, nil, nil, nil, nil
	for _, path := range append([]string{c.Base}, c.Bases...) {
		if _, ok := chosen[path]; ok {
			continue
		}
		alone.Base = path
		e, err := OpenChecked(ctx, alone, how)
		if err != nil {
			return nil, err
		}
		chosen[path] = e.base().model.Precision
		model := e.base().model
		if err := e.Close(); err != nil {
			return nil, err
		}
		if err := vit.Release(model); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// unless closes the engine if there is an error.
func unless(e *Engine, err error) (*Engine, error) {
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openFastest tries precisions starting with that of c.
func openFastest(ctx context.Context, c Config, how Choice) (*Engine, error) {
	p, observer := c.Precision, c.Observer
	if observer == nil {
		observer = nobody{}
	}
	openIn := func(p vit.Precision, observer Observer) (*Engine, error) {
		c.Precision, c.Observer = p, observer
		return Open(ctx, c)
	}
	type attempt struct {
		p     vit.Precision
		fails map[string]error
	}
	var tried []attempt
	for {
		later := &heldObserver{to: observer}
		e, err := openIn(p, later)
		if err != nil {
			return nil, err
		}
		limit, cancel := context.WithTimeout(ctx, checkTime)
		if how.CheckAll {
			limit = ctx
		}
		fails, err := unfit(limit, e)
		cancel()
		if err != nil {
			return unless(e, err)
		}
		tried = append(tried, attempt{p, fails})
		if len(fails) == 0 {
			later.release()
			return e, nil
		}
		if p != vit.F32 {
			for _, err := range fails {
				if how.Note != nil {
					how.Note(fmt.Sprintf("%s: trying %v", text.OneLine(err), slowerThan(p)))
				}
				break
			}
			model := e.base().model
			if err := errors.Join(e.Close(), vit.Release(model)); err != nil {
				return nil, err
			}
			runtime.GC() // so that the base is not in memory twice
			p = slowerThan(p)
			continue
		}
		// What fails in float32 fails everywhere.
		for _, a := range tried {
			if a.p != vit.F32 && maps.EqualFunc(a.fails, fails, func(error, error) bool { return true }) {
				if err := e.Close(); err != nil {
					return nil, err
				}
				return openIn(a.p, observer)
			}
		}
		later.release()
		return e, nil
	}
}

func slowerThan(p vit.Precision) vit.Precision {
	if p == vit.I8 && vit.Supports(vit.BF16) {
		return vit.BF16
	}
	return vit.F32
}

// unfit returns the adapters that fail their self-test, by digest. When time is up it returns those found so
// far.
func unfit(ctx context.Context, e *Engine) (map[string]error, error) {
	fails := map[string]error{}
	err := e.Registry().CheckAll(ctx, func(id Identity, err error) {
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

// heldObserver withholds adapter events until the engine that reports them is chosen, because refusals during
// an attempt are irrelevant.
type heldObserver struct {
	to Observer

	mu       sync.Mutex
	released bool
	held     []AdapterEvent
}

// release forwards the withheld events, and all later ones at once.
func (h *heldObserver) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.held {
		h.to.AdapterChanged(e)
	}
	h.held, h.released = nil, true
}

// RequestDone forwards the event.
func (h *heldObserver) RequestDone(ctx context.Context, e RequestEvent) {
	h.to.RequestDone(ctx, e)
}

// BatchDone forwards the event.
func (h *heldObserver) BatchDone(e BatchEvent) { h.to.BatchDone(e) }

// AdapterChanged forwards or withholds the event.
func (h *heldObserver) AdapterChanged(e AdapterEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released {
		h.held = append(h.held, e)
		return
	}
	h.to.AdapterChanged(e)
}
