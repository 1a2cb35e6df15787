package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"melo.example/melo/client"
	"melo.example/melo/serve/wire"
)

// echo is a server whose answer to an image is the bytes of the image as a label. It refuses the image "refused", is out
// of order for "broken", and takes its time for "slow".
func echo(t *testing.T) (c *client.Client, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		f, _, err := r.FormFile("image")
		if err != nil {
			http.Error(w, `{"error":"no image"}`, http.StatusBadRequest)
			return
		}
		b, _ := io.ReadAll(f)
		switch string(b) {
		case "refused":
			http.Error(w, `{"error":"no image of ours"}`, http.StatusUnprocessableEntity)
			return
		case "broken":
			http.Error(w, `{"error":"out of order"}`, http.StatusInternalServerError)
			return
		case "slow":
			time.Sleep(20 * time.Millisecond)
		}
		_ = json.NewEncoder(w).Encode(wire.Prediction{Results: []wire.Result{{Label: string(b)}}})
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{Server: s.URL, HTTP: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

func TestPredictEach(t *testing.T) {
	c, _ := echo(t)
	images := []string{"slow", "unreadable", "a", "refused", "b", "c", "d", "e", "f", "g", "h", "i"}
	var got []string
	err := c.PredictEach(t.Context(), client.Question{Adapter: "x"}, len(images), func(i int) ([]byte, error) {
		if images[i] == "unreadable" {
			return nil, errors.New("no such file")
		}
		return []byte(images[i]), nil
	}, func(i int, r *wire.Result, failed *client.ImageError) error {
		if i != len(got) {
			t.Errorf("answer %d came at %d", i, len(got))
		}
		if failed != nil {
			got = append(got, fmt.Sprint("! ", failed))
		} else {
			got = append(got, r.Label)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, image := range images {
		switch image {
		case "unreadable":
			image = "! no such file"
		case "refused":
			if strings.HasPrefix(got[i], "! http://127.0.0.1:") && strings.HasSuffix(got[i], ": status 422: no image of ours") {
				continue
			}
		}
		if got[i] != image {
			t.Errorf("image %d: got %q, want %q", i, got[i], image)
		}
	}
}

// TestPredictEachEnds: a server that is out of order is not asked about every image, and neither is one whose caller has
// had enough.
func TestPredictEachEnds(t *testing.T) {
	c, asked := echo(t)
	read := func(i int) ([]byte, error) {
		if i == 3 {
			return []byte("broken"), nil
		}
		return []byte("a"), nil
	}
	var status *client.StatusError
	err := c.PredictEach(t.Context(), client.Question{Adapter: "x"}, 10_000, read, func(int, *wire.Result, *client.ImageError) error { return nil })
	if !errors.As(err, &status) || status.Status != http.StatusInternalServerError {
		t.Errorf("got %v", err)
	}
	enough := errors.New("enough")
	err = c.PredictEach(t.Context(), client.Question{Adapter: "x"}, 10_000, read, func(int, *wire.Result, *client.ImageError) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = c.PredictEach(ctx, client.Question{Adapter: "x"}, 10_000, read, func(int, *wire.Result, *client.ImageError) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := asked.Load(); n > 1000 {
		t.Errorf("the server was asked %d times", n)
	}
}
