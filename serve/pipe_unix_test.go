//go:build unix

package serve_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
)

// A named pipe with the name of an adapter is a file that cannot be used, and is not waited for.
func TestNamedPipe(t *testing.T) {
	dir := servetest.Folder(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.safetensors"), 0o600); err != nil {
		t.Skip(err)
	}
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	if s, err := e.Registry().Describe("pipe", ""); err == nil {
		t.Errorf("%+v", s)
	}
	if _, errs := e.Predict(t.Context(), serve.Request{Name: "view", Input: serve.Input{Tensor: servetest.Tensor(1)}}); errs[0] != nil {
		t.Error(errs[0])
	}
}
