package serve

import (
	"context"
	"fmt"

	"melo.example/melo/lora"
)

// switcher performs the work of a request other than its row of a batch: look up the name, acquire the adapter,
// assign it to a row, and release it.
type switcher struct {
	registry *Registry
	segment  lora.Segment
}

func newSwitcher(r *Registry) *switcher { return &switcher{registry: r} }

func (s *switcher) change(name string) error {
	v, err := s.registry.resolve(name, "")
	if err != nil {
		return err
	}
	if len(v.content.members) > 0 {
		return fmt.Errorf("%s: %w", name, errEnsemble)
	}
	h, _, err := s.registry.hold(context.Background(), v.content)
	if err != nil {
		return err
	}
	s.segment = lora.Segment{Adapter: h.adapter, Images: 1}
	h.release()
	return nil
}

// Switch performs for each name the work of a request other than its row of a batch, for measurements.
func (e *Engine) Switch(names []string) error {
	s := newSwitcher(e.registry)
	for _, name := range names {
		if err := s.change(name); err != nil {
			return err
		}
	}
	return nil
}
