package serve_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
)

// header is a safetensors file with this header.
func header(text string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(b, text...), make([]byte, data)...)
}

// Hostile files in the folder are refused by their size, and keep nobody from the others.
func TestHostileFiles(t *testing.T) {
	dir := servetest.Folder(t)
	var entries strings.Builder
	entries.WriteString(`{"__metadata__":{"melo":"{}"}`)
	for i := range 300_000 {
		fmt.Fprintf(&entries, `,"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	entries.WriteString("}")
	for name, data := range map[string][]byte{
		"spaces":  header("{"+strings.Repeat(" ", 99_000_000)+"}", 0),
		"entries": header(entries.String(), 0),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".safetensors"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	runtime.ReadMemStats(&after)
	// Reading either header takes a hundred megabytes; the rest of the folder takes less than half of one.
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("looking at the folder allocated %d bytes", got)
	}
	broken := 0
	for _, s := range e.Registry().List() {
		if s.State == serve.Unavailable {
			broken++
		}
	}
	if broken != 2 {
		t.Errorf("%d files are refused", broken)
	}
	if _, errs := e.Predict(t.Context(), serve.Request{Name: "view", Input: serve.Input{Tensor: servetest.Tensor(1)}}); errs[0] != nil {
		t.Error(errs[0])
	}
}

// A file that is written over in place, as cp does, while it is being loaded and asked, is never more than an error: it is
// read, not mapped.
func TestWrittenOverInPlace(t *testing.T) {
	dir := servetest.Folder(t)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	path := filepath.Join(dir, "view.safetensors")
	files := [][]byte{servetest.Bytes(t, servetest.Adapter(t, 71, adapterfile.Multiclass, "a", "b")),
		servetest.Bytes(t, servetest.Adapter(t, 72, adapterfile.Multiclass, "a", "b", "c", "d", "e"))}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for i := 0; ctx.Err() == nil; i++ {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0) // the same file, shorter first
			if err != nil {
				t.Error(err)
				return
			}
			for part := range bytes.Lines(files[i%2]) {
				f.Write(part)
			}
			f.Close()
		}
	}()
	for ctx.Err() == nil {
		e.Registry().Scan(ctx)
		e.Predict(ctx, serve.Request{Name: "view", Input: serve.Input{Tensor: servetest.Tensor(1)}})
		e.Predict(ctx, serve.Request{Name: "lesion", Input: serve.Input{Tensor: servetest.Tensor(1)}})
	}
	<-writing
	if err := e.Registry().Reload(t.Context(), "view"); err != nil {
		t.Errorf("the last one: %v", err)
	}
	answers, errs := e.Predict(t.Context(), serve.Request{Name: "view", Input: serve.Input{Tensor: servetest.Tensor(1)}})
	if errs[0] != nil || len(answers[0].Labels) != 2 && len(answers[0].Labels) != 5 {
		t.Errorf("%+v, %v", answers[0], errs[0])
	}
}

// What is computed may be no number, of an input or of an adapter whose numbers are all finite: that row is an error that
// names the adapter and the output, and the rows beside it are answered.
func TestAnswersThatAreNotFinite(t *testing.T) {
	dir := servetest.Folder(t)
	bad := servetest.Adapter(t, 9, adapterfile.Multiclass, "front", "back", "side")
	for i := range bad.Adapter.Head.W {
		bad.Adapter.Head.W[i] = 3e38
	}
	servetest.Publish(t, dir, "overflow", bad)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	x := serve.Input{Tensor: servetest.Tensor(1)}
	huge := serve.Input{Tensor: make([]float32, len(x.Tensor))}
	for i := range huge.Tensor {
		huge.Tensor[i] = 3e38
	}
	answers, errs := e.Predict(t.Context(), serve.Request{Name: "view", Input: x}, serve.Request{Name: "overflow", Input: x},
		serve.Request{Name: "view", Input: huge}, serve.Request{Name: "lesion", Input: x})
	for i, wrong := range []string{"", "overflow", "view", ""} {
		var unanswered *serve.AnswerError
		switch {
		case wrong == "" && errs[i] != nil:
			t.Errorf("request %d: %v", i, errs[i])
		case wrong != "" && (!errors.As(errs[i], &unanswered) || unanswered.Name != wrong || !strings.Contains(errs[i].Error(), "finite")):
			t.Errorf("request %d: %v, %+v", i, errs[i], answers[i])
		}
	}
	if s := e.Stats(); s.Answered != 2 || s.Failed != 2 {
		t.Errorf("%+v", s)
	}
}
