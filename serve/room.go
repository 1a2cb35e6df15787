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

// room is the memory of bases that come and go: each is loaded when it is first held, and the least recently used one that is
// not pinned leaves when another needs its room. Nobody's base leaves while it is held: one that is busy lets those finish
// that hold it, and who comes later waits for it to come back, so that no base is kept out by another's requests.
type room struct {
	ctx   context.Context
	spawn func(func()) bool
	open  func(ctx context.Context, b *backbone) (*stack, error)
	told  func(e BaseEvent)

	mu      sync.Mutex
	limit   int64 // bytes, 0: none
	bytes   int64 // in memory, or reserved for a load
	fixed   int64 // of them: of what is not in the list, and stays
	clock   int64
	changed chan struct{} // closed, and made anew, when there may be room
	list    []*backbone
	line    []*backbone // that wait for room, the first one first: no load overtakes another
}

// baseFlight is one loading of a base, and how many wait for it.
type baseFlight struct {
	done    chan struct{}
	waiters int // guarded by the room until done is closed
	err     error
}

// BaseRoomError says that a base does not fit into the memory for bases.
type BaseRoomError struct {
	Base          string
	Bytes, Budget int64
	Pinned        int64 // that pinned bases take
}

// Error says what it needs, and what there is.
func (e *BaseRoomError) Error() string {
	if e.Pinned > 0 {
		return fmt.Sprintf("takes about %d bytes of memory, and pinned bases take %d of the budget for bases, which is %d", e.Bytes, e.Pinned, e.Budget)
	}
	return fmt.Sprintf("takes about %d bytes of memory, the budget for bases is %d", e.Bytes, e.Budget)
}

// hold takes hold of a base, loading it if need be; release it. The error names the base.
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
	case <-f.done: // both: it is already held for this request
		if f.err == nil {
			b.letGo()
		}
	default:
		f.waiters--
	}
	return ctx.Err()
}

// notNow returns why a base is not to be loaded now, or nil; the room is locked.
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

// take counts a holder; the room is locked.
func (b *backbone) take() {
	b.room.clock++
	b.refs, b.used = b.refs+1, b.room.clock
}

// again takes hold of a base that is held already.
func (b *backbone) again() {
	if b == nil || b.room == nil {
		return
	}
	b.room.mu.Lock()
	b.take()
	b.room.mu.Unlock()
}

// release lets go of a base.
func (b *backbone) release() {
	if b == nil || b.room == nil {
		return
	}
	b.room.mu.Lock()
	b.letGo()
	b.room.mu.Unlock()
}

// letGo is release; the room is locked.
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
		debug.FreeOSMemory() // what a base leaves behind is large, and was counted as free
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

// reserve books the memory of a base, when those have left that must.
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
		if k.line[0] == b && b.stack == nil { // else it is still leaving
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

// never returns an error if a base will not fit whoever leaves; k.mu is held.
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

// makeRoom lets those leave that were used longest ago, idle ones first, until need bytes are free or will be; k.mu is held.
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

// leave lets a base leave, now or when nobody holds it; k.mu is held.
func (k *room) leave(b *backbone) {
	b.leaving = true
	if b.refs == 0 {
		k.drop(b)
	}
}

// drop gives up a base that nobody holds; k.mu is held.
func (k *room) drop(b *backbone) {
	err := vit.Release(b.stack.model)
	b.stack, b.leaving = nil, false
	k.bytes -= b.bytes
	b.evicted++
	k.forget(b)
	k.told(BaseEvent{Change: Evicted, Base: b.name, Digest: b.digest, Adapter: b.adapter(), Bytes: b.bytes, Err: err})
	k.tell()
}

// tell wakes who waits for room; k.mu is held.
func (k *room) tell() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// pin keeps a base in memory, or no longer.
func (k *room) pin(b *backbone, pinned bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.pinned = pinned
	if pinned {
		b.leaving = false
	}
	k.tell()
}

// add serves a base, and remove no longer: those that hold it finish.
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

// forget takes a base from the list that is gone, or a tuned one, and not in memory; k.mu is held.
func (k *room) forget(b *backbone) {
	if i := slices.Index(k.list, b); i >= 0 && (b.gone || b.parent != nil) && b.stack == nil && b.flight == nil {
		k.list = slices.Delete(slices.Clone(k.list), i, i+1)
	}
}

// close gives up all; nobody holds any.
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
