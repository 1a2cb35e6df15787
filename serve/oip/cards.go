package oip

import (
	"context"
	"sort"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
)

// Base is the one model beside which all adapters sit.
type Base struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Side   int    `json:"side" doc:"Of the input, in pixels."`
}

// Base describes the base.
func (s *Service) Base() Base { return Base{s.options.Base, s.options.Digest, s.side} }

// Card is one version of an adapter: where it is, and what its file says of it.
type Card struct {
	Name        string                `json:"name"`
	Version     string                `json:"version" doc:"Beginning of the digest; empty of a file that cannot be used."`
	Digest      string                `json:"digest" doc:"Of the adapter's file."`
	State       string                `json:"state" enum:"READY,LOADING,UNLOADED,UNAVAILABLE"`
	Reason      string                `json:"reason,omitempty" doc:"Why it is not ready, or what is wrong with the file that should replace it."`
	Current     bool                  `json:"current" doc:"It is what requests without a version get."`
	Aliases     []string              `json:"aliases" doc:"Further names of the version."`
	Canary      float64               `json:"canary,omitempty" doc:"Share of the requests without a version that it gets instead of the current one."`
	Pinned      bool                  `json:"pinned" doc:"It stays in memory."`
	Resident    int64                 `json:"resident_bytes" doc:"Memory that it takes now."`
	Task        string                `json:"task,omitempty" enum:"binary,multiclass,multilabel"`
	Method      string                `json:"method,omitempty"`
	Labels      []adapterfile.Label   `json:"labels,omitempty"`
	Thresholds  []float64             `json:"thresholds,omitempty"`
	Temperature []float64             `json:"temperatures,omitempty"`
	Metrics     []adapterfile.Metric  `json:"metrics,omitempty" doc:"As measured by whoever trained it."`
	Training    *adapterfile.Training `json:"training,omitempty"`
	Licence     string                `json:"licence,omitempty"`
	IntendedUse string                `json:"intended_use,omitempty"`
}

// Cards returns up to limit versions whose names come after the given one, by name, and the name after which to go on;
// it is empty at the end. The versions of one name stay together.
func (s *Service) Cards(after string, limit int) (list []Card, next string) {
	all := s.engine.Registry().List()
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
func (s *Service) CardsOf(name string) ([]Card, error) {
	versions := s.engine.Registry().Versions(name)
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
	c := Card{Name: status.Name, Version: status.Version, Digest: status.Digest, State: string(status.State),
		Reason: clean(withoutFolder(status.Reason, status.Path)), Current: status.Current, Aliases: append([]string{}, status.Aliases...),
		Canary: status.Canary, Pinned: status.Pinned, Resident: status.Resident}
	if m := status.Card; m != nil {
		c.Task, c.Method, c.Labels, c.Thresholds, c.Temperature = string(m.Task), string(m.Method), m.Labels, m.Thresholds, m.Temperatures
		c.Metrics, c.Training, c.Licence, c.IntendedUse = m.Metrics, m.Training, m.Licence, m.IntendedUse
	}
	return c
}

// Pin keeps an adapter in memory, or no longer.
func (s *Service) Pin(ctx context.Context, name string, pinned bool) error {
	return s.engine.Registry().Pin(ctx, name, pinned)
}

// SetAlias gives a version (an alias, a digest or its beginning) a further name; an empty version takes it away.
func (s *Service) SetAlias(name, alias, version string) error {
	return s.engine.Registry().SetAlias(name, alias, version)
}

// SetCanary gives a version a share, 0 to 1, of the requests without a version; an empty version ends that.
func (s *Service) SetCanary(name, version string, weight float64) error {
	return s.engine.Registry().SetCanary(name, version, weight)
}
