package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/internal/regular"
)

// state is demo.state.json in a demo's folder: what it is a demo of, and which data is complete. A run that goes
// on must be of the same.
type state struct {
	Format  string         `json:"format"`
	Program string         `json:"program"`
	Base    string         `json:"base"`
	Seed    uint64         `json:"seed"`
	Counts  phantom.Counts `json:"pictures"`
	Epochs  int            `json:"epochs"`
	Written []string       `json:"written"`
}

const (
	stateFormat = "melo-demo"
	stateFile   = "demo.state.json"
)

// openFolder makes the demo's folder, or finds out what an earlier run left in it. A folder with anything else is
// not touched.
func (j *job) openFolder() (*state, error) {
	size := &j.o.Size
	now := &state{Format: stateFormat, Program: programText(), Base: j.o.Base, Seed: j.o.Seed, Counts: phantom.Counts(size.Pictures), Epochs: size.Epochs}
	path := filepath.Join(j.o.Out, stateFile)
	text, err := regular.ReadFile(path, 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(j.o.Out)
		if err == nil && len(entries) > 0 {
			return nil, &experiment.SettingError{Setting: "out", Problem: fmt.Sprintf("%s: holds %s and is no folder of a demo: expected a new or an empty one", j.o.Out, entries[0].Name())}
		}
		if err := os.MkdirAll(j.adapters(), 0o777); err != nil {
			return nil, err
		}
		return now, now.write(j.o.Out)
	case err != nil:
		return nil, err
	}
	var old state
	if err := json.Unmarshal(text, &old); err != nil || old.Format != stateFormat {
		return nil, &experiment.InputError{Err: fmt.Errorf("%s: expected a JSON object with the format %q", path, stateFormat)}
	}
	if j.o.Restart {
		for _, t := range phantom.Tasks() {
			if err := errors.Join(os.RemoveAll(j.data(t)), os.RemoveAll(filepath.Join(j.o.Out, t.Name)),
				removeIfThere(j.adapter(t))); err != nil {
				return nil, err
			}
		}
		return now, now.write(j.o.Out)
	}
	now.Written = old.Written
	if old.Program != now.Program || old.Base != now.Base || old.Seed != now.Seed || old.Counts != now.Counts || old.Epochs != now.Epochs {
		return nil, &experiment.SettingError{Setting: "out",
			Problem: j.o.Out + ": holds a demo of another size, seed, base or version: give --restart to replace it, or another folder"}
	}
	return now, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *state) write(dir string) error {
	return atomicfile.Write(filepath.Join(dir, stateFile), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	})
}

// programText is the program, with the revision where it is known.
func programText() string {
	v := buildinfo.This()
	return v.Version + " " + v.Short()
}
