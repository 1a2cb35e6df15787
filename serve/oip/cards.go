package oip

import (
	"context"
	"sort"

	"melo.example/melo/serve"
	"melo.example/melo/serve/wire"
)

// The documents about adapters.
type (
	// Base is the base of the adapters.
	Base = wire.Base
	// ServedBase is one of several bases.
	ServedBase = wire.ServedBase
	// Card is one version of an adapter: its state, and the description in its file.
	Card = wire.Card
)

// Base describes the base, or the first of several.
func (s *Service) Base() Base {
	if list := s.engine.Bases(); s.engine.Several() {
		return Base{Name: list[0].Name, Digest: list[0].Digest, Side: list[0].Side, Precision: list[0].Precision}
	}
	return Base{Name: s.options.Base, Digest: s.options.Digest, Side: s.engine.Side(), Precision: s.engine.Precision()}
}

// Bases describes the bases, if there are several.
func (s *Service) Bases() []ServedBase {
	if !s.engine.Several() {
		return nil
	}
	var list []ServedBase
	for _, b := range s.engine.Bases() {
		list = append(list, ServedBase{Name: b.Name, Digest: b.Digest, Side: b.Side, Precision: b.Precision, State: string(b.State), Reason: Clean(withoutFolder(b.Reason, b.Path)),
			Pinned: b.Pinned, Resident: b.Resident, Bytes: b.Bytes, Adapters: b.Adapters})
	}
	return list
}

// Cards returns up to limit versions whose names come after the given one, by name, and the name from which to
// continue; next is empty at the end. The versions of one name are never separated.
func (s *Service) Cards(ctx context.Context, after string, limit int) (list []Card, next string) {
	all := s.view(ctx).list()
	first := sort.Search(len(all), func(i int) bool { return all[i].Name > after })
	list = []Card{}
	for _, status := range all[first:] {
		if len(list) >= limit && status.Name != list[len(list)-1].Name {
			return list, list[len(list)-1].Name
		}
		list = append(list, card(&status))
	}
	return list, ""
}

// CardsOf returns the versions of one adapter.
func (s *Service) CardsOf(ctx context.Context, name string) ([]Card, error) {
	versions := s.view(ctx).versions(name)
	if len(versions) == 0 {
		return nil, &serve.UnknownError{Name: name}
	}
	list := make([]Card, len(versions))
	for i := range versions {
		list[i] = card(&versions[i])
	}
	return list, nil
}

func card(status *serve.Status) Card {
	c := Card{Name: status.Name, Version: status.Version, Digest: status.Digest, Signers: status.Signers, State: string(status.State),
		Reason: Clean(withoutFolder(status.Reason, status.Path)), Current: status.Current, Aliases: append([]string{}, status.Aliases...),
		Canary: status.Canary, Pinned: status.Pinned, Resident: status.Resident}
	c.Base = status.Identity.Base
	if m := status.Card; m != nil {
		c.Task, c.Method, c.Labels, c.Thresholds, c.Temperature = string(m.Task), string(m.Method), m.Labels, m.Thresholds, m.Temperatures
		c.Sets = m.Conformal != nil
		c.Metrics, c.Training, c.Licence, c.IntendedUse = m.Metrics, m.Training, m.Licence, m.IntendedUse
	}
	return c
}

// Pin sets whether an adapter stays in memory.
func (s *Service) Pin(ctx context.Context, name string, pinned bool) error {
	r, err := s.view(ctx).operated(name)
	if err != nil {
		return err
	}
	return r.Pin(ctx, name, pinned)
}

// SetAlias gives a version (an alias, a digest or a prefix of one) another name. An empty version removes the
// alias.
func (s *Service) SetAlias(ctx context.Context, name, alias, version string) error {
	r, err := s.view(ctx).operated(name)
	if err != nil {
		return err
	}
	return r.SetAlias(name, alias, version)
}

// SetCanary sends a fraction, 0 to 1, of the requests without a version to a version. An empty version ends
// that.
func (s *Service) SetCanary(ctx context.Context, name, version string, weight float64) error {
	r, err := s.view(ctx).operated(name)
	if err != nil {
		return err
	}
	return r.SetCanary(name, version, weight)
}
