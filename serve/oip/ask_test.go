package oip

import (
	"context"
	"testing"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
)

// replacing is an engine under which an adapter is replaced just before it is asked.
type replacing struct {
	*serve.Engine
	t     *testing.T
	files [][]byte // to come
}

// Predict replaces the adapter first, as long as there is another file.
func (r *replacing) Predict(ctx context.Context, requests ...serve.Request) ([]serve.Answer, []error) {
	if len(r.files) > 0 {
		if err := r.LoadBytes(ctx); err != nil {
			r.t.Error(err)
		}
	}
	return r.Engine.Predict(ctx, requests...)
}

// LoadBytes publishes the next file.
func (r *replacing) LoadBytes(ctx context.Context) error {
	next := r.files[0]
	r.files = r.files[1:]
	return r.Registry().LoadBytes(ctx, "view", next, nil)
}

// An adapter that is replaced between finding and asking it is found again; the others are not asked twice.
func TestAskFindsWhatWasReplaced(t *testing.T) {
	e := &replacing{Engine: servetest.Engine(t, serve.Config{Adapters: servetest.Folder(t)}), t: t}
	for seed := uint64(31); seed < 33; seed++ {
		e.files = append(e.files, servetest.Bytes(t, servetest.Adapter(t, seed, adapterfile.Multiclass, "a", "b")))
	}
	s := NewService(e, Options{})
	images := []Encoded{{Data: servetest.PNG(t, 1, 9, 9)}, {Data: []byte("no picture")}, {Data: servetest.PNG(t, 2, 9, 9)}}
	list, err := s.Ask(t.Context(), images, []string{"view", "lesion", "nobody", "view"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 7 || len(e.files) != 0 {
		t.Fatalf("%d answers, %d files left", len(list), len(e.files))
	}
	digest := ""
	for _, a := range list {
		switch {
		case a.Image == 1 || a.Adapter == "nobody":
			if a.Err == nil {
				t.Errorf("%+v", a)
			}
		case a.Err != nil:
			t.Errorf("image %d, %s: %v", a.Image, a.Adapter, a.Err)
		case a.Adapter == "view":
			if digest == "" {
				digest = a.Answer.Digest
			}
			if a.Answer.Digest != digest || len(a.Answer.Logits) != 2 {
				t.Errorf("image %d is answered by %s, the first by %s", a.Image, a.Answer.Digest, digest)
			}
		}
	}
	if got := e.Stats().Requests; got != 2*2+2+2 {
		t.Errorf("%d questions to the engine", got)
	}
}
