package serve

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"melo.example/melo/vit"
)

// room manages the memory of bases that can be unloaded: each is loaded when it is first held, and the least
// recently used base that is not pinned is unloaded when another one needs its memory. No base is unloaded
// while it is held. A base chosen for unloading finishes its present requests, and later ones wait until it has
// been loaded again, so that requests for one base cannot keep another one out for ever.
type room struct {
	ctx   context.Context
	spawn func(func()) bool
	open  func(ctx context.Context, b *backbone) (*stack, error)
	told  func(e BaseEvent)

	mu      sync.Mutex
	limit   int64 // bytes; 0: no limit
	bytes   int64 // bytes in memory, or reserved for loading
	fixed   int64 // bytes of bases that are not in the list and stay in memory
	clock   int64
	changed chan struct{} // closed and replaced when memory may be available
	list    []*backbone
	line    []*backbone // bases waiting for memory, first come first served
}

// baseFlight is a base being loaded, and the number of requests that wait for it.
type baseFlight struct {
	done    chan struct{}
	waiters int // guarded by the room until done is closed
	err     error
}

// BaseRoomError reports that a base does not fit in the memory for bases.
type BaseRoomError struct {
	Base          string
	Bytes, Budget int64
	Pinned        int64 // taken by pinned bases
}

// Error says how much memory is needed, and how much there is.
func (e *BaseRoomError) Error() string {
	if e.Pinned > 0 {
		return fmt.Sprintf("takes about %d bytes of memory, and pinned bases take %d of the budget for bases, which is %d", e.Bytes, e.Pinned, e.Budget)
	}
	return fmt.Sprintf("takes about %d bytes of memory, the budget for bases is %d", e.Bytes, e.Budget)
}

// hold acquires a base, loading it if necessary. The caller must release it. The error names the base.
func (b *backbone) hold(ctx context.Context) error {
	if b == nil || b.room == nil {
		return nil
	}
	k := b.room
	k.mu.Lock()
	if b.stack != nil && !b.leaving {
		b.take()
		k.mu.Unlock()
		return nil
	}
	if err := b.notNow(); err != nil {
		k.mu.Unlock()
		return err
	}
	f := b.flight
	if f == nil {
		if b.parent != nil && !slices.Contains(k.list, b) {
			k.list = append(k.list, b)
		}
		f = &baseFlight{done: make(chan struct{})}
		if !k.spawn(func() { k.load(b, f) }) {
			k.mu.Unlock()
			return ErrDraining
		}
		b.flight = f
	}
	f.waiters++
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-f.done: // both happened: it is already held for this request
		if f.err == nil {
			b.letGo()
		}
	default:
		f.waiters--
	}
	return ctx.Err()
}

// notNow returns why a base must not be loaded now, or nil. The room must be locked.
func (b *backbone) notNow() error {
	switch {
	case b.gone && b.parent != nil:
		return errChanged
	case b.gone:
		return fmt.Errorf("base %s is served no more", b.name)
	case b.refused != nil && time.Now().Before(b.until):
		return b.refused
	}
	return nil
}

// take counts a holder. The room must be locked.
func (b *backbone) take() {
	b.room.clock++
	b.refs, b.used = b.refs+1, b.room.clock
}

// again acquires a base that is already held.
func (b *backbone) again() {
	if b == nil || b.room == nil {
		return
	}
	b.room.mu.Lock()
	b.take()
	b.room.mu.Unlock()
}

// release releases a base.
func (b *backbone) release() {
	if b == nil || b.room == nil {
		return
	}
	b.room.mu.Lock()
	b.letGo()
	b.room.mu.Unlock()
}

// letGo is release for a locked room.
func (b *backbone) letGo() {
	b.refs--
	if b.refs > 0 {
		return
	}
	if b.leaving {
		b.room.drop(b)
		return
	}
	b.room.tell()
}

// load does the work of a flight.
func (k *room) load(b *backbone, f *baseFlight) {
	start := time.Now()
	var s *stack
	err := k.reserve(b)
	if err == nil {
		debug.FreeOSMemory() // an unloaded base leaves much memory that is free but not returned
		if s, err = k.open(k.ctx, b); err != nil {
			k.mu.Lock()
			k.bytes -= b.bytes
			k.mu.Unlock()
		}
	}
	if err != nil {
		err = b.failed(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b.flight, f.err = nil, err
	switch {
	case err != nil:
		b.refused, b.until = err, time.Now().Add(retryAfter)
		if k.ctx.Err() == nil {
			k.told(BaseEvent{Change: Refused, Base: b.name, Digest: b.digest, Adapter: b.adapter(), Err: err})
		}
		k.forget(b)
	default:
		b.stack, b.refs, b.refused = s, f.waiters, nil
		k.clock++
		b.used = k.clock
		b.loads++
		k.told(BaseEvent{Change: Loaded, Base: b.name, Digest: b.digest, Adapter: b.adapter(), Bytes: b.bytes, Duration: time.Since(start)})
		if b.gone {
			k.leave(b)
		}
	}
	close(f.done)
	k.tell()
}

// reserve books the memory of a base, once enough others have been unloaded.
func (k *room) reserve(b *backbone) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.line = append(k.line, b)
	defer func() {
		k.line = slices.DeleteFunc(k.line, func(x *backbone) bool { return x == b })
		k.tell()
	}()
	for {
		if err := k.never(b); err != nil {
			return err
		}
		if k.line[0] == b && b.stack == nil { // otherwise it is still being unloaded
			k.makeRoom(b.bytes)
			if k.fits(b) {
				k.bytes += b.bytes
				return nil
			}
		}
		wait := k.changed
		k.mu.Unlock()
		select {
		case <-wait:
		case <-k.ctx.Done():
		}
		k.mu.Lock()
		if err := k.ctx.Err(); err != nil {
			return err
		}
	}
}

func (k *room) fits(b *backbone) bool { return k.limit == 0 || k.bytes+b.bytes <= k.limit }

// never returns an error if a base cannot fit, whichever others are unloaded. k.mu must be held.
func (k *room) never(b *backbone) error {
	if k.limit == 0 {
		return nil
	}
	pinned := k.fixed
	for _, x := range k.list {
		if x != b && x.pinned && x.stack != nil {
			pinned += x.bytes
		}
	}
	if pinned+b.bytes <= k.limit {
		return nil
	}
	e := &BaseRoomError{Base: b.name, Bytes: b.bytes, Budget: k.limit}
	if b.bytes <= k.limit {
		e.Pinned = pinned
	}
	return e
}

// makeRoom selects the least recently used bases for unloading, idle ones first, until need bytes are or will
// be free. k.mu must be held.
func (k *room) makeRoom(need int64) {
	if k.limit == 0 {
		return
	}
	free := k.limit - k.bytes
	for _, x := range k.list {
		if x.leaving {
			free += x.bytes
		}
	}
	for free < need {
		var oldest *backbone
		for _, x := range k.list {
			if x.stack == nil || x.pinned || x.leaving {
				continue
			}
			if oldest == nil || (x.refs == 0) != (oldest.refs == 0) && x.refs == 0 || (x.refs == 0) == (oldest.refs == 0) && x.used < oldest.used {
				oldest = x
			}
		}
		if oldest == nil {
			return
		}
		free += oldest.bytes
		k.leave(oldest)
	}
}

// leave unloads a base, now or when it is no longer held. k.mu must be held.
func (k *room) leave(b *backbone) {
	b.leaving = true
	if b.refs == 0 {
		k.drop(b)
	}
}

// drop unloads a base that is not held. k.mu must be held.
func (k *room) drop(b *backbone) {
	err := vit.Release(b.stack.model)
	b.stack, b.leaving = nil, false
	k.bytes -= b.bytes
	b.evicted++
	k.forget(b)
	k.told(BaseEvent{Change: Evicted, Base: b.name, Digest: b.digest, Adapter: b.adapter(), Bytes: b.bytes, Err: err})
	k.tell()
}

// tell wakes those who wait for memory. k.mu must be held.
func (k *room) tell() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// pin sets whether a base stays in memory.
func (k *room) pin(b *backbone, pinned bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.pinned = pinned
	if pinned {
		b.leaving = false
	}
	k.tell()
}

// add starts serving a base.
func (k *room) add(b *backbone) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.room = k
	k.list = append(k.list, b)
}

func (k *room) remove(b *backbone) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.gone, b.pinned = true, false
	if b.stack != nil && !b.leaving {
		k.leave(b)
	}
	k.forget(b)
}

// forget removes a base from the list if it is no longer served, or belongs to an adapter, and is not in
// memory. k.mu must be held.
func (k *room) forget(b *backbone) {
	if i := slices.Index(k.list, b); i >= 0 && (b.gone || b.parent != nil) && b.stack == nil && b.flight == nil {
		k.list = slices.Delete(slices.Clone(k.list), i, i+1)
	}
}

// close unloads all bases; none may be held.
func (k *room) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.list {
		if b.stack != nil {
			_ = vit.Release(b.stack.model)
			b.stack = nil
		}
	}
}
