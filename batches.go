package melo

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/imaging"
)

// load writes the input tensor of image i to dst. It may be called concurrently.
type load func(i int, s *imaging.Scratch, dst []float32) error

// inputs is a batch of prepared images. An image that could not be prepared has an error and zeros.
type inputs struct {
	first, n int       // indices first to first+n-1 of the list
	pixels   []float32 // [n, 3, side, side]
	errs     []error   // [n]
}

// eachBatch prepares the inputs 0 to total-1, and calls use with the answer or the error of each, in order. The
// next batch is prepared while one is computed.
func (b *Base) eachBatch(ctx context.Context, a *Adapter, total int, load load, use func(i int, p Prediction, err error) error) error {
	return b.batches(ctx, total, min(b.batch, total), a.recipe.Values(), load, func(in inputs) error { return b.useBatch(ctx, a, in, use) })
}

// batches prepares the inputs 0 to total-1, of the given number of values each, and calls use with batches of
// at most batch inputs, in order. The next batch is prepared meanwhile.
func (b *Base) batches(ctx context.Context, total, batch, values int, load load, use func(in inputs) error) error {
	free, full := make(chan inputs, 2), make(chan inputs)
	for range cap(free) {
		free <- inputs{pixels: make([]float32, batch*values), errs: make([]error, batch)}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(full)
		for first := 0; first < total; first += batch {
			var in inputs
			select {
			case in = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			in.first, in.n = first, min(batch, total-first)
			in.prepare(ctx, load, values, b.pool.Workers())
			select {
			case full <- in:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for in := range full {
			if err := use(in); err != nil {
				return err
			}
			free <- in
		}
		return ctx.Err()
	})
	return group.Wait()
}

func (b *Base) useBatch(ctx context.Context, a *Adapter, in inputs, use func(i int, p Prediction, err error) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	answers, err := b.answer(a, in.pixels, in.n)
	if err != nil {
		return err
	}
	for i, x := range answers {
		if in.errs[i] != nil {
			x = answered{err: in.errs[i]}
		}
		if err := use(in.first+i, x.prediction, x.err); err != nil {
			return err
		}
	}
	return nil
}

// prepare fills the batch with the given number of goroutines.
func (in inputs) prepare(ctx context.Context, load load, values, workers int) {
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(workers, in.n) {
		wait.Go(func() {
			var scratch imaging.Scratch
			for i := range next {
				dst := in.pixels[i*values : (i+1)*values]
				if in.errs[i] = load(in.first+i, &scratch, dst); in.errs[i] != nil {
					clear(dst)
				}
			}
		})
	}
	for i := range in.n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
}
