package oip

import (
	"context"
	"slices"
	"strings"

	"melo.example/melo/serve"
)

// view is the registry as the client of a request may see it. This package accesses the registry only through
// it. An adapter that the client may not use gives the same error as one that does not exist.
type view struct {
	ctx      context.Context
	registry *serve.Registry
}

func (s *Service) view(ctx context.Context) view { return view{ctx, s.engine.Registry()} }

// unknown returns the error for a name that the client may not use, else nil. name may include a version.
func (v view) unknown(name, version string) error {
	bare, wanted, _ := strings.Cut(name, "@")
	if MaySee(v.ctx, bare) {
		return nil
	}
	if version == "" {
		name, version = bare, wanted
	}
	return &serve.UnknownError{Name: name, Version: version}
}

func (v view) resolve(name, version string) (serve.Identity, error) {
	if err := v.unknown(name, version); err != nil {
		return serve.Identity{Name: name}, err
	}
	return v.registry.Resolve(name, version)
}

func (v view) describe(name, version string) (serve.Status, error) {
	if err := v.unknown(name, version); err != nil {
		return serve.Status{}, err
	}
	return v.registry.Describe(name, version)
}

func (v view) versions(name string) []serve.Status {
	if v.unknown(name, "") != nil {
		return nil
	}
	return v.registry.Versions(name)
}

func (v view) list() []serve.Status {
	return slices.DeleteFunc(v.registry.List(), func(s serve.Status) bool { return !MaySee(v.ctx, s.Name) })
}

func (v view) names() []string {
	return slices.DeleteFunc(v.registry.Names(), func(name string) bool { return !MaySee(v.ctx, name) })
}

func (v view) stats() []serve.VersionStats {
	return slices.DeleteFunc(v.registry.Stats(), func(s serve.VersionStats) bool { return !MaySee(v.ctx, s.Name) })
}

// operated returns the registry for a change of one adapter.
func (v view) operated(name string) (*serve.Registry, error) {
	if err := v.unknown(name, ""); err != nil {
		return nil, err
	}
	return v.registry, nil
}

// ask asks the engine. What the client may not see is counted and answered as what there is not.
func (s *Service) ask(ctx context.Context, requests []serve.Request) ([]serve.Answer, []error) {
	v := s.view(ctx)
	for i := range requests {
		requests[i].Hidden = v.unknown(requests[i].Name, requests[i].Version) != nil
	}
	return s.engine.Predict(ctx, requests...)
}
