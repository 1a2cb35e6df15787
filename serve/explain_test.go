package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"melo.example/melo/explain"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
)

// watcher keeps what it is told of requests.
type watcher struct {
	nobody
	mu       sync.Mutex
	requests []RequestEvent
}

func (w *watcher) RequestDone(_ context.Context, e RequestEvent) {
	w.mu.Lock()
	w.requests = append(w.requests, e)
	w.mu.Unlock()
}

// explainedAlone is the map of an adapter about an input without the engine, and its logits.
func explainedAlone(t *testing.T, f *lora.Adapter, mirror bool, m explain.Method, input []float32, s explain.Score) explain.Answer {
	t.Helper()
	pool := par.New(1)
	defer pool.Close()
	base := randomBase(pool)
	x, err := explain.New(explain.Subject{Model: base, Adapter: f.Resident(base.Precision), Mirror: mirror}, explain.Options{Method: m, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := x.Explain(input, 1, func(int, []float32) (explain.Score, error) { return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestExplain: maps of every method are, bit for bit, those that package explain makes of the same input, beside others' predictions
// that stay what they are; labels are those that are asked for; each is one request, also of the method that predicts many times.
func TestExplain(t *testing.T) {
	w := &watcher{}
	e := newEngine(t, 2, Config{Observer: w})
	dir := e.config.Adapters
	for seed := range uint64(8) {
		f := someAdapter(seed)
		f.Meta.Mirror = seed >= 4
		publish(t, dir, fmt.Sprint("a", seed), f)
	}
	if err := e.registry.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for seed := range uint64(8) {
		f := someAdapter(seed)
		labels := f.Meta.LabelNames()
		for _, m := range explain.Methods() {
			group.Go(func() {
				q, in := Request{Name: fmt.Sprint("a", seed), Input: Input{Tensor: tensor(seed)}}, tensor(seed)
				how, score := Explaining{Method: m}, explain.Score{Against: explain.Nothing}
				plain, errs := e.Predict(t.Context(), q)
				if errs[0] != nil {
					t.Error(errs[0])
					return
				}
				score.Label = slices.Index(labels, plain[0].Label)
				if len(labels) > 1 {
					how.Label, how.Against = labels[1], labels[0]
					score = explain.Score{Label: 1, Against: 0}
				}
				x, err := e.Explain(t.Context(), q, how)
				if err != nil {
					t.Errorf("%d %s: %v", seed, m, err)
					return
				}
				want := explainedAlone(t, f.Adapter, seed >= 4, m, in, score)
				if !slices.Equal(x.Map, want.Maps) || !slices.Equal(x.Logits, want.Logits) || !slices.Equal(x.Logits, plain[0].Logits) {
					t.Errorf("%d %s: map %v, expected %v; logits %v, %v, those of a prediction %v", seed, m, x.Map, want.Maps, x.Logits, want.Logits, plain[0].Logits)
				}
				if x.Explained != labels[score.Label] || x.Share != plain[0].Probabilities[score.Label] || x.Grid != 2 || x.Width != 8 || x.Region.W != 8 || x.Method != m {
					t.Errorf("%d %s: %+v", seed, m, x)
				}
			})
		}
	}
	group.Wait()
	explained := 0
	w.mu.Lock()
	for _, r := range w.requests {
		if r.Explain != "" {
			explained++
		}
	}
	if explained != 32 || len(w.requests) != 64 {
		t.Errorf("%d requests, %d of them explained, expected 64 and 32", len(w.requests), explained)
	}
	w.mu.Unlock()
}

// TestExplainAnImage: a map lies where the recipe looked.
func TestExplainAnImage(t *testing.T) {
	e := newEngine(t, 1, Config{})
	publish(t, e.config.Adapters, "a", someAdapter(1))
	if err := e.registry.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	img := picture(3) // 11 x 9, squashed
	x, err := e.Explain(t.Context(), Request{Name: "a", Input: Input{Image: img}}, Explaining{})
	if err != nil {
		t.Fatal(err)
	}
	if x.Width != 11 || x.Height != 9 || x.Region.W != 11 || x.Region.H != 9 || x.Method != explain.Default || len(x.Map) != 4 {
		t.Errorf("%+v", x)
	}
}

// TestExplainRefuses: what cannot be explained is refused by name.
func TestExplainRefuses(t *testing.T) {
	e := newEngine(t, 1, Config{Batch: 1})
	f := someAdapter(2) // three labels that exclude each other
	publish(t, e.config.Adapters, "a", f)
	if err := e.registry.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	labels, q := f.Meta.LabelNames(), Request{Name: "a", Input: Input{Tensor: tensor(1)}}
	answers, _ := e.Predict(t.Context(), q)
	for says, how := range map[string]Explaining{
		`unknown method "magic"`:        {Method: "magic"},
		`no label "nobody"`:             {Label: "nobody"},
		"against itself":                {Label: labels[0], Against: labels[0]},
		"which is what it would be":     {Against: answers[0].Label},
		"go with the method occlusion":  {Window: 2},
		"a window of 3 patches":         {Method: explain.Occlusion, Window: 3},
		"a stride of 2 patches":         {Method: explain.Occlusion, Window: 1, Stride: 2},
		"expected at least 1":           {Method: explain.Occlusion, Window: -1},
		"the method occlusion, this is": {Method: explain.GradCAM, Stride: 1},
	} {
		_, err := e.Explain(t.Context(), q, how)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected %q", how, err, says)
		}
	}
	if _, err := e.Explain(t.Context(), Request{Name: "b", Input: q.Input}, Explaining{}); !errors.Is(err, ErrUnknownAdapter) {
		t.Errorf("an adapter that there is not: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for range 8 {
		e.base().curve.record(1, 24*time.Hour)
	}
	var cost *CostError
	if _, err := e.Explain(ctx, q, Explaining{Method: explain.Occlusion}); !errors.As(err, &cost) || cost.Predictions != 2 {
		t.Errorf("more than the request has time for: %v", err)
	}
	if n := e.ExplainBytes("a", "", explain.Attribution); n < 1000 || e.ExplainBytes("b", "", explain.Attribution) != 0 {
		t.Errorf("a map takes %d bytes", n)
	}
}
