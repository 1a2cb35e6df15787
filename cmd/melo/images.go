package main

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"melo/imaging"
)

// imageBatch is a run of decoded images. An image that could not be read has an error, and zeros.
type imageBatch struct {
	first  int // index of the first image in the list
	n      int
	pixels []float32 // [n, 3, side, side]
	errs   []error   // [n]
}

// eachBatch decodes the images of paths by the recipe and calls use with one batch after the other, in
// order, while the next one is being decoded. An image that cannot be read does not end the run.
func eachBatch(ctx context.Context, paths []string, recipe imaging.Recipe, batch, workers int, use func(imageBatch) error) error {
	free, full := make(chan imageBatch, 2), make(chan imageBatch)
	for range cap(free) {
		free <- imageBatch{pixels: make([]float32, batch*recipe.Values()), errs: make([]error, batch)}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(full)
		for first := 0; first < len(paths); first += batch {
			var b imageBatch
			select {
			case b = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			b.first, b.n = first, min(batch, len(paths)-first)
			b.decode(ctx, paths[first:first+b.n], recipe, workers)
			select {
			case full <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for b := range full {
			if err := use(b); err != nil {
				return err
			}
			free <- b
		}
		return ctx.Err()
	})
	return group.Wait()
}

// decode fills the batch on the given number of goroutines.
func (b imageBatch) decode(ctx context.Context, paths []string, recipe imaging.Recipe, workers int) {
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(workers, len(paths)) {
		wait.Go(func() {
			var scratch imaging.Scratch
			for i := range next {
				dst := b.pixels[i*recipe.Values() : (i+1)*recipe.Values()]
				img, err := imaging.DecodeFile(paths[i])
				if err == nil {
					err = scratch.Apply(recipe, img, dst)
				}
				if err != nil {
					clear(dst)
				}
				b.errs[i] = err
			}
		})
	}
	for i := range paths {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
}
