package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"melo.example/melo/client"
	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/serve/wire"
)

// asked bounds the requests under way, so that the server can make batches of them.
const asked = 8

// maxImageFile bounds what is sent.
const maxImageFile = 1 << 30

// runOnServer is Run with --server.
func (o *predictOptions) runOnServer(ctx context.Context, s *stdio) error {
	c, err := o.serverOptions.open()
	if err != nil {
		return err
	}
	list, err := c.Adapter(ctx, o.Adapter)
	if err != nil {
		return asBadInput(err)
	}
	card := list.Adapters[0]
	doc := predictDocument{Base: list.Base.Name, Precision: list.Base.Precision, Adapter: &experiment.AdapterReference{Path: card.Name, Digest: card.Digest}, Task: card.Task, Labels: []string{},
		Results: []prediction{}, Failed: []experiment.FailedImage{}, Notice: notice}
	for _, l := range card.Labels {
		doc.Labels = append(doc.Labels, l.Name)
	}
	// All images are answered by this version, even if another takes its place meanwhile.
	if err := o.ask(ctx, s, c, card.Name+"@"+card.Digest, &doc); err != nil {
		return err
	}
	if err := o.print(s, &doc); err != nil {
		return err
	}
	return doc.failure()
}

// asBadInput marks what the server says is the client's fault.
func asBadInput(err error) error {
	var status *client.StatusError
	if errors.As(err, &status) && status.Status >= 400 && status.Status < 500 && status.Status != http.StatusTooManyRequests {
		return badInput(err)
	}
	return err
}

// reply is the answer to one image.
type reply struct {
	result *wire.Result
	err    error
}

// ask fills in the results, in the order of the images. A server that does not answer ends the run; an image that
// cannot be read does not.
func (o *predictOptions) ask(ctx context.Context, s *stdio, c *client.Client, adapter string, doc *predictDocument) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make([]chan reply, len(o.Images))
	for i := range replies {
		replies[i] = make(chan reply, 1)
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel() // before the wait
	next := make(chan int)
	for range min(asked, len(o.Images)) {
		group.Go(func() {
			for i := range next {
				r, err := o.askOne(ctx, c, adapter, o.Images[i])
				replies[i] <- reply{r, err}
			}
		})
	}
	group.Go(func() {
		defer close(next)
		for i := range o.Images {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("predicting", 0, int64(len(o.Images)))
	defer meter.Finish()
	for i, path := range o.Images {
		var r reply
		select {
		case r = <-replies[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		var unreadable *imageError
		switch {
		case errors.As(r.err, &unreadable):
			message := fmt.Sprintf("%s: %s", path, oneLine(unreadable.err))
			doc.Failed = append(doc.Failed, experiment.FailedImage{Image: path, Error: message})
			progress.Printf("melo: %s", message)
		case r.err != nil:
			return asBadInput(r.err)
		case o.Refuse && r.result.Fit != nil && r.result.Fit.Unlike:
			message := fmt.Sprintf("%s: %s", path, oneLine(&fit.UnlikeError{Verdict: fit.Verdict(*r.result.Fit)}))
			doc.Failed = append(doc.Failed, experiment.FailedImage{Image: path, Error: message})
			progress.Printf("melo: %s", message)
		default:
			doc.Results = append(doc.Results, prediction{Image: path, Label: r.result.Label, Probability: r.result.Probability,
				Probabilities: r.result.Probabilities, Logits: r.result.Logits, Fit: (*fit.Verdict)(r.result.Fit)})
		}
		meter.Set(int64(i+1), "")
	}
	return nil
}

// imageError is about the image, not about the server.
type imageError struct{ err error }

func (e *imageError) Error() string { return e.err.Error() }
func (e *imageError) Unwrap() error { return e.err }

func (o *predictOptions) askOne(ctx context.Context, c *client.Client, adapter, path string) (*wire.Result, error) {
	image, err := readSmall(path, maxImageFile)
	if err != nil {
		return nil, &imageError{err}
	}
	r, err := c.Predict(ctx, adapter, image)
	var status *client.StatusError
	if errors.As(err, &status) && (status.Status == http.StatusBadRequest || status.Status == http.StatusUnprocessableEntity || status.Status == http.StatusRequestEntityTooLarge) {
		return nil, &imageError{err}
	}
	return r, err
}
