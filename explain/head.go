package explain

import (
	"errors"
	"fmt"

	"melo.example/melo/compute"
)

// head computes logits from features: one linear layer, or two whose logits are averaged (DeiT).
type head struct {
	model *compute.Model // nil: a single layer
	one   *compute.Head
}

func headOf(s Subject) (head, error) {
	m := s.Model
	switch {
	case s.Adapter != nil && s.Adapter.Head() != nil:
		return checked(head{one: s.Adapter.Head()}, m)
	case s.Adapter != nil:
		return head{}, errors.New("explain: the adapter has no head")
	case m.Head == nil:
		return head{}, errors.New("explain: the base has no head of its own: an adapter is needed")
	case m.HeadDist == nil:
		return checked(head{one: m.Head}, m)
	}
	return head{model: m, one: m.Head}, nil
}

// checked returns an error if a single head does not match the model's features.
func checked(h head, m *compute.Model) (head, error) {
	if h.one.Features != m.Features() {
		return head{}, fmt.Errorf("explain: the head takes %d features, the base gives %d", h.one.Features, m.Features())
	}
	return h, nil
}

func (h *head) classes() int { return h.one.Classes }

func (h *head) logits(dst, features []float32) {
	if h.model != nil {
		h.model.Logits(dst, features)
		return
	}
	h.one.Logits(dst, features)
}

// check returns an error if a score's labels do not exist.
func (h *head) check(s Score) error {
	n := h.classes()
	if s.Label < 0 || s.Label >= n || s.Against < Nothing || s.Against >= n {
		return fmt.Errorf("explain: label %d against %d, there are %d", s.Label, s.Against, n)
	}
	if s.Label == s.Against {
		return fmt.Errorf("explain: label %d against itself", s.Label)
	}
	return nil
}

// of returns the score, given the logits of one image.
func (s Score) of(logits []float32) float32 {
	v := logits[s.Label]
	if s.Against != Nothing {
		v -= logits[s.Against]
	}
	return v
}

// gradient sets dst [Features] to the gradient of a score.
func (h *head) gradient(dst []float32, s Score) {
	add := func(w *compute.Head, dst []float32, label int, share float32) {
		for i, v := range w.W[label*w.Features : (label+1)*w.Features] {
			dst[i] += share * v
		}
	}
	labels := func(w *compute.Head, dst []float32, share float32) {
		add(w, dst, s.Label, share)
		if s.Against != Nothing {
			add(w, dst, s.Against, -share)
		}
	}
	clear(dst)
	if h.model == nil {
		labels(h.one, dst, 1)
		return
	}
	labels(h.one, dst, 0.5)
	labels(h.model.HeadDist, dst[h.one.Features:], 0.5)
}
