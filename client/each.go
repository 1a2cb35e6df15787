package client

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"melo.example/melo/serve/wire"
)

// underWay bounds the requests under way, so that the server can make batches of them.
const underWay = 8

// ImageError is an error about one image, which could not be read here or was refused by the server; others may do.
type ImageError struct{ Err error }

// Error is what is wrong with the image.
func (e *ImageError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *ImageError) Unwrap() error { return e.Err }

// reply is the answer to one image.
type reply struct {
	result *wire.Result
	err    error
}

// PredictEach asks an adapter, as [Client.Predict] does, about n images, some at a time. read has the bytes of an image;
// it is called from several goroutines. use gets the answers in the order of the images; its error, and an error that is
// not an [ImageError], ends it all: a server that does not answer is not asked again for each image.
func (c *Client) PredictEach(ctx context.Context, q Question, n int, read func(i int) ([]byte, error),
	use func(i int, r *wire.Result, err *ImageError) error) error {
	ctx, cancel := context.WithCancel(ctx)
	replies := make([]chan reply, n)
	for i := range replies {
		replies[i] = make(chan reply, 1)
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel() // before the wait
	next := make(chan int)
	for range min(underWay, n) {
		group.Go(func() {
			for i := range next {
				r, err := c.predictOne(ctx, q, i, read)
				replies[i] <- reply{r, err}
			}
		})
	}
	group.Go(func() {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range n {
		if ctx.Err() != nil { // before answers that have come meanwhile
			return ctx.Err()
		}
		var r reply
		select {
		case r = <-replies[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		var image *ImageError
		if r.err != nil && !errors.As(r.err, &image) {
			return r.err
		}
		if err := use(i, r.result, image); err != nil {
			return err
		}
	}
	return nil
}

// predictOne tells errors about the image from those about the server.
func (c *Client) predictOne(ctx context.Context, q Question, i int, read func(i int) ([]byte, error)) (*wire.Result, error) {
	image, err := read(i)
	if err != nil {
		return nil, &ImageError{err}
	}
	r, err := c.Predict(ctx, q, image)
	var status *StatusError
	if errors.As(err, &status) && (status.Status == http.StatusBadRequest || status.Status == http.StatusUnprocessableEntity ||
		status.Status == http.StatusRequestEntityTooLarge) {
		return nil, &ImageError{err}
	}
	return r, err
}
