package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/dataset"
	"melo.example/melo/demo"
)

// tinyDemo is a demo of seconds: what it learns is nothing, but all of it runs.
func tinyDemo(dir string, tasks ...string) *demoOptions {
	return &demoOptions{Out: dir, Tasks: tasks, Base: "embedded", Seed: 1,
		size: &demo.Size{Pictures: demo.Counts{Train: 24, Val: 12, Test: 24}, Epochs: 1, Resamples: 100}}
}

// runDemo runs it as the command line would.
func runDemo(t *testing.T, o *demoOptions, json bool) (out, err string) {
	t.Helper()
	var stdout, stderr strings.Builder
	s := &stdio{in: strings.NewReader(""), out: &stdout, err: &stderr, json: json, args: []string{"demo", "--out", o.Out}}
	if err := o.Run(t.Context(), s); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return stdout.String(), stderr.String()
}

func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "my demo")
	out, _ := runDemo(t, tinyDemo(dir, "tb", "blood"), false)
	for _, part := range []string{"tb ", "blood ", "melo ", "linear ", "full ", "equal to the bit", "next:", "predict --adapter", "'" + dir} {
		if !strings.Contains(out, part) {
			t.Errorf("the demo does not print %q:\n%s", part, out)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, demo.Report))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"synthetic", "not a medical device", "Synthetic blood cells of four types", "image/jpeg", "<svg"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("the report lacks %q", part)
		}
	}
	// The commands that it names work, and what it made is not made again.
	for _, line := range strings.Split(out, "\n") {
		if rest, ok := strings.CutPrefix(line, "  melo "); ok && !strings.Contains(rest, "YOUR_FOLDER") {
			melo(t, shellWords(t, rest)...).want(t, exitDone)
		}
	}
	adapter := filepath.Join(dir, "tb", "melo-1.safetensors")
	// The command in the report is the comparison that the demo made: its runs are those.
	var made struct{ Command []string }
	if text, err := os.ReadFile(filepath.Join(dir, "tb", "melo-1.run", "run.json")); err != nil || json.Unmarshal(text, &made) != nil {
		t.Fatal(err)
	}
	if r := melo(t, made.Command...).want(t, exitDone); strings.Count(r.err, "done before") != 3 {
		t.Errorf("%v made runs anew:\n%s", made.Command, r.err)
	}
	before, err := os.Stat(adapter)
	if err != nil {
		t.Fatal(err)
	}
	again, said := runDemo(t, tinyDemo(dir, "tb", "blood"), true)
	after, err := os.Stat(adapter)
	if err != nil || !after.ModTime().Equal(before.ModTime()) || !strings.Contains(said, "done before") {
		t.Errorf("the demo trained anew (%v): %s", err, said)
	}
	var doc demo.Document
	result{out: again}.decode(t, &doc)
	if len(doc.Tasks) != 2 || len(doc.Tasks[0].Methods) != 3 || doc.Tasks[0].Methods[0].AUC == nil || !doc.Serving.BitEqual || doc.Serving.SwitchSeconds <= 0 {
		t.Errorf("document %+v", doc)
	}
	// A demo of another size is not mixed into it, and a folder of something else is left alone.
	other := tinyDemo(dir, "tb")
	other.size.Epochs++
	if err := other.Run(t.Context(), &stdio{out: &strings.Builder{}, err: &strings.Builder{}}); exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "--restart") {
		t.Errorf("another size in the same folder: %v", err)
	}
	mine := t.TempDir()
	if err := os.WriteFile(filepath.Join(mine, "thesis.txt"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	melo(t, "demo", "--out", mine).want(t, exitUsage)
}

// shellWords splits what text.Command joins.
func shellWords(t *testing.T, line string) (words []string) {
	t.Helper()
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		var word string
		var ok bool
		if strings.HasPrefix(line, "'") {
			if word, line, ok = strings.Cut(line[1:], "'"); !ok {
				t.Fatalf("no closing quote: %s", line)
			}
		} else {
			word, line, _ = strings.Cut(line, " ")
		}
		words = append(words, word)
	}
	return words
}

func TestDemoWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var doc demo.Document
	melo(t, "--json", "demo", "--write", dir, "--pictures", "40", "--tasks", "breast,blood").want(t, exitDone).decode(t, &doc)
	if len(doc.Tasks) != 2 || doc.Tasks[0].Pictures != (demo.Counts{Train: 20, Val: 8, Test: 12}) {
		t.Errorf("document %+v", doc)
	}
	for _, task := range doc.Tasks {
		ds, err := dataset.Open(task.Data, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(ds.Samples) != 40 {
			t.Errorf("%s: %d samples", task.Name, len(ds.Samples))
		}
	}
	melo(t, "demo", "--write", dir).want(t, exitFailed) // it is not empty any more
	for _, args := range [][]string{{"--pictures", "60"}, {"--write", dir, "--pictures", "3"}, {"--tasks", "tb,tb"}, {"--tasks", "eye"}} {
		melo(t, append([]string{"demo"}, args...)...).want(t, exitUsage)
	}
}
