package serve

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// backbone is a base that adapters sit beside: what it is, for ever, and its network while that is in memory.
type backbone struct {
	name   string // that people call it by
	path   string // as it is opened
	digest string
	model  *vit.Model // what it is; of one that comes and goes without a Backend
	inputs *inputPool
	curve  *curve
	room   *room // nil: the network is always in memory
	bytes  int64 // when it is in memory; 0: it always is

	footprint int64     // of a network of its shape
	tuning    *room     // of the networks that adapters make of it
	parent    *backbone // of such a network: the base; see tuned.go
	of        *content  // whose network it is
	source    func(r *reader, m *vit.Model) (*adapterfile.File, error)

	// stack is read by who holds the base. What follows is guarded by room.
	stack   *stack
	pinned  bool
	refs    int   // requests that hold it
	used    int64 // the room's clock at the last use
	leaving bool  // it leaves as soon as nobody holds it; who comes now waits until it is there again
	gone    bool  // it is served no more
	flight  *baseFlight
	refused error // why it could not be loaded
	until   time.Time
	loads   uint64
	evicted uint64
}

// called is the name of one of several bases; empty of one that is alone.
func (b *backbone) called() string {
	if b == nil || b.root().room == nil {
		return ""
	}
	return b.name
}

// stack is the network of a base, and what its passes work in.
type stack struct {
	model    *vit.Model
	engine   compute.Engine
	early    compute.Early     // nil: the engine has none
	branches compute.Branching // nil: likewise
	pixels   []float32         // of a batch [images, 3, side, side]
	values   int               // numbers of an input
	adapter  *adapterfile.File // whose network it is, without its weights; nil: a base's
}

func (e *Engine) newBackbone(m *vit.Model, name, path, digest string) *backbone {
	b := &backbone{name: name, path: path, digest: digest, model: m, tuning: e.tuning}
	b.curve = newCurve(cmp.Or(e.config.Batch, defaultBatch), e.config.Batch > 0)
	b.inputs = newInputPool(m.Channels*m.Image*m.Image, runtime.GOMAXPROCS(0))
	return b
}

// newStack makes what passes through m work in.
func (b *backbone) newStack(m *vit.Model) *stack {
	s := &stack{model: m, engine: m.NewEngine(b.curve.max), values: b.inputs.values}
	s.pixels = make([]float32, b.curve.max*s.values)
	if early, ok := s.engine.(compute.Early); ok {
		s.early = early
		early.KeepEarly(compute.MiddleBlock(&m.Config))
	}
	s.branches, _ = s.engine.(compute.Branching)
	return s
}

// pick says how many images of a base to take when so many wait.
func (b *backbone) pick(queued int) int { return b.curve.pick(queued) }

// perImage is that of the base's curve.
func (b *backbone) perImage() time.Duration { return b.curve.perImage() }

func (b *backbone) perBatch() time.Duration { return b.curve.perBatch() }

func (e *Engine) curveKey(b *backbone) string {
	return curveKey(b.digest, b.model.Precision, e.workers, b.curve.max)
}

// openStack loads the network of a base.
func (e *Engine) openStack(_ context.Context, b *backbone) (*stack, error) {
	if b.parent != nil {
		return e.openTuned(b)
	}
	m, weights, err := bases.OpenWithWeights(b.path, vit.Options{Workers: e.pool, Precision: b.model.Precision, Known: e.known}, true)
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
	return b.newStack(m), nil
}

// changedBaseError says that other weights lie where a base was found.
type changedBaseError struct{ want, found string }

// Error names both.
func (e *changedBaseError) Error() string {
	return "has changed since it was found: its weights were " + short(e.want) + ", now they are " + short(e.found) + "; reload the settings to serve it"
}
