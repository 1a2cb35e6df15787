package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/internal/regular"
	"melo.example/melo/internal/ui"
)

// demoState is demo.state.json in a demo's folder: what it is a demo of, and which data is complete. A run that goes
// on must be of the same.
type demoState struct {
	Format  string         `json:"format"`
	Program string         `json:"program"`
	Base    string         `json:"base"`
	Seed    uint64         `json:"seed"`
	Counts  phantom.Counts `json:"pictures"`
	Epochs  int            `json:"epochs"`
	Written []string       `json:"written"`
}

const (
	demoFormat    = "melo-demo"
	demoStateName = "demo.state.json"
)

// openFolder makes the demo's folder, or finds out what an earlier run left in it. A folder with anything else is
// not touched.
func (j *demoJob) openFolder() (*demoState, error) {
	now := &demoState{Format: demoFormat, Program: programText(), Base: j.o.Base, Seed: j.o.Seed, Counts: j.size.counts, Epochs: j.size.epochs}
	path := filepath.Join(j.o.Out, demoStateName)
	text, err := regular.ReadFile(path, 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(j.o.Out)
		if err == nil && len(entries) > 0 {
			return nil, usage(fmt.Errorf("--out %s: holds %s and is no folder of a demo: expected a new or an empty one", j.o.Out, entries[0].Name()))
		}
		if err := os.MkdirAll(j.adapters(), 0o777); err != nil {
			return nil, err
		}
		return now, now.write(j.o.Out)
	case err != nil:
		return nil, err
	}
	var old demoState
	if err := json.Unmarshal(text, &old); err != nil || old.Format != demoFormat {
		return nil, badInput(fmt.Errorf("%s: expected a JSON object with the format %q", path, demoFormat))
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
		return nil, usage(fmt.Errorf("--out %s: holds a demo of another size, seed, base or version: give --restart to replace it, or another folder", j.o.Out))
	}
	return now, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *demoState) write(dir string) error {
	return atomicfile.Write(filepath.Join(dir, demoStateName), 0o666, func(w io.Writer) error {
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

// drawTask writes the pictures of a task, with a meter.
func drawTask(ctx context.Context, progress *ui.Progress, t *phantom.Task, dir string, counts phantom.Counts, seed uint64) error {
	meter := progress.Start("drawing "+t.Name, 0, int64(counts.Total()))
	defer meter.Finish()
	return t.Write(ctx, dir, counts, seed, func(done int) { meter.Set(int64(done), "") })
}

// writeData is "melo demo --write".
func (o *demoOptions) writeData(ctx context.Context, s *stdio, tasks []*phantom.Task) error {
	counts := o.sizing().counts
	if o.Pictures > 0 { // in about the same shares, whole patients
		counts.Train, counts.Val = o.Pictures*5/10/2*2, o.Pictures*2/10/2*2
		counts.Test = o.Pictures - counts.Train - counts.Val
	}
	doc := demoDocument{Folder: o.Write, Seed: o.Seed, Tasks: []demoTask{}, Notice: notice}
	progress := s.progress()
	defer progress.Close()
	for _, t := range tasks {
		dir := filepath.Join(o.Write, t.Name)
		if err := drawTask(ctx, progress, t, dir, counts, o.Seed); err != nil {
			return err
		}
		doc.Tasks = append(doc.Tasks, demoTask{Name: t.Name, Title: t.Title, StandsFor: t.StandsFor, Data: dir, Labels: t.Labels,
			Pictures: demoCounts{counts.Train, counts.Val, counts.Test}, Methods: []demoMethod{}})
	}
	s.printf("%d pictures of each task, 128 x 128 pixels, in %s", counts.Total(), o.Write)
	for i := range doc.Tasks {
		s.printf("  %-28s %s", doc.Tasks[i].Data, doc.Tasks[i].Title)
		s.printf("  %-28s %s", "", map[bool]string{true: "labels.csv beside a folder of images", false: "class folders below train, val and test"}[tasks[i].Table()])
	}
	s.printf("\nnext:\n  melo data %s --sheet sheet.png", shellWord(doc.Tasks[0].Data))
	s.printf("  melo train --base embedded --data %s --out %s.safetensors", shellWord(doc.Tasks[0].Data), doc.Tasks[0].Name)
	s.notef("the pictures are synthetic")
	return s.document(&doc)
}
