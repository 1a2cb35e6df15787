package oip

import (
	"context"
	"errors"
	"slices"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
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
	list, at := s.questions(decoded, adapters)
	for try := 1; ; try++ {
		replaced := s.askAll(ctx, decoded, list, at, adapters)
		if len(replaced) == 0 || try == resolveTries {
			return list, nil
		}
		adapters = replaced // all images again, so that one version answers them
	}
}

// question is an image and an adapter, as it was asked for.
type question struct {
	image   int
	adapter string
}

// questions lists every image with every adapter, by image, and where each stands in the list.
func (s *Service) questions(decoded []Decoded, adapters []string) (list []Asked, at map[question][]int) {
	at = map[question][]int{}
	for i, img := range decoded {
		if img.Err != nil {
			list = append(list, Asked{Image: i, Err: img.Err})
			continue
		}
		for _, name := range adapters {
			q := question{i, name}
			at[q] = append(at[q], len(list))
			list = append(list, Asked{Image: i, Adapter: name})
		}
	}
	return list, at
}

// askAll asks adapters about every image that could be decoded, each in one version. It returns those whose version was
// replaced between finding and asking it.
func (s *Service) askAll(ctx context.Context, decoded []Decoded, list []Asked, at map[question][]int, adapters []string) (replaced []string) {
	var requests []serve.Request
	var of []question
	resolved := s.resolveAll(adapters)
	for i, img := range decoded {
		if img.Err != nil {
			continue
		}
		for j, name := range adapters {
			q, r := question{i, name}, resolved[j]
			for _, k := range at[q] {
				list[k].Task, list[k].Err = r.task, r.err
			}
			if r.err == nil {
				of = append(of, q)
				requests = append(requests, serve.Request{Name: r.Name, Version: r.Digest, Input: serve.Input{Image: img.Image}})
			}
		}
	}
	if len(requests) == 0 {
		return nil
	}
	answers, errs := s.engine.Predict(ctx, requests...)
	for n, q := range of {
		for _, k := range at[q] {
			list[k].Answer, list[k].Err = answers[n], errs[n]
		}
		if errors.Is(errs[n], serve.ErrUnknownAdapter) && !slices.Contains(replaced, q.adapter) {
			replaced = append(replaced, q.adapter)
		}
	}
	return replaced
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
