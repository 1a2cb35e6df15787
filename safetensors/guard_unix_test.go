//go:build unix

package safetensors

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"melo.example/melo/internal/par"
)

// summing reads a tensor on the workers of a pool.
type summing struct {
	data []byte
	sum  atomic.Int64
}

// Do reads one page.
func (s *summing) Do(_, i int) { s.sum.Add(int64(s.data[4096*i])) }

// pages is not local, so that what it reads is read.
var pages summing

func (s *summing) all(data []byte) {
	for _, b := range data {
		s.sum.Add(int64(b))
	}
}

// A mapped file that somebody shortens is an error, on whichever goroutine it is read.
func TestGuard(t *testing.T) {
	const n = 64 * 4096
	path := filepath.Join(t.TempDir(), "x.safetensors")
	header := `{"w":{"dtype":"U8","shape":[262144],"data_offsets":[0,262144]}}`
	if err := os.WriteFile(path, raw(header, n), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, _ := f.Tensor("w")
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if !mapped {
		t.Skip("files are not mapped here")
	}
	pool := par.New(3)
	defer pool.Close()
	for name, read := range map[string]func() error{
		"here":       func() error { pages.all(w.Data); return nil },
		"in workers": func() error { pool.Run(63, &summing{data: w.Data}); return nil },
	} {
		if err := Guard(path, read); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	func() {
		defer func() {
			if recover() != "bug" {
				t.Error("a bug is not what it was")
			}
		}()
		Guard(path, func() error { panic("bug") })
	}()
	if _, err := Open(path); err == nil {
		t.Error("what is left of it was opened")
	}
}

func TestLimits(t *testing.T) {
	file := raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(Limits) (*File, error){
		"parse":  func(l Limits) (*File, error) { return ParseLimits(file, "x", l) },
		"read":   func(l Limits) (*File, error) { return ReadFile(path, 1000, l) },
		"header": func(l Limits) (*File, error) { return ReadHeader(path, l) },
	} {
		if f, err := open(Limits{Header: 200, Tensors: 2}); err != nil || len(f.Names()) != 2 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := open(Limits{Tensors: 1}); err == nil {
			t.Errorf("%s: two tensors, one is allowed", name)
		}
		if _, err := open(Limits{Header: 50}); err == nil {
			t.Errorf("%s: a long header", name)
		}
	}
	if _, err := ReadFile(path, 10, Limits{}); err == nil {
		t.Error("a long file")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	for name, open := range map[string]func() (*File, error){
		"open": func() (*File, error) { return Open(pipe) }, "header": func() (*File, error) { return ReadHeader(pipe, Limits{}) },
	} {
		if _, err := open(); err == nil {
			t.Errorf("%s: a pipe", name)
		}
	}
}
