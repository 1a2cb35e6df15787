package serve

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// cache decides which adapters are resident: all, or the most recently used ones that fit the budget. An
// adapter counts until the last request releases it, so that the budget is never exceeded.
type cache struct {
	clock   atomic.Int64 // counts uses
	waiters atomic.Int32 // loads that wait for memory

	mu        sync.Mutex
	limit     int64 // bytes; 0: no limit
	bytes     int64 // bytes of adapters that are resident, held, or reserved for loading
	residents map[*content]*handle
	changed   chan struct{} // closed when memory may be available
	evicted   func(*content)
}

func newCache(limit int64, evicted func(*content)) *cache {
	return &cache{limit: limit, residents: map[*content]*handle{}, changed: make(chan struct{}), evicted: evicted}
}

// reserve makes room for n bytes. It evicts the least recently used adapters that no request holds, and waits
// if all are held.
func (k *cache) reserve(ctx context.Context, n int64) error {
	if k.limit > 0 && n > k.limit {
		return fmt.Errorf("takes %d bytes of memory, the budget is %d", n, k.limit)
	}
	k.waiters.Add(1) // before checking, so that later releases notify us
	defer k.waiters.Add(-1)
	for {
		k.mu.Lock()
		victims, ok := k.makeRoom(n)
		wait := k.changed
		if !ok && k.allPinned(n) {
			k.mu.Unlock()
			return fmt.Errorf("takes %d bytes of memory, but the pinned adapters leave less of the budget of %d", n, k.limit)
		}
		k.mu.Unlock()
		for _, c := range victims {
			k.evicted(c)
		}
		if ok {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeRoom evicts adapters until n bytes fit, and books them. k.mu must be held.
func (k *cache) makeRoom(n int64) (victims []*content, ok bool) {
	for k.limit > 0 && k.bytes+n > k.limit {
		c := k.oldest()
		if c == nil {
			return victims, false
		}
		if k.drop(c) {
			victims = append(victims, c)
		}
	}
	k.bytes += n
	return victims, true
}

// oldest returns the least recently used resident adapter that is neither held nor pinned.
func (k *cache) oldest() (oldest *content) {
	for c, h := range k.residents {
		if !c.pinned && h.refs.Load() == 1 && (oldest == nil || c.used.Load() < oldest.used.Load()) {
			oldest = c
		}
	}
	return oldest
}

// drop ends the residency of an idle adapter, unless a request has just acquired it. k.mu must be held.
func (k *cache) drop(c *content) bool {
	h := k.residents[c]
	if !h.refs.CompareAndSwap(1, 0) {
		return false
	}
	c.live.CompareAndSwap(h, nil)
	delete(k.residents, c)
	k.bytes -= c.bytes
	return true
}

// allPinned reports whether n bytes would not fit even if all held adapters were released.
func (k *cache) allPinned(n int64) bool {
	var pinned int64
	for c := range k.residents {
		if c.pinned {
			pinned += c.bytes
		}
	}
	return pinned+n > k.limit
}

// settle makes a loaded adapter, for which memory was reserved, resident. It is held by the given number of
// requests.
func (k *cache) settle(c *content, h *handle, holders int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.retired { // its file is gone: serve only the requests that are waiting
		h.refs.Store(int64(holders))
		if holders == 0 {
			k.bytes -= c.bytes
			k.tell()
		}
		return
	}
	h.refs.Store(int64(holders) + 1)
	c.used.Store(k.clock.Add(1))
	k.residents[c] = h
	c.live.Store(h)
}

// retire ends the residency of a content to which no name refers any more. Requests that hold it finish.
func (k *cache) retire(c *content) {
	k.mu.Lock()
	c.retired = true
	h := k.forget(c)
	k.mu.Unlock()
	if h != nil {
		h.drop()
	}
}

// unload ends the residency of a content that may be loaded again.
func (k *cache) unload(c *content) (was bool) {
	k.mu.Lock()
	h := k.forget(c)
	k.mu.Unlock()
	if h != nil {
		h.drop()
	}
	return h != nil
}

// forget removes c from the residents. k.mu must be held. The caller must release the handle.
func (k *cache) forget(c *content) *handle {
	h := k.residents[c]
	delete(k.residents, c)
	c.live.Store(nil)
	return h
}

// freed returns n bytes to the budget.
func (k *cache) freed(n int64) {
	k.mu.Lock()
	k.bytes -= n
	k.tell()
	k.mu.Unlock()
}

// idle notifies waiting loads that an adapter is no longer held.
func (k *cache) idle() {
	if k.waiters.Load() > 0 {
		k.mu.Lock()
		k.tell()
		k.mu.Unlock()
	}
}

// tell wakes waiting loads. k.mu must be held.
func (k *cache) tell() {
	if k.waiters.Load() > 0 {
		close(k.changed)
		k.changed = make(chan struct{})
	}
}

// pin sets whether a content stays resident, and returns the previous setting.
func (k *cache) pin(c *content, pinned bool) (was bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, c.pinned = c.pinned, pinned
	if was && !pinned {
		k.tell()
	}
	return was
}

// usage returns the number of resident adapters and the booked bytes.
func (k *cache) usage() (residents int, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.residents), k.bytes
}
