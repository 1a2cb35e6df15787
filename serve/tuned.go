package serve

import (
	"errors"
	"fmt"
	"runtime/debug"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// An adapter that changes the weights of its base (method full, and adapters of PEFT that change more than maps of blocks) has
// a network of its own: a backbone that comes and goes in the room for bases, and belongs to its content.

// tunedFor gives a content a backbone of its own, beside that of its base b.
func (b *backbone) tunedFor(c *content) *backbone {
	t := &backbone{name: b.name, path: b.path, digest: b.digest, model: b.model, inputs: b.inputs, curve: b.curve, room: b.tuning, tuning: b.tuning,
		bytes: b.footprint, footprint: b.footprint, parent: b, of: c}
	t.source = func(r *reader, m *vit.Model) (*adapterfile.File, error) {
		f, err := r.readWith(*c.path.Load(), m, b)
		if err == nil && f.Digest != c.digest {
			err = errChanged
		}
		return f, err
	}
	return t
}

// root is the base that people know: of a tuned one that which it was made of.
func (b *backbone) root() *backbone {
	if b.parent != nil {
		return b.parent
	}
	return b
}

// own is the backbone of a content alone, nil if it shares that of its base.
func (c *content) own() *backbone {
	if c.base.parent == nil {
		return nil
	}
	return c.base
}

// openTuned makes the network of a tuned adapter, of the numbers of its base in float32.
func (e *Engine) openTuned(b *backbone) (s *stack, err error) {
	m, release, err := e.exact(b.parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	f, err := b.source(e.registry.reader, m)
	if err != nil {
		return nil, err
	}
	tuned, err := f.Tuned(m, vit.Options{Workers: e.workersOf(b.parent), Precision: b.model.Precision})
	if err != nil {
		return nil, err
	}
	s = b.newStack(tuned)
	f.Extra = nil
	s.adapter = f
	debug.FreeOSMemory() // twice the network, in other forms
	return s, nil
}

// exact returns a base in float32, and how to give it back.
func (e *Engine) exact(b *backbone) (*vit.Model, func() error, error) {
	if b.room == nil && b.model.Precision == vit.F32 { // it is in memory, and stays
		return b.stack.model, func() error { return nil }, nil
	}
	m, weights, err := bases.OpenWithWeights(b.path, vit.Options{Workers: e.workersOf(b), Known: e.known}, true)
	if err != nil {
		return nil, nil, err
	}
	digest, err := weights.Digest()
	if err := errors.Join(err, weights.Close()); err != nil {
		return nil, nil, errors.Join(err, vit.Release(m))
	}
	if digest != b.digest {
		return nil, nil, errors.Join(&changedBaseError{b.digest, digest}, vit.Release(m))
	}
	return m, func() error { return vit.Release(m) }, nil
}

// workersOf are those that compute with a base.
func (e *Engine) workersOf(b *backbone) compute.Workers {
	if e.pool != nil {
		return e.pool
	}
	return b.stack.model
}

// leaveOwn frees the network of a content that nobody asks for any more, when those have finished that hold it; for good, or
// until it is asked for again.
func (c *content) leaveOwn(forGood bool) {
	b := c.own()
	if b == nil {
		return
	}
	if forGood {
		b.room.remove(b)
		return
	}
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	if b.stack != nil && !b.leaving && !b.pinned {
		b.room.leave(b)
	}
}

// pinOwn keeps the network of a content in memory, or no longer.
func (c *content) pinOwn(pinned bool) {
	if b := c.own(); b != nil {
		b.room.pin(b, pinned)
	}
}

// ownStatus is the memory of a content's own network when it is there, what it takes now, and why it could not be loaded.
func (c *content) ownStatus() (bytes, resident int64, err error) {
	b := c.own()
	if b == nil {
		return 0, 0, nil
	}
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	if b.stack != nil {
		return b.bytes, b.bytes, nil
	}
	return b.bytes, 0, b.refused
}

// newRoom makes the memory of bases that come and go.
func (e *Engine) newRoom() *room {
	return &room{limit: e.config.BaseBudget, open: e.openStack, changed: make(chan struct{}), told: func(event BaseEvent) {
		if o, ok := e.observer.(BaseObserver); ok {
			o.BaseChanged(event)
		}
	}}
}

// tuned counts the networks of adapters that are in memory.
func (k *room) tuned() (n int, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.list {
		if b.parent != nil && b.stack != nil {
			n, bytes = n+1, bytes+b.bytes
		}
	}
	return n, bytes
}

// bookFixed counts a base that is always there.
func (k *room) bookFixed(b *backbone) {
	k.fixed += b.footprint
	k.bytes += b.footprint
}

// adapter is the name of the adapter whose network it is; empty of a base.
func (b *backbone) adapter() string {
	if b.of == nil || b.of.path.Load() == nil {
		return ""
	}
	name, _, _ := fileName(*b.of.path.Load())
	return name
}

// failed says what could not be loaded.
func (b *backbone) failed(err error) error {
	if room := (*BaseRoomError)(nil); b.parent != nil && errors.As(err, &room) {
		return fmt.Errorf("the network of its own %w", err)
	}
	if changed := (*changedBaseError)(nil); b.parent == nil || errors.As(err, &changed) {
		return fmt.Errorf("base %s %w", b.name, err)
	}
	return err
}
