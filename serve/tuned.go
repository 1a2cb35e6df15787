package serve

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// An adapter that changes the weights of its base (method full, and PEFT adapters that change more than the
// linear maps of blocks), or that has another pooling or side of the input, has its own network: a backbone that is loaded and unloaded like other bases, and
// belongs to its content.

// tunedFor gives a content its own backbone, derived from its base b.
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

// assume makes m, a form of the base, the description of an adapter's network.
func (b *backbone) assume(m *vit.Model) {
	if m.Image != b.model.Image { // images and times are others
		b.inputs = newInputPool(m.Channels*m.Image*m.Image, runtime.GOMAXPROCS(0))
		b.curve = newCurve(b.curve.max, b.curve.fixed)
	}
	b.model = m
}

// formOf returns the base's description with the pooling and the side of the input of an adapter: that of the base
// itself if the adapter has no other.
func (b *backbone) formOf(f *adapterfile.File) (*vit.Model, error) {
	p, side := b.model.Pooling, b.model.Image
	if f.Meta.Pool != "" {
		var err error
		if p, err = arch.ParsePooling(f.Meta.Pool); err != nil {
			return nil, fmt.Errorf("serve: %s: %w", f.Path, err)
		}
	}
	if d := f.Meta.Base.Digest; f.Meta.Base.Image != 0 && (d == "" || d == b.digest) {
		side = f.Meta.Base.Image
	}
	if p == b.model.Pooling && side == b.model.Image {
		return b.model, nil
	}
	m := *b.model
	if p != m.Pooling {
		m.Pooling, m.Classes, m.Head, m.HeadDist, m.Labels = p, 0, nil, nil, nil
	}
	m.Backend, m.Image, m.Recipe.Size = nil, side, side
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("serve: %s: %w", f.Path, err)
	}
	return &m, nil
}

// root returns the base that users know: for an adapter's network, the base from which it was made.
func (b *backbone) root() *backbone {
	if b.parent != nil {
		return b.parent
	}
	return b
}

// own returns a content's own backbone, or nil if it uses that of its base.
func (c *content) own() *backbone {
	if c.base.parent == nil {
		return nil
	}
	return c.base
}

// openTuned makes the network of an adapter: from the float32 weights of its base if the adapter changes these,
// else that of the base with another pooling or side.
func (e *Engine) openTuned(b *backbone) (s *stack, err error) {
	full := b.of.card.Method == lora.FullTuning
	p := b.model.Precision
	if full {
		p = vit.F32
	}
	m, err := e.openAgain(b.parent, p, b.model.Image)
	if err != nil {
		return nil, err
	}
	defer func() {
		if full || err != nil { // else it is released with what is made of it
			err = errors.Join(err, vit.Release(m))
		}
	}()
	f, err := b.source(e.registry.reader, m)
	own := m
	if err == nil && f.Meta.Pool != "" {
		own, err = vit.Pooled(m, f.Meta.Pool)
	}
	if err == nil && full {
		own, err = f.Tuned(own, vit.Options{Workers: e.workersOf(b.parent), Precision: b.model.Precision})
	}
	if err != nil {
		return nil, err
	}
	s = b.newStack(own)
	f.Extra = nil
	s.adapter = f
	debug.FreeOSMemory() // two copies of the network in other forms may have become garbage
	return s, nil
}

// openAgain opens a base once more, for images of a side. Its packed weights are mapped from the cache, if there is one, so that their
// memory is shared.
func (e *Engine) openAgain(b *backbone, p vit.Precision, side int) (*vit.Model, error) {
	m, weights, err := bases.OpenWithWeights(b.path, vit.Options{Image: side, Workers: e.workersOf(b), Precision: p, Known: e.known}, true)
	if err != nil {
		return nil, err
	}
	digest, err := weights.Digest()
	if err := errors.Join(err, weights.Close()); err != nil {
		return nil, errors.Join(err, vit.Release(m))
	}
	if digest != b.digest {
		return nil, errors.Join(&changedBaseError{b.digest, digest}, vit.Release(m))
	}
	return m, nil
}

// workersOf returns the workers of a base.
func (e *Engine) workersOf(b *backbone) compute.Workers {
	if e.pool != nil {
		return e.pool
	}
	return b.stack.model
}

// leaveOwn unloads a content's own network once its requests have finished, for good or until it is requested
// again.
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

// pinOwn sets whether a content's own network stays in memory.
func (c *content) pinOwn(pinned bool) {
	if b := c.own(); b != nil {
		b.room.pin(b, pinned)
	}
}

// ownStatus returns the memory of a content's own network when loaded, its present memory, and why it could not
// be loaded.
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

// newRoom returns the memory manager for bases that can be unloaded.
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

// bookFixed books a base that always stays in memory.
func (k *room) bookFixed(b *backbone) {
	k.fixed += b.footprint
	k.bytes += b.footprint
}

// adapter returns the name of the adapter whose network it is; "" for a base.
func (b *backbone) adapter() string {
	if b.of == nil || b.of.path.Load() == nil {
		return ""
	}
	name, _, _ := fileName(*b.of.path.Load())
	return name
}

// failed wraps an error with the name of what could not be loaded.
func (b *backbone) failed(err error) error {
	if room := (*BaseRoomError)(nil); b.parent != nil && errors.As(err, &room) {
		return fmt.Errorf("the network of its own %w", err)
	}
	if changed := (*changedBaseError)(nil); b.parent == nil || errors.As(err, &changed) {
		return fmt.Errorf("base %s %w", b.name, err)
	}
	return err
}
