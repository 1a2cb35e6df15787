package client

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"melo.example/melo/serve/wire"
)

// underWay is the maximum number of concurrent requests, several so that the server can form batches.
const underWay = 8

// ImageError is an error of a single image, which could not be read or was refused by the server. Other images
// may succeed.
type ImageError struct{ Err error }

// Error returns the message of the cause.
func (e *ImageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ImageError) Unwrap() error { return e.Err }

// reply is the answer for one image.
type reply struct {
	result *wire.Result
	err    error
}

// PredictEach requests predictions for n images, as [Client.Predict], several at a time. read returns the bytes
// of an image and is called from several goroutines. use receives the answers in the order of the images. The
// run ends with the first error of use, and with the first error that is not an [ImageError], such as an
// unreachable server.
func (c *Client) PredictEach(ctx context.Context, q Question, n int, read func(i int) ([]byte, error),
	use func(i int, r *wire.Result, err *ImageError) error) error {
	ctx, cancel := context.WithCancel(ctx)
	replies := make([]chan reply, n)
	for i := range replies {
		replies[i] = make(chan reply, 1)
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel() // before waiting for the goroutines
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
		if ctx.Err() != nil { // cancelled: ignore answers that arrived meanwhile
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

// predictOne returns errors about the image as ImageError, and errors about the server unchanged.
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
