package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"melo.example/melo/client"
	"melo.example/melo/conformal"
	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/internal/regular"
	"melo.example/melo/lora/answer"
	"melo.example/melo/predictions"
	"melo.example/melo/serve/wire"
)

// maxImageFile is the maximum size in bytes of an image that is sent.
const maxImageFile = 1 << 30

// runOnServer implements Run with --server.
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
	if o.Coverage != 0 && !card.Sets {
		return badInput(fmt.Errorf("%s: adapter %s %w", o.Server, card.Name, answer.ErrNoSets))
	}
	base := list.BaseOf(&card)
	doc := predictions.Document{Base: base.Name, Precision: base.Precision, Adapter: &experiment.AdapterReference{Path: card.Name, Digest: card.Digest}, Task: card.Task, Labels: []string{},
		Results: []predictions.Prediction{}, Failed: []experiment.FailedImage{}, Notice: notice}
	for _, l := range card.Labels {
		doc.Labels = append(doc.Labels, l.Name)
	}
	// All images use this version, even if the server replaces the adapter meanwhile.
	if err := o.ask(ctx, s, c, card.Name+"@"+card.Digest, &doc); err != nil {
		return err
	}
	return o.finish(s, &doc)
}

// asBadInput marks errors that the server reports as the client's fault.
func asBadInput(err error) error {
	var status *client.StatusError
	if errors.As(err, &status) && status.Status >= 400 && status.Status < 500 && status.Status != http.StatusTooManyRequests {
		return badInput(err)
	}
	return err
}

// ask sends the images and fills in the results, in the order of the images.
func (o *predictOptions) ask(ctx context.Context, s *stdio, c *client.Client, adapter string, doc *predictions.Document) error {
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("predicting", 0, int64(len(o.Images)))
	defer meter.Finish()
	read := func(i int) ([]byte, error) { return regular.ReadFile(o.Images[i], maxImageFile) }
	err := c.PredictEach(ctx, client.Question{Adapter: adapter, Coverage: o.Coverage}, len(o.Images), read, func(i int, r *wire.Result, failed *client.ImageError) error {
		defer meter.Set(int64(i+1), "")
		path, failure := o.Images[i], error(nil)
		switch {
		case failed != nil:
			failure = failed.Err
		case o.Refuse && r.Fit != nil && r.Fit.Unlike:
			failure = &fit.UnlikeError{Verdict: fit.Verdict(*r.Fit)}
		default:
			doc.Results = append(doc.Results, predictions.Prediction{Image: path, Label: r.Label, Probability: r.Probability,
				Probabilities: r.Probabilities, Logits: r.Logits, Fit: (*fit.Verdict)(r.Fit), Set: (*conformal.Set)(r.Set), Remarks: r.Remarks})
			return nil
		}
		message := fmt.Sprintf("%s: %s", path, oneLine(failure))
		doc.Failed = append(doc.Failed, experiment.FailedImage{Image: path, Error: message})
		progress.Printf("melo: %s", message)
		return nil
	})
	return asBadInput(err)
}
