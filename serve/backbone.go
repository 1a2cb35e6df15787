package serve

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"melo.example/melo/compute"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// backbone is a base: its description, which is always in memory, and its network, which may not be.
type backbone struct {
	name   string // display name
	path   string // path as opened
	digest string
	model  *vit.Model // description; without a Backend if the network can be unloaded
	inputs *inputPool
	curve  *curve
	room   *room // nil: the network is always in memory
	bytes  int64 // memory when loaded; 0: always loaded

	footprint int64     // memory of a network of this shape
	tuning    *room     // memory for the networks that adapters make of this base
	parent    *backbone // for the network of an adapter: its base; see tuned.go
	of        *content  // for the network of an adapter: its content
	source    func(r *reader, m *vit.Model) (*adapterfile.File, error)

	// stack may be read by whoever holds the base. The fields below are guarded by room.
	stack   *stack
	pinned  bool
	refs    int   // requests that hold it
	used    int64 // the room's clock at last use
	leaving bool  // it will be unloaded once it is not held; new requests wait until it has been loaded again
	gone    bool  // it is no longer served
	flight  *baseFlight
	refused error // why it could not be loaded
	until   time.Time
	loads   uint64
	evicted uint64
}

// called returns the name of the base if several are served, else "".
func (b *backbone) called() string {
	if b == nil || b.root().room == nil {
		return ""
	}
	return b.name
}

// stack is the network of a base, and the buffers for its passes.
type stack struct {
	model    *vit.Model
	engine   compute.Engine
	early    compute.Early     // nil if the engine does not implement it
	branches compute.Branching // nil if the engine does not implement it
	pixels   []float32         // of a batch [images, 3, side, side]
	values   int               // values per input
	adapter  *adapterfile.File // the adapter whose network it is, without its weights; nil for a base
}

func (e *Engine) newBackbone(m *vit.Model, name, path, digest string) *backbone {
	b := &backbone{name: name, path: path, digest: digest, model: m, tuning: e.tuning}
	b.curve = newCurve(cmp.Or(e.config.Batch, defaultBatch), e.config.Batch > 0)
	b.inputs = newInputPool(m.Channels*m.Image*m.Image, runtime.GOMAXPROCS(0))
	return b
}

// newStack allocates the buffers for passes through m.
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

// pick returns how many images to take for a batch if queued are waiting.
func (b *backbone) pick(queued int) int { return b.curve.pick(queued) }

// perImage returns the time of one more image, from the base's curve.
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
	m, err := e.openAgain(b, b.model.Precision, b.model.Image)
	if err != nil {
		return nil, err
	}
	return b.newStack(m), nil
}

// changedBaseError reports that the weights of a base have changed since it was found.
type changedBaseError struct{ want, found string }

// Error names both digests.
func (e *changedBaseError) Error() string {
	return "has changed since it was found: its weights were " + short(e.want) + ", now they are " + short(e.found) + "; reload the settings to serve it"
}
