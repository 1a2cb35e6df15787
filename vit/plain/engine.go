package plain

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/vit/arch"
)

// New returns a network with the given weights as a compute.Model. read returns the values of each parameter
// that the description lists.
func New(c arch.Config, read func(name string) []float32) (*compute.Model, error) {
	n, err := NewNetwork(c, read)
	if err != nil {
		return nil, err
	}
	return model(n), nil
}

// NewNetwork returns a network with the given weights. See New for read.
func NewNetwork(c arch.Config, read func(name string) []float32) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Network{Config: c, params: map[string][]float64{}, grads: map[string][]float64{}}
	for _, p := range c.Params() {
		v := wide(read(p.Name))
		if len(v) != p.Len() {
			return nil, fmt.Errorf("plain: %s has %d numbers, expected %d", p.Name, len(v), p.Len())
		}
		n.params[p.Name], n.grads[p.Name] = v, make([]float64, len(v))
	}
	return n, nil
}

// Gradient returns the gradient that backward passes have accumulated for a parameter.
func (n *Network) Gradient(name string) []float64 { return n.grads[name] }

// Adapt selects the adapter for the following passes. nil removes it.
func (n *Network) Adapt(deltas []compute.Delta) {
	n.deltas = nil
	for _, d := range deltas {
		a, b := wide(d.A.Float32(make([]float32, d.A.Len()))), wide(d.B.Float32(make([]float32, d.B.Len())))
		n.deltas = append(n.deltas, delta{d, a, b, make([]float64, len(a)), make([]float64, len(b))})
	}
}

// backend implements compute.Backend for a Network.
type backend struct{ *Network }

func model(n *Network) *compute.Model {
	m := &compute.Model{Config: n.Config, Backend: backend{n}}
	for name, h := range map[string]**compute.Head{"head": &m.Head, "head_dist": &m.HeadDist} {
		if w := n.params[name+".weight"]; w != nil {
			b := n.params[name+".bias"]
			*h = &compute.Head{Classes: len(b), Features: len(w) / len(b), W: narrow(w), Bias: narrow(b)}
		}
	}
	return m
}

func (b backend) Workers() int { return 1 }

func (b backend) Run(n int, t interface{ Do(worker, i int) }) {
	for i := range n {
		t.Do(0, i)
	}
}

func (b backend) Parameter(name string) []float32 { return narrow(b.params[name]) }

// with returns a network of another description with the given parameters.
func (b backend) with(c arch.Config, params map[string][]float64) *compute.Model {
	n := &Network{Config: c, params: params, grads: map[string][]float64{}}
	for name, v := range params {
		n.grads[name] = make([]float64, len(v))
	}
	return model(n)
}

func (b backend) Merged(deltas []compute.Delta) (*compute.Model, error) {
	params := maps.Clone(b.params)
	scratch := &Network{}
	scratch.Adapt(deltas)
	for _, d := range scratch.deltas {
		if !b.Config.HasSite(d.Site) {
			return nil, fmt.Errorf("plain: no map %v", d.Site)
		}
		name := d.Site.String() + ".weight"
		w := slices.Clone(params[name])
		in := len(d.a) / d.Rank
		for o := range len(w) / in {
			for r := range d.Rank {
				addScaled(w[o*in:(o+1)*in], d.a[r*in:(r+1)*in], float64(d.Scale)*d.b[o*d.Rank+r])
			}
		}
		params[name] = w
	}
	return b.with(b.Config, params), nil
}

func (b backend) Pooled(p arch.Pooling) (*compute.Model, error) {
	c := b.Config
	if c.Pooling != p {
		c.Classes = 0
	}
	c.Pooling = p
	params := map[string][]float64{}
	for _, p := range c.Params() {
		if params[p.Name] = b.params[p.Name]; params[p.Name] == nil {
			return nil, fmt.Errorf("plain: there is no %s", p.Name)
		}
	}
	return b.with(c, params), c.Validate()
}

// engine implements compute.Engine. It computes one image after the other.
type engine struct {
	*Network
	most int
}

func (b backend) NewEngine(maxBatch int) compute.Engine { return engine{b.Network, maxBatch} }

func (e engine) MaxBatch() int { return e.most }

func (e engine) Features(images []float32, n int, segments ...compute.Segment) []float32 {
	var out []float32
	size := len(images) / n
	if len(segments) == 0 {
		segments = []compute.Segment{{Images: n}}
	}
	for _, s := range segments {
		e.Adapt(nil)
		if s.Adapter != nil {
			e.Adapt(s.Adapter.Deltas())
		}
		for range s.Images {
			f, _ := e.features(images[:size])
			images, out = images[size:], append(out, narrow(f)...)
		}
	}
	return out
}

// trainer implements compute.Trainer. back holds the backward function of each image of a batch.
type trainer struct {
	*Network
	model    *compute.Model
	most     int
	params   []compute.Param
	update   []func() // copies the float32 parameters that the optimizer updates to the network's float64 ones
	collect  []func() // copies gradients the other way
	backward []func(df []float64)
}

// NewTrainer trains A and B, or every parameter under its name in the description.
func (b backend) NewTrainer(maxBatch int, what compute.Training) (compute.Trainer, error) {
	if what.Dropout > 0 || what.All && len(what.Deltas) > 0 || what.Precision != compute.F32 {
		return nil, errors.New("plain: no dropout, no deltas beside trained weights, and float32 alone")
	}
	t := &trainer{model: b.with(b.Config, maps.Clone(b.params)), most: maxBatch}
	t.Network = t.model.Backend.(backend).Network
	train := func(name string, shape []int, data []float32, value, grad []float64) {
		p := compute.Param{Name: name, Shape: shape, Data: data, Grad: make([]float32, len(data)), Decay: len(shape) > 1, LRScale: 1}
		t.params = append(t.params, p)
		t.update = append(t.update, func() { copy(value, wide(data)) })
		t.collect = append(t.collect, func() {
			for i, g := range grad {
				p.Grad[i] += float32(g)
			}
			clear(grad)
		})
	}
	t.Adapt(what.Deltas)
	for i := range t.deltas {
		d := &t.deltas[i]
		name := d.Site.String()
		train(name+".A", []int{d.Rank, len(d.a) / d.Rank}, d.A.F32, d.a, d.da)
		train(name+".B", []int{len(d.b) / d.Rank, d.Rank}, d.B.F32, d.b, d.db)
	}
	for _, p := range b.Config.Params() {
		if what.All && p.Name != "project.weight" && !strings.HasPrefix(p.Name, "head") {
			t.trainParam(p, train)
		}
	}
	return t, nil
}

func (t *trainer) trainParam(p arch.Param, train func(string, []int, []float32, []float64, []float64)) {
	v := slices.Clone(t.Network.params[p.Name])
	t.Network.params[p.Name] = v
	train(p.Name, p.Shape, narrow(v), v, t.grads[p.Name])
}

func (t *trainer) Model() *compute.Model   { return t.model }
func (t *trainer) Exact() *compute.Model   { return t.model }
func (t *trainer) Params() []compute.Param { return t.params }
func (t *trainer) MaxBatch() int           { return t.most }
func (t *trainer) SetStep(_, _ int)        {}
func (t *trainer) PrefixSize() int         { return 0 }

func (t *trainer) Prefix(_, _ []float32, _ int) { panic("plain: there is no prefix") }

func (t *trainer) ForwardFrom(_ []float32, _ int, _ bool) []float32 {
	panic("plain: there is no prefix")
}

func (t *trainer) Forward(images []float32, n int, _ bool) []float32 {
	t.Updated()
	t.backward = t.backward[:0]
	var out []float32
	size := t.Config.Channels * t.Config.Image * t.Config.Image
	for i := range n {
		f, back := t.features(images[i*size : (i+1)*size])
		t.backward = append(t.backward, back)
		out = append(out, narrow(f)...)
	}
	return out
}

func (t *trainer) Backward(dfeatures []float32) {
	n := t.Config.Features()
	for i, back := range t.backward {
		back(wide(dfeatures[i*n : (i+1)*n]))
	}
	for _, collect := range t.collect {
		collect()
	}
}

func (t *trainer) Updated() {
	for _, update := range t.update {
		update()
	}
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	if x == nil {
		return nil
	}
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
