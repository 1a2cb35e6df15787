package melo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"testing"

	"melo.example/melo"
	"melo.example/melo/internal/golden"
	"melo.example/melo/serve/host"
	"melo.example/melo/serve/servetest"
	"melo.example/melo/serve/wire"
)

// TestServeSeveralBases: the facade serves two bases, with a budget that holds one of them.
func TestServeSeveralBases(t *testing.T) {
	small, large := filepath.Join(golden.Root(t), "hf_vit"), filepath.Join(golden.Root(t), "dinov2")
	dir := t.TempDir()
	servetest.AdapterOn(t, dir, "lesion", small, 1)
	servetest.AdapterOn(t, dir, "view", large, 2)
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- melo.Serve(ctx, melo.ServeConfig{Base: small, Bases: []string{large}, Adapters: dir, HTTP: "127.0.0.1:0",
			Ready: func(http, _ string) { ready <- http }, Adjust: func(s *host.Settings) { s.Engine.BaseBudget = 600_000 }})
	}()
	var at string
	select {
	case at = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	for range 2 {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		f, err := w.CreateFormFile("image", "scan.png")
		if err != nil {
			t.Fatal(err)
		}
		f.Write(servetest.PNG(t, 1, 40, 30))
		w.WriteField("adapter", "all")
		w.Close()
		response, err := http.Post("http://"+at+"/v1/predict", w.FormDataContentType(), &b)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		var p wire.Prediction
		if err != nil || json.Unmarshal(body, &p) != nil || len(p.Results) != 2 || p.Results[0].Adapter.Base != "hf_vit" || p.Results[1].Adapter.Base != "dinov2" {
			t.Errorf("%s, %v", body, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
