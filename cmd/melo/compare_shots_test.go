package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/experiment"
)

// TestCompareShots: each number of images is a comparison of its own on the same test images, and eval finds the split of such an
// adapter again.
func TestCompareShots(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 3, 30), filepath.Join(t.TempDir(), "c")
	args := []string{"compare", "--base", goldenDir("hf_vit"), "--data", data, "--out", out, "--methods", "linear", "--shots", "2,6", "--seeds", "2",
		"--resamples", "200", "--precision", "f32", "--pictures", "1"}
	r := melo(t, append([]string{"--json"}, args...)...).want(t, exitDone)
	var d experiment.ShotsDocument
	r.decode(t, &d)
	if !slices.Equal(d.Shots, []int{2, 6}) || len(d.Results) != 2 {
		t.Fatalf("%+v", d)
	}
	for i, x := range d.Results {
		c := &x.Comparison
		if x.Shots != d.Shots[i] || c.Data.Train != 3*x.Shots || c.Data.Test != d.Results[0].Comparison.Data.Test || len(c.Methods[0].Runs) != 2 {
			t.Errorf("%d: %+v", x.Shots, c.Data)
		}
		for _, run := range c.Methods[0].Runs {
			if e := evaluate(t, run.Adapter.Path, data, "--split", "test"); *e.AUC != *run.AUC {
				t.Errorf("%s: AUC %v, eval says %v", run.Adapter.Path, *run.AUC, *e.AUC)
			}
		}
	}
	wants(t, pageOf(t, filepath.Join(out, "report.html")), "AUC by training images of each label", "Trained on 2, 6 images", "linear on 6")
	if _, rows := rowsOf(t, filepath.Join(out, experiment.ShotsTable)); len(rows) != 2 || rows[1][0] != "6" || rows[1][1] != "18" {
		t.Errorf("%v", rows)
	}
	if r := melo(t, args...).want(t, exitDone); strings.Count(r.err, "done before") != 4 || !strings.Contains(r.out, "of each label") {
		t.Errorf("stdout %s\nstderr %s", r.out, r.err)
	}
	melo(t, append(args, "--shots", "6")...).want(t, exitUsage)
	melo(t, append(args, "--shots", "0")...).want(t, exitUsage)
}
