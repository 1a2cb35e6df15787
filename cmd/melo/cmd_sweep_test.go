package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/experiment"
)

// sweepArgs is a quick sweep on the tiny base.
func sweepArgs(data, out string, more ...string) []string {
	return append([]string{"sweep", "--base", goldenDir("hf_vit"), "--data", data, "--out", out, "--epochs", "4", "--batch", "8"}, more...)
}

// comparable is a document without what differs from run to run.
func comparable(d experiment.SweepResult) experiment.SweepResult {
	d.Seconds, d.Command, d.Folder, d.Given.Seconds, d.Given.Runs = 0, "", "", 0, nil
	d.Results = slices.Clone(d.Results)
	for i := range d.Results {
		r := &d.Results[i]
		r.Seconds = 0
		for k := range r.Runs {
			r.Runs[k].Adapter = ""
		}
	}
	return d
}

func TestSweepGrid(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 2, 14), filepath.Join(t.TempDir(), "sweep")
	more := []string{"--search", "grid", "--try", "lr=0.01/0.001", "--try", "sites=q,v/q", "--seeds", "2"}
	var doc experiment.SweepResult
	r := melo(t, append([]string{"--json"}, sweepArgs(data, out, more...)...)...).want(t, exitDone)
	r.decode(t, &doc)
	if len(doc.Results) != 5 || len(doc.Shares) != 1 || doc.Gain == nil || !reflect.DeepEqual(doc.Given.Values, []string{"0", "q,v"}) {
		t.Fatalf("%+v", doc)
	}
	for i, c := range doc.Results {
		if c.AUC == nil || c.Epochs != 4 || c.Round != 1 || len(c.Runs) != 2 || *c.Low > *c.AUC || *c.High < *c.AUC {
			t.Errorf("%+v", c)
		}
		if i > 0 && *c.AUC > *doc.Results[i-1].AUC {
			t.Error("the table is not in order")
		}
		if adapterDigest(t, c.Runs[1].Adapter) != c.Runs[1].Digest {
			t.Errorf("%s: not the adapter of the table", c.Runs[1].Adapter)
		}
	}
	if want := *doc.Results[0].AUC - *doc.Given.AUC; *doc.Gain != want {
		t.Errorf("gain %v, want %v", *doc.Gain, want)
	}
	// The command trains the best, and gives the file of its first run.
	words := strings.Fields(doc.Command)
	best := filepath.Join(t.TempDir(), "best.safetensors")
	if words[0] != "melo" || words[len(words)-1] != "best.safetensors" {
		t.Fatal(doc.Command)
	}
	words[len(words)-1] = best
	melo(t, words[1:]...).want(t, exitDone)
	if adapterDigest(t, best) != doc.Results[0].Runs[0].Digest {
		t.Errorf("%q gives another file", doc.Command)
	}
	// Files in the folder are the same table.
	text, err := os.ReadFile(filepath.Join(out, "sweep.json"))
	var stored experiment.SweepResult
	if err != nil || json.Unmarshal(text, &stored) != nil || !reflect.DeepEqual(stored, doc) {
		t.Errorf("sweep.json: %v, %s", err, text)
	}
	f, err := os.Open(filepath.Join(out, "sweep.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 6 || rows[0][1] != "lr" || rows[1][2] != doc.Results[0].Values[1] {
		t.Errorf("sweep.csv: %v, %v", err, rows)
	}
	// Again: nothing is trained, as the times tell.
	r = melo(t, sweepArgs(data, out, more...)...).want(t, exitDone)
	if !strings.Contains(r.out, "of AUC more") || !strings.Contains(r.out, " *") {
		t.Errorf("table: %s", r.out)
	}
	var again experiment.SweepResult
	melo(t, append([]string{"--json"}, sweepArgs(data, out, more...)...)...).want(t, exitDone).decode(t, &again)
	if !reflect.DeepEqual(comparable(again), comparable(doc)) || again.Results[0].Seconds != doc.Results[0].Seconds {
		t.Error("repeated, the sweep trains again or has another table")
	}
	// Other settings in the same folder are refused.
	r = melo(t, sweepArgs(data, out, append(more, "--crop", "0.9")...)...).want(t, exitUsage)
	if !strings.Contains(r.err, "give another folder") {
		t.Errorf("stderr %q", r.err)
	}
}

// TestSweepHalving: rounds get longer and smaller, and what was given is in the last.
func TestSweepHalving(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 2, 14), filepath.Join(t.TempDir(), "sweep")
	var doc experiment.SweepResult
	melo(t, append([]string{"--json"}, sweepArgs(data, out, "--eta", "2", "--epochs", "8", "--try", "lr=0.01/0.005/0.0005/0.0001/0.00001")...)...).want(t, exitDone).decode(t, &doc)
	if !reflect.DeepEqual(doc.Shares, []float64{0.25, 0.5, 1}) || len(doc.Results) != 6 {
		t.Fatalf("%+v", doc)
	}
	var rounds, epochs []int
	for _, r := range doc.Results {
		rounds, epochs = append(rounds, r.Round), append(epochs, r.Epochs)
	}
	if !reflect.DeepEqual(rounds, []int{3, 3, 3, 2, 1, 1}) || !reflect.DeepEqual(epochs, []int{8, 8, 8, 4, 2, 2}) || doc.Given.Round != 3 {
		t.Errorf("rounds %v, epochs %v, given %+v", rounds, epochs, doc.Given)
	}
}

// TestSweepKilledAndResumed kills the program itself again and again; the table is that of a sweep that was left alone.
func TestSweepKilledAndResumed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts the program many times")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := trainingSet(t, 2, 14)
	more := []string{"--eta", "2", "--epochs", "16", "--patience", "0", "--try", "lr=0.01/0.0005", "--try", "rank=2/4"}
	var whole, got experiment.SweepResult
	melo(t, append([]string{"--json"}, sweepArgs(data, filepath.Join(t.TempDir(), "sweep"), more...)...)...).want(t, exitDone).decode(t, &whole)
	out := filepath.Join(t.TempDir(), "sweep")
	args := append([]string{"--json"}, sweepArgs(data, out, more...)...)
	rng := rand.New(rand.NewPCG(4, 2))
	for range 4 {
		cmd := exec.CommandContext(t.Context(), path, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	process(t, "", args...).want(t, exitDone).decode(t, &got)
	if !reflect.DeepEqual(comparable(got), comparable(whole)) {
		t.Errorf("got %+v, want %+v", got, whole)
	}
	if left, err := filepath.Glob(filepath.Join(out, "runs", "*", "checkpoint*")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// TestSweepInterrupted says how to go on.
func TestSweepInterrupted(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 2, 14), filepath.Join(t.TempDir(), "sweep")
	ctx, cancel := context.WithCancel(t.Context())
	r := meloWatched(ctx, "candidate 2 of", cancel, sweepArgs(data, out, "--search", "grid", "--try", "rank=1/2/3")...).want(t, exitInterrupted)
	if !strings.Contains(r.err, "the same command goes on") {
		t.Errorf("stderr %q", r.err)
	}
}

// TestSweepDiverged: a candidate that fails has a place at the end, and does not stop the others.
func TestSweepDiverged(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "sweep")
	var doc experiment.SweepResult
	melo(t, append([]string{"--json"}, sweepArgs(trainingSet(t, 2, 14), out, "--search", "grid", "--warmup", "0", "--weight-decay", "900",
		"--head-init", "uniform", "--epochs", "20", "--try", "lr=0.00001/900")...)...).want(t, exitDone).decode(t, &doc)
	last := doc.Results[len(doc.Results)-1]
	if last.Values[0] != "900" || last.AUC != nil || !strings.Contains(last.Failed, "not finite") || doc.Results[0].AUC == nil {
		t.Errorf("%+v", doc.Results)
	}
}

// TestSweepTestSplitIsUntouched: whatever the test images show, the table is the same.
func TestSweepTestSplitIsUntouched(t *testing.T) {
	t.Parallel()
	tables := []experiment.SweepResult{}
	for _, level := range []uint8{200, 220} {
		data := t.TempDir()
		for k, split := range []string{"train", "val", "test"} {
			if err := os.Rename(trainingSet(t, 2, 6), filepath.Join(data, split)); err != nil {
				t.Fatal(err)
			}
			for _, path := range picturesIn(t, filepath.Join(data, split)) {
				corner := uint8(10 * k)
				if split == "test" {
					corner = level
				}
				repaint(t, path, corner)
			}
		}
		var doc experiment.SweepResult
		melo(t, append([]string{"--json"}, sweepArgs(data, filepath.Join(t.TempDir(), "sweep"), "--search", "grid", "--try", "rank=1/2")...)...).want(t, exitDone).decode(t, &doc)
		doc = comparable(doc)
		doc.Data.Digest, doc.Data.Path = "", ""
		for i := range doc.Results {
			doc.Results[i].Runs = nil // the files name the data
		}
		tables = append(tables, doc)
	}
	if !reflect.DeepEqual(tables[0], tables[1]) {
		t.Errorf("%+v\n%+v", tables[0], tables[1])
	}
}

func picturesIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.png"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	return files
}

func TestSweepBadInput(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 8)
	for _, c := range []struct {
		status int
		says   string
		more   []string
	}{
		{exitUsage, "--try speed=1", []string{"--try", "speed=1"}},
		{exitUsage, "--try rank", []string{"--try", "rank"}},
		{exitUsage, "expected a whole number", []string{"--try", "rank=2/x"}},
		{exitUsage, "expected a number", []string{"--try", "lr=x"}},
		{exitUsage, "twice", []string{"--try", "rank=2", "--try", "rank=4"}},
		{exitUsage, "--rank 0", []string{"--try", "rank=0"}},
		{exitUsage, "--sites", []string{"--try", "sites=q,x"}},
		{exitUsage, "expected melo, linear or full", []string{"--try", "method=best"}},
		{exitUsage, "--eta", []string{"--eta", "1"}},
		{exitUsage, "--seeds", []string{"--seeds", "0"}},
		{exitUsage, "--folds", []string{"--folds", "3"}},
		{exitUsage, "--val-split", []string{"--val-split", "0"}},
		{exitUsage, "rank 33", []string{"--try", "rank=33"}},
		{exitBadInput, "nowhere", []string{"--data", "nowhere"}},
	} {
		r := melo(t, sweepArgs(data, filepath.Join(t.TempDir(), "sweep"), c.more...)...).want(t, c.status)
		if r.out != "" || !strings.Contains(r.err, c.says) {
			t.Errorf("%v: want %q, got stdout %q, stderr %q", c.more, c.says, r.out, r.err)
		}
	}
}
