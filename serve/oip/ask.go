package oip

import (
	"context"
	"errors"
	"slices"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
)

// Asked is the answer of one adapter for one image.
type Asked struct {
	Image   int    // index in the request
	Adapter string // as requested; "" if the image itself cannot be read
	Task    adapterfile.Task
	Answer  serve.Answer
	Err     error // why there is no answer
}

// Answering returns the names of the available adapters.
func (s *Service) Answering(ctx context.Context) []string {
	var names []string
	for _, status := range s.view(ctx).list() {
		if status.Current && (status.State == serve.Ready || status.State == serve.Loading) {
			names = append(names, status.Name)
		}
	}
	return names
}

// Ask asks every adapter ("name" or "name@version") about every image. Each image is decoded once, each adapter is
// the same version for all images, and one that is named twice is asked once. One that fails does not make others fail;
// the results are ordered by image. coverage is that of the sets of labels that cannot be excluded; 0: as the server has it.
func (s *Service) Ask(ctx context.Context, images []Encoded, adapters []string, coverage float64) ([]Asked, error) {
	adapters = Distinct(adapters)
	place := make(map[string]int, len(adapters))
	for i, name := range adapters {
		place[name] = i
	}
	list := make([][]Asked, len(images))
	for try := 1; ; try++ {
		replaced, err := s.askAll(ctx, images, list, adapters, place, coverage)
		if err != nil {
			return nil, err
		}
		if len(replaced) == 0 || try == resolveTries {
			return slices.Concat(list...), nil
		}
		adapters = replaced // all images again, so that one version answers them
	}
}

// Distinct returns names without duplicates.
func Distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		was := seen[name]
		seen[name] = true
		return was
	})
}

// askAll asks adapters about every image that can be decoded, each in one version, and puts the answers into list, by
// image, each adapter at its place. It returns the adapters whose version was replaced between finding and asking it.
func (s *Service) askAll(ctx context.Context, images []Encoded, list [][]Asked, adapters []string, place map[string]int, coverage float64) (replaced []string, err error) {
	resolved := s.resolveAll(ctx, adapters)
	err = s.decoder.Decode(ctx, images, func(first int, decoded []Decoded) error {
		var requests []serve.Request
		var of []*Asked
		for i, img := range decoded {
			at := first + i
			if img.Err != nil {
				list[at] = []Asked{{Image: at, Err: img.Err}}
				continue
			}
			if list[at] == nil {
				list[at] = make([]Asked, len(place))
			}
			for j, name := range adapters {
				a, r := &list[at][place[name]], resolved[j]
				*a = Asked{Image: at, Adapter: name, Task: r.task, Err: r.err}
				if r.err == nil {
					of = append(of, a)
					q := s.question(r.Name, r.Digest, coverage)
					q.Input.Image = img.Image
					requests = append(requests, q)
				}
			}
		}
		if len(requests) == 0 {
			return nil
		}
		answers, errs := s.ask(ctx, requests)
		for n, a := range of {
			a.Answer, a.Err = answers[n], errs[n]
			if errors.Is(errs[n], serve.ErrUnknownAdapter) && !slices.Contains(replaced, a.Adapter) {
				replaced = append(replaced, a.Adapter)
			}
		}
		return nil
	})
	return replaced, err
}

// resolved is the version that a name refers to, or an error.
type resolved struct {
	serve.Identity
	task adapterfile.Task
	err  error
}

func (s *Service) resolveAll(ctx context.Context, names []string) []resolved {
	list, view := make([]resolved, len(names)), s.view(ctx)
	for i, name := range names {
		r := &list[i]
		if r.Identity, r.err = view.resolve(name, ""); r.err != nil {
			continue
		}
		if status, err := view.describe(r.Name, r.Digest); err == nil && status.Card != nil {
			r.task = status.Card.Task
		}
	}
	return list
}
