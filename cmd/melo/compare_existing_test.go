package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/experiment"
)

// TestCompareExisting: adapters that are there have the numbers that eval gives them; their own answers from a table differ from
// them by nothing; answers for other images, and no numbers, are refused.
func TestCompareExisting(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 40)
	one, two := trained(t, data), trained(t, data, "--method", "linear", "--seed", "1")
	table := filepath.Join(t.TempDir(), "answers.csv")
	want := evaluate(t, two, data, "--predictions", table)
	args := []string{"--json", "compare", "--base", goldenDir("hf_vit"), "--data", data, "--resamples", "200", "--adapters", one}
	var d experiment.ExistingDocument
	melo(t, append(args, "--adapters", two, "--answers", table)...).want(t, exitDone).decode(t, &d)
	if len(d.Answers) != 3 || len(d.Differences) != 2 || d.Answers[2].Digest != "" || d.Answers[1].DeLong == nil {
		t.Fatalf("%+v", d)
	}
	for _, a := range d.Answers[1:] {
		if *a.AUC != *want.AUC || *a.AUCInterval != *want.AUCInterval || *a.Brier != *want.Brier || a.N != want.N {
			t.Errorf("%+v, eval says %+v", a, want.Numbers)
		}
	}
	if x, y := d.Differences[0].AUC, d.Differences[1].AUC; *x.Difference != *y.Difference || d.Differences[0].Margin != 0.01 || d.Differences[0].OverSeeds {
		t.Errorf("%+v and %+v", x, y)
	}
	// An adapter beside itself: no resample differs, so that there is no interval and no test.
	melo(t, append(args, "--adapters", one)...).want(t, exitDone).decode(t, &d)
	if x := d.Differences[0]; *x.AUC.Difference != 0 || x.AUC.Interval != nil || x.NotInferior != nil {
		t.Errorf("%+v", x)
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for name, bad := range map[string]string{
		"has no answer for": strings.Join(lines[:len(lines)-2], ""),
		"twice":             string(text) + lines[1],
		"has no column":     strings.Replace(string(text), "probability:", "p:", 1),
		"expected a table":  "",
	} {
		path := filepath.Join(t.TempDir(), "bad.csv")
		if err := os.WriteFile(path, []byte(bad), 0o666); err != nil {
			t.Fatal(err)
		}
		if r := melo(t, append(args[1:], "--answers", path)...).want(t, exitBadInput); !strings.Contains(r.err, name) || !strings.Contains(r.err, "bad.csv") {
			t.Errorf("%s: %q", name, r.err)
		}
	}
	melo(t, args[1:]...).want(t, exitUsage)
}
