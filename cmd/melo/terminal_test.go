package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The tests of this file are about people at a terminal of 80 columns: what they read fits it, nothing is sent to it
// that it would obey, and what goes into a file is text.

// wide returns the lines of text that a screen would wrap.
func wide(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			lines = append(lines, line)
		}
	}
	return lines
}

// noise is what a busy machine makes longer.
var noise = regexp.MustCompile(`spread \d+%`)

// TestHelpFitsAScreen goes over the help of all commands, those below others included.
func TestHelpFitsAScreen(t *testing.T) {
	lines := [][]string{{"help"}, {"token", "new", "--help"}, {"audit", "verify", "--help"}}
	for _, name := range commandNames() {
		lines = append(lines, []string{name, "--help"})
	}
	for _, args := range lines {
		r := melo(t, args...).want(t, exitDone)
		for _, line := range wide(r.out) {
			t.Errorf("melo %s: %d columns: %s", strings.Join(args, " "), utf8.RuneCountInString(line), line)
		}
		for _, part := range []string{",...,", "=FLOAT-64", "=INT\n", "\x1b", "\t"} {
			if strings.Contains(r.out, part) {
				t.Errorf("melo %s: shows %q", strings.Join(args, " "), part)
			}
		}
	}
}

// TestResultsFitAScreen runs what trains and measures. Standard output has the same lines on a terminal and in a file;
// commands to be copied, which begin with melo, may be longer than a screen, paths are kept short here.
func TestResultsFitAScreen(t *testing.T) {
	data := trainingSet(t, 3, 10)
	base, err := filepath.Abs(goldenDir("hf_vit"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Rename(data, "data"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base, "base"); err != nil {
		t.Skip(err)
	}
	common := []string{"--base", "base", "--data", "data", "--epochs", "2", "--batch", "8", "--rank", "2"}
	with := func(name string, more ...string) []string { return append(append([]string{name}, common...), more...) }
	for _, args := range [][]string{
		{"data", "data", "--sheet", "sheet.png"},
		with("train", "--out", "a.safetensors"),
		{"inspect", "a.safetensors"},
		{"inspect", "embedded"},
		{"inspect", "--tensors", "base"},
		{"eval", "--adapter", "a.safetensors", "--data", "data", "--resamples", "100", "--html", "e.html"},
		{"predict", "--adapter", "a.safetensors", "--top", "3", "data/class_a/00.png"},
		{"convert", "--to", "peft", "a.safetensors", "peft"},
		{"convert", "--base", "base", "peft", "b.safetensors"},
		with("compare", "--seeds", "1", "--resamples", "100", "--out", "c"),
		with("sweep", "--try", "lr=0.001/0.002", "--search", "grid", "--out", "s"),
		{"bench", "--base", "base", "--duration", "1ms", "--threads", "1"},
		{"doctor"},
		{"version"},
	} {
		name := strings.Join(args, " ")
		r := melo(t, args...).want(t, exitDone)
		for _, line := range wide(noise.ReplaceAllString(r.out, "spread 9%")) {
			if !strings.HasPrefix(strings.TrimSpace(line), "melo ") {
				t.Errorf("melo %s: %d columns: %s", name, utf8.RuneCountInString(line), line)
			}
		}
		if i := strings.IndexAny(r.out+r.err, "\x1b\r\b\x00"); i >= 0 {
			t.Errorf("melo %s: a control character in a file: %q", name, (r.out + r.err)[max(0, i-20):i+1])
		}
		if strings.Contains(r.out, "melo: ") {
			t.Errorf("melo %s: remarks among the results:\n%s", name, r.out)
		}
	}
}

// TestTerminal trains before a terminal: lines are wrapped, the bar is gone at the end, and the lines are all there.
func TestTerminal(t *testing.T) {
	var out, errs strings.Builder
	args := trainArgs(trainingSet(t, 2, 14), filepath.Join(t.TempDir(), "a.safetensors"))
	s := &stdio{in: strings.NewReader(""), out: &out, err: &errs, columns: func() int { return 80 }}
	if status := run(t.Context(), args, s); status != exitDone {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	for _, line := range strings.Split(errs.String(), "\n") {
		redrawn := strings.Split(line, "\r")
		last := redrawn[len(redrawn)-1]
		if strings.Contains(last, "training ") || strings.Contains(line, "\x1b") {
			t.Errorf("a bar stays: %q", line)
		}
		for _, part := range redrawn {
			if len(part) > 80 && strings.Contains(part, "  ") {
				t.Errorf("%d columns: %q", len(part), part)
			}
		}
	}
	for _, part := range []string{"epoch 1/4", "epoch 4/4"} {
		if !strings.Contains(errs.String(), part) {
			t.Errorf("%s is missing in %q", part, errs.String())
		}
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("standard output %q", out.String())
	}
}

// TestNamesAreNoCommands: a label of a data set cannot steer the terminal.
func TestNamesAreNoCommands(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 10)
	if err := os.Rename(filepath.Join(data, "class_a"), filepath.Join(data, "class\x1b[31m_a")); err != nil {
		t.Skip(err)
	}
	if r := melo(t, "data", data); strings.ContainsAny(r.out+r.err, "\x1b") {
		t.Errorf("an escape sequence is passed on: %q", r.out+r.err)
	}
}
