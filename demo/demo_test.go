package demo

import (
	"os"
	"path/filepath"
	"testing"

	"melo.example/melo/internal/phantom"
)

// TestDemoRestart: --restart takes away what a demo made, and nothing else.
func TestDemoRestart(t *testing.T) {
	dir := t.TempDir()
	o := &Options{Out: dir, Tasks: []string{"tb"}, Base: "embedded", Seed: 1, Size: Size{Counts{24, 12, 24}, 1, 100}}
	open := func() (*job, *state) {
		t.Helper()
		j := &job{o: o}
		kept, err := j.openFolder()
		if err != nil {
			t.Fatal(err)
		}
		return j, kept
	}
	j, kept := open()
	tb := phantom.Tasks()[1]
	kept.Written = []string{"tb"}
	if err := kept.write(dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(j.data(tb), "x.png"), filepath.Join(dir, "tb", "melo-1.safetensors"), j.adapter(tb), filepath.Join(dir, "notes.txt")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, again := open(); len(again.Written) != 1 {
		t.Errorf("state %+v", again)
	}
	o.Seed, o.Restart = 2, true
	if _, fresh := open(); len(fresh.Written) != 0 {
		t.Errorf("state after --restart %+v", fresh)
	}
	for path, want := range map[string]bool{j.data(tb): false, filepath.Join(dir, "tb"): false, j.adapter(tb): false, filepath.Join(dir, "notes.txt"): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", path, err == nil, want)
		}
	}
}
