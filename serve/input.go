package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"melo.example/melo/compute"
	"melo.example/melo/imaging"
)

// input is a prepared tensor [3, side, side] that several requests may share.
type input struct {
	data    []float32
	remarks []string // about the image
	refs    atomic.Int32
	pool    *inputPool
}

func (in *input) release() {
	if in.refs.Add(-1) == 0 {
		in.pool.free.Put(in)
	}
}

// inputPool prepares inputs on a limited number of goroutines.
type inputPool struct {
	values int
	slots  chan struct{}
	free   sync.Pool
}

func newInputPool(values, workers int) *inputPool {
	return &inputPool{values: values, slots: make(chan struct{}, workers)}
}

// get returns an input with one reference.
func (p *inputPool) get() *input {
	in, ok := p.free.Get().(*input)
	if !ok {
		in = &input{data: make([]float32, p.values), pool: p}
	}
	in.refs.Store(1)
	in.remarks = nil
	return in
}

// prepare makes an input with the recipe, or copies a tensor. Afterwards the caller's data are no longer used.
func (p *inputPool) prepare(ctx context.Context, x Input, recipe imaging.Recipe) (*input, error) {
	switch {
	case (x.Image == nil) == (x.Tensor == nil):
		return nil, &InputError{errors.New("expected either an image or a tensor")}
	case x.Tensor != nil && len(x.Tensor) != p.values:
		return nil, &InputError{fmt.Errorf("tensor of %d values, expected 3 x %d x %d", len(x.Tensor), recipe.Size, recipe.Size)}
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	in := p.get()
	if x.Tensor != nil {
		copy(in.data, x.Tensor)
		if !compute.Finite(in.data) {
			in.release()
			return nil, &InputError{errors.New("the tensor has a NaN or an infinity, expected finite numbers")}
		}
		return in, nil
	}
	if err := recipe.Apply(x.Image, in.data); err != nil {
		in.release()
		return nil, &InputError{err}
	}
	in.remarks = x.Image.Remarks(recipe)
	return in, nil
}

// source identifies what a caller passed: an image or a tensor.
type source struct {
	image  *imaging.Image
	tensor *float32
	values int
}

func sourceOf(x Input) source {
	s := source{image: x.Image, values: len(x.Tensor)}
	if len(x.Tensor) > 0 {
		s.tensor = &x.Tensor[0]
	}
	return s
}

// preparedKey identifies an input that requests of one call can share.
type preparedKey struct {
	source
	pool   *inputPool // pool of the base
	recipe imaging.Recipe
}

// prepared is an input of a call that is made once.
type prepared struct {
	once sync.Once
	in   *input
	err  error
}

// sharing lets the requests of one call share prepared inputs. It keeps each until the last request with its
// source is done.
type sharing struct {
	mu      sync.Mutex
	left    map[source]int // number of remaining requests
	made    map[preparedKey]*prepared
	arrival map[source]*arrival
}

// arrival holds the requests with one source until all of them enter the queue together, so that they form one
// batch. Every request waited for has its adapter, and lacks only the input, for which the others wait, too.
type arrival struct {
	coming int
	ready  []*item
}

func newSharing(requests []Request) *sharing {
	s := &sharing{left: map[source]int{}, made: map[preparedKey]*prepared{}, arrival: map[source]*arrival{}}
	for _, q := range requests {
		s.left[sourceOf(q.Input)]++
	}
	return s
}

// prepare returns an input that the caller must release.
func (s *sharing) prepare(ctx context.Context, p *inputPool, x Input, recipe imaging.Recipe) (*input, error) {
	if x.Image == nil {
		recipe = imaging.Recipe{Size: recipe.Size} // a tensor needs no preparation
	}
	key := preparedKey{sourceOf(x), p, recipe}
	s.mu.Lock()
	made := s.made[key]
	if made == nil {
		made = &prepared{}
		s.made[key] = made
	}
	s.mu.Unlock()
	made.once.Do(func() { made.in, made.err = p.prepare(ctx, x, recipe) })
	if made.err != nil {
		return nil, made.err
	}
	made.in.refs.Add(1)
	return made.in, nil
}

// comes announces a request with a source. It must be followed by arrives.
func (s *sharing) comes(x Input) {
	from := sourceOf(x)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrival[from] == nil {
		s.arrival[from] = &arrival{}
	}
	s.arrival[from].coming++
}

// arrives adds the item of an announced request, or nil if it failed. When the last announced request has
// arrived, it returns the items of all, which must enter the queue now.
func (s *sharing) arrives(x Input, it *item) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.arrival[sourceOf(x)]
	if a.coming--; it != nil {
		a.ready = append(a.ready, it)
	}
	if a.coming > 0 {
		return nil
	}
	ready := a.ready
	a.ready = nil
	return ready
}

// served records that a request no longer needs its source.
func (s *sharing) served(x Input) {
	from := sourceOf(x)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left[from]--
	if s.left[from] > 0 {
		return
	}
	delete(s.arrival, from)
	for key, made := range s.made {
		if key.source == from {
			delete(s.made, key)
			if made.in != nil {
				made.in.release()
			}
		}
	}
}
