package serve

import (
	"context"

	"melo.example/melo/lora"
)

// switcher does what a request costs beyond its row of a batch: its name is looked up, its adapter held, made the one
// of a row, and let go of.
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
	h, _, err := s.registry.hold(context.Background(), v.content)
	if err != nil {
		return err
	}
	s.segment = lora.Segment{Adapter: h.adapter, Images: 1}
	h.release()
	return nil
}

// Switch does for each name what a request for it costs beyond its row of a batch, for measurements.
func (e *Engine) Switch(names []string) error {
	s := newSwitcher(e.registry)
	for _, name := range names {
		if err := s.change(name); err != nil {
			return err
		}
	}
	return nil
}
