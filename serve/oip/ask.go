package oip

import (
	"context"

	"melo/lora/adapterfile"
	"melo/serve"
)

// Asked is one image and what one adapter says about it.
type Asked struct {
	Image   int    // index in the request
	Adapter string // as it was asked for; empty if the image itself cannot be read
	Task    adapterfile.Task
	Answer  serve.Answer
	Err     error // why there is no answer
}

// Answering returns the names of the adapters that answer now.
func (s *Service) Answering() []string {
	var names []string
	for _, status := range s.engine.Registry().List() {
		if status.Current && (status.State == serve.Ready || status.State == serve.Loading) {
			names = append(names, status.Name)
		}
	}
	return names
}

// Ask asks every adapter ("name" or "name@version") about every image. Each image is decoded once, each adapter is
// the same version for all images. One that fails does not make others fail; the results are ordered by image.
func (s *Service) Ask(ctx context.Context, images []Encoded, adapters []string) ([]Asked, error) {
	decoded, release, err := s.decoder.Decode(ctx, images)
	if err != nil {
		return nil, err
	}
	defer release()
	var list []Asked
	var requests []serve.Request
	var of []int // index in list of each request
	resolved := s.resolveAll(adapters)
	for i, img := range decoded {
		if img.Err != nil {
			list = append(list, Asked{Image: i, Err: img.Err})
			continue
		}
		for j, name := range adapters {
			list = append(list, Asked{Image: i, Adapter: name, Task: resolved[j].task, Err: resolved[j].err})
			if resolved[j].err == nil {
				of = append(of, len(list)-1)
				requests = append(requests, serve.Request{Name: resolved[j].Name, Version: resolved[j].Digest, Input: serve.Input{Image: img.Image}})
			}
		}
	}
	if len(requests) == 0 {
		return list, nil
	}
	answers, errs := s.engine.Predict(ctx, requests...)
	for k, at := range of {
		list[at].Answer, list[at].Err = answers[k], errs[k]
	}
	return list, nil
}

// resolved is the version that a name means, or why there is none.
type resolved struct {
	serve.Identity
	task adapterfile.Task
	err  error
}

func (s *Service) resolveAll(names []string) []resolved {
	list := make([]resolved, len(names))
	for i, name := range names {
		r := &list[i]
		if r.Identity, r.err = s.engine.Registry().Resolve(name, ""); r.err != nil {
			continue
		}
		if status, err := s.engine.Registry().Describe(r.Name, r.Digest); err == nil && status.Card != nil {
			r.task = status.Card.Task
		}
	}
	return list
}
