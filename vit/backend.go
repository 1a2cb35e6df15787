package vit

import (
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// New returns a network with the given weights. read returns the values of each of its parameters.
func New(d *checkpoint.Description, read func(name string) []float32, o Options) (*Model, error) {
	if !Supports(o.Precision) {
		return nil, fmt.Errorf("vit: this CPU has no instructions for %v", o.Precision)
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	m := newModel(d, o)
	has := shapes(&m.Config)
	vector := func(names ...string) (all []float32) {
		for _, name := range names {
			if has[name] != nil {
				all = append(all, read(name)...)
			}
		}
		return all
	}
	ex := kernel.NewExec(m.workers)
	for _, p := range m.pieces() {
		switch {
		case p.vector != nil:
			*p.vector = vector(p.name)
		case p.norm != nil:
			*p.norm = norm{vector(p.name + ".weight"), vector(p.name + ".bias")}
		case has[p.of[0]+".weight"] != nil:
			var weights, biases []string
			for _, of := range p.of {
				weights, biases = append(weights, of+".weight"), append(biases, of+".bias")
			}
			w, out := vector(weights...), has[weights[0]][0]*len(p.of)
			var bias []float32
			if anyOf(has, biases) {
				for _, name := range biases {
					if has[name] == nil {
						bias = append(bias, make([]float32, out/len(p.of))...)
					}
					bias = append(bias, vector(name)...)
				}
			}
			*p.linear = linear{In: len(w) / out, Out: out, Bias: bias,
				W: kernel.PackAs(ex, elem(precisionOf(p.block, o.Precision)), w, out, len(w)/out)}
		}
	}
	for name, h := range map[string]**Head{"head": &m.Head, "head_dist": &m.HeadDist} {
		if shape := has[name+".weight"]; shape != nil {
			*h = &Head{Classes: shape[0], Features: shape[1], W: vector(name + ".weight"), Bias: vector(name + ".bias")}
		}
	}
	return m.self(), nil
}

// anyOf reports whether the network has any of the parameters.
func anyOf(has map[string][]int, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return has[name] != nil })
}

// precisionOf returns the precision of a linear map, in a block or outside the blocks, in a base of precision
// p.
func precisionOf(inBlock bool, p Precision) Precision {
	if inBlock {
		return p
	}
	return edgePrecision(p)
}

// Workers returns the number of workers.
func (m *model) Workers() int { return m.workers.Workers() }

// Run runs the n parts of a task on the model's workers.
func (m *model) Run(n int, t interface{ Do(worker, i int) }) { m.workers.Run(n, t) }

// Merged returns the network whose maps at the sites of deltas are W + Scale*B*A, packed anew. Everything else
// is shared with m, which does not change. So going back to m undoes the merge, bit for bit.
func (m *model) Merged(deltas []compute.Delta) (*Model, error) {
	if err := checkDeltas(&m.Config, deltas); err != nil {
		return nil, err
	}
	c, ex := *m, kernel.NewExec(m.workers)
	c.Blocks = slices.Clone(m.Blocks)
	for b := range m.Depth + 1 {
		blk, block := &c.AttnPool, arch.PoolBlock
		if b < m.Depth {
			blk, block = &c.Blocks[b], b
		}
		at := func(k Kind) *compute.Delta { return compute.DeltaAt(deltas, siteAt(block, k)) }
		blk.Q.merge(ex, at(Q))
		blk.KV.merge(ex, at(K), at(V))
		blk.Proj.merge(ex, at(Proj))
		blk.FC1.merge(ex, at(FC1))
		blk.FC2.merge(ex, at(FC2))
	}
	return c.self(), nil
}

// merge repacks l after adding deltas to its consecutive parts of equal height. A nil delta adds nothing.
func (l *linear) merge(ex *kernel.Exec, parts ...*compute.Delta) {
	if !slices.ContainsFunc(parts, func(d *compute.Delta) bool { return d != nil }) {
		return
	}
	w := make([]float32, l.In*l.Out)
	l.W.Unpack(w)
	out := l.Out / len(parts)
	for i, d := range parts {
		if d == nil {
			continue
		}
		a, b := make([]float32, d.A.Len()), make([]float32, d.B.Len())
		sub := kernel.View(w[i*out*l.In:], out, l.In)
		ex.GemmMat(sub, matrix(&d.B, b, out, d.Rank), matrix(&d.A, a, d.Rank, l.In), false, d.Scale, true)
	}
	l.W = kernel.PackAs(ex, l.W.Elem(), w, l.Out, l.In)
}

// checkDeltas returns an error that names the first delta that does not fit a network, or is out of order.
func checkDeltas(c *Config, deltas []compute.Delta) error {
	for i, d := range deltas {
		if i > 0 && compute.CompareSites(deltas[i-1].Site, d.Site) >= 0 {
			return fmt.Errorf("vit: %v: sites are not in order or stand twice", d.Site)
		}
		if !c.HasSite(d.Site) {
			return fmt.Errorf("vit: %v: the base has no such map, but %d blocks", d.Site, c.Depth)
		}
		in, out := c.SiteDims(d.Site)
		if d.Rank <= 0 || d.A.Len() != d.Rank*in || d.B.Len() != out*d.Rank {
			return fmt.Errorf("vit: %v: rank %d with %d numbers in A and %d in B, expected A [r, %d] and B [%d, r]",
				d.Site, d.Rank, d.A.Len(), d.B.Len(), in, out)
		}
	}
	return nil
}

// Pooled returns the same network with another pooling and without a head.
func (m *model) Pooled(p arch.Pooling) (*Model, error) {
	c := *m
	c.Pooling = p
	if c.Features() != m.Features() || p != m.Pooling {
		c.Classes, c.Head, c.HeadDist, c.Labels = 0, nil, nil, nil
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c.self(), nil
}

// features is an engine for inference: it keeps nothing for a backward pass.
type features struct {
	*engine
	set       set
	branching branching
}

// NewEngine returns an engine for batches of up to maxBatch images.
func (m *model) NewEngine(maxBatch int) compute.Engine {
	return &features{engine: newEngine(m, m.workers, maxBatch, m.Depth)}
}

// Features implements compute.Engine.
func (f *features) Features(images []float32, n int, segments ...compute.Segment) []float32 {
	if len(segments) == 0 || len(segments) == 1 && (segments[0].Adapter == nil || !segments[0].Adapter.Adapts()) {
		return f.Forward(images, n, nil).Data
	}
	f.set.assign(segments...)
	return f.Forward(images, n, &f.set).Data
}

// SetMark implements compute.Profiled.
func (e *engine) SetMark(mark func(block int, p compute.Part)) { e.Mark = mark }

// trainer implements compute.Trainer: an engine and the parameters that are trained.
type trainer struct {
	engine *engine
	deltas *trainable // nil: none
	full   *full      // nil: the network is frozen
	params []compute.Param
}

// NewTrainer returns a trainer for batches of up to maxBatch images.
func (m *model) NewTrainer(maxBatch int, what compute.Training) (compute.Trainer, error) {
	if maxBatch < 1 {
		return nil, fmt.Errorf("vit: batch of %d images", maxBatch)
	}
	t := &trainer{}
	from := m.Depth
	switch {
	case what.All && len(what.Deltas) > 0:
		return nil, errors.New("vit: every weight is trained, and low-rank deltas beside them")
	case what.All && what.Precision == I8:
		return nil, fmt.Errorf("vit: weights cannot be trained in %v", what.Precision)
	case what.All:
		from = 0
		t.full = newFullAs(kernel.NewExec(m.workers), m, what.Precision)
		m = t.full.Model
		t.params = t.full.Params()
	case len(what.Deltas) > 0:
		if err := checkDeltas(&m.Config, what.Deltas); err != nil {
			return nil, err
		}
		from = min(what.Deltas[0].Site.Block, m.Depth)
		t.deltas = newTrainable(what.Deltas, what.Dropout, what.Seed)
		t.params = t.deltas.params()
	}
	t.engine = newEngine(m, m.workers, maxBatch, from)
	if t.full != nil {
		t.engine.EnableFull()
	}
	if t.deltas != nil {
		t.engine.LimitPass(maxBatch) // attention pooling keeps state for a whole batch
	}
	return t, nil
}

// adapter returns the deltas as an adapter of the engine.
func (t *trainer) adapter(training bool) adapter {
	if t.deltas == nil {
		return nil
	}
	t.deltas.dropout.training = training
	return t.deltas
}

func (t *trainer) Model() *Model           { return &t.engine.m.Model }
func (t *trainer) Params() []compute.Param { return t.params }
func (t *trainer) MaxBatch() int           { return t.engine.maxBatch }

func (t *trainer) Exact() *Model {
	switch {
	case t.engine.m.Precision == F32:
		return t.Model()
	case t.full != nil:
		return t.full.exact(t.engine.ex).self()
	}
	return nil
}

func (t *trainer) SetStep(step, image int) {
	if t.deltas != nil {
		t.deltas.dropout.step, t.deltas.dropout.image = uint64(step), uint64(image)
	}
}

func (t *trainer) Forward(images []float32, n int, training bool) []float32 {
	return t.engine.Forward(images, n, t.adapter(training)).Data
}

func (t *trainer) PrefixSize() int {
	if t.engine.from == 0 {
		return 0
	}
	return t.engine.PrefixSize()
}

func (t *trainer) Prefix(dst, images []float32, n int) { t.engine.Prefix(dst, images, n) }

func (t *trainer) ForwardFrom(prefix []float32, n int, training bool) []float32 {
	return t.engine.ForwardFrom(prefix, n, t.adapter(training)).Data
}

func (t *trainer) Backward(dfeatures []float32) {
	c := &t.engine.m.Config
	d := kernel.View(dfeatures, len(dfeatures)/c.Features(), c.Features())
	switch {
	case t.full != nil:
		t.engine.Backward(d, nil, &t.full.Grads)
	case t.deltas != nil:
		t.engine.Backward(d, t.deltas, nil)
	}
}

func (t *trainer) Updated() {
	if t.full != nil {
		t.full.Updated(t.engine.ex)
	}
}

// SetMark implements compute.Profiled.
func (t *trainer) SetMark(mark func(block int, p compute.Part)) { t.engine.Mark = mark }

// Pooled returns the same network with another pooling, given by name: "class", "mean" or "class+mean".
func Pooled(m *Model, name string) (*Model, error) {
	p, err := arch.ParsePooling(name)
	if err != nil {
		return nil, err
	}
	if p != arch.PoolClass && p != arch.PoolMean && p != arch.PoolClassMean && p != m.Pooling {
		return nil, fmt.Errorf("vit: %s: pooling %q cannot be chosen, expected class, mean or class+mean", m.Path, name)
	}
	x, err := m.Pooled(p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	return x, nil
}
