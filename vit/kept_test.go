package vit

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/memo"
	"melo.example/melo/vit/checkpoint"
)

// TestKept: a base whose packed weights are kept answers the same bits, whether the file is there, damaged, cut
// short or of another base.
func TestKept(t *testing.T) {
	pool := par.New(2)
	defer pool.Close()
	ex := kernel.NewExec(pool)
	source := filepath.Join(golden.Root(t), "hf_vit")
	base, cache := filepath.Join(t.TempDir(), "base"), memo.New(t.TempDir())
	if err := os.CopyFS(base, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(base, "model.safetensors")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(weights, old, old); err != nil {
		t.Fatal(err)
	}
	for prec := F32; prec <= I8; prec++ {
		if !Supports(prec) {
			continue
		}
		t.Run(prec.String(), func(t *testing.T) {
			run := func(known *memo.Cache) []float32 {
				m, err := Open(base, Options{Workers: ex.Pool(), Precision: prec, Known: known})
				if err != nil {
					t.Fatal(err)
				}
				x := make([]float32, m.Channels*m.Image*m.Image)
				for i := range x {
					x[i] = float32(i%7) - 3
				}
				return slices.Clone(newEngine(inside(m), pool, 1, m.Depth).Forward(x, 1, nil).Data)
			}
			want := run(nil)
			src, err := checkpoint.Open(base, checkpoint.Options{})
			if err != nil {
				t.Fatal(err)
			}
			same := func(what string, kept bool) {
				if k := openKept(cache, src, prec); (k.file != nil) != kept {
					t.Fatalf("%s: weights are kept: %v", what, k.file != nil)
				}
				if !slices.Equal(run(cache), want) {
					t.Errorf("%s: other features", what)
				}
			}
			same("at first", false)
			same("kept", true)
			path := openKept(cache, src, prec).path
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for what, damage := range map[string]func(b []byte) []byte{
				"one bit":   func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
				"cut short": func(b []byte) []byte { return b[:len(b)/2] },
				"empty":     func([]byte) []byte { return nil },
			} {
				if err := os.Remove(path); err != nil { // a mapped file must not change under its readers
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(slices.Clone(whole)), 0o600); err != nil {
					t.Fatal(err)
				}
				same(what, false)
				same("after "+what, true)
			}
		})
	}
	if err := os.Chtimes(weights, old, old.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	src, err := checkpoint.Open(base, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if openKept(cache, src, F32).file != nil {
		t.Error("a file of weights that has changed has its old packed weights")
	}
}
