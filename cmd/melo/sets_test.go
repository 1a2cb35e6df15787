package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/predictions"
)

// TestPredictionSets: what eval counts is what predict says of the same images, with one label an image and with several; a set always
// has the most probable label, one that is sure is in it; an adapter without calibration is refused by name.
func TestPredictionSets(t *testing.T) {
	t.Parallel()
	labels := trainingSet(t, 3, 20)
	for name, folder := range map[string]string{"one label": labels, "several": trainingSet(t, 2, 30)} {
		data := folder
		adapter := filepath.Join(t.TempDir(), "a.safetensors")
		more := []string{}
		if name == "several" {
			data = table(t, folder, "class_a", "class_b")
			more = append(more, "--task", "multilabel")
		}
		melo(t, append([]string{"train", "--base", goldenDir("hf_vit"), "--data", data, "--out", adapter, "--method", "linear", "--val-split", "0.3", "--test-split", "0.3",
			"--precision", "f32"}, more...)...).want(t, exitDone)
		answers := filepath.Join(t.TempDir(), "answers.csv")
		e := evaluate(t, adapter, data, "--split", "test", "--coverage", "0.8", "--predictions", answers)
		x := e.Sets
		if x == nil || x.Coverage != 0.8 || x.N != e.N-e.Fit.Unlike || x.Calibrated == 0 || len(x.PerLabel) != len(e.Labels) || (name == "several") != (len(x.Abstention) == 0) {
			t.Fatalf("%s: %+v", name, x)
		}
		if name == "one label" {
			last := x.Abstention[len(x.Abstention)-1]
			if x.Single == nil || !slices.IsSortedFunc(x.Abstention, func(a, b experiment.Abstention) int { return int(1000 * (a.Answered - b.Answered)) }) ||
				last.Answered < 1-e.Fit.Share-1e-9 {
				t.Errorf("%+v", x)
			}
		}
		header, rows := rowsOf(t, answers)
		var images []string
		for _, row := range rows {
			images = append(images, filepath.Join(folder, row[slices.Index(header, "path")]))
		}
		r := melo(t, append([]string{"--json", "predict", "--adapter", adapter, "--coverage", "0.8"}, images...)...).want(t, exitDone)
		var doc predictions.Document
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
			t.Fatal(err)
		}
		held, all := 0, 0
		for k, p := range doc.Results {
			if (p.Set == nil) != p.Fit.Unlike {
				t.Fatalf("%s: %+v", name, p)
			}
			if p.Set == nil {
				continue
			}
			if name == "one label" && !slices.Contains(p.Set.Labels, p.Label) {
				t.Errorf("%+v lacks the most probable label %s", p.Set, p.Label)
			}
			for _, s := range p.Set.Sure {
				if !slices.Contains(p.Set.Labels, s) {
					t.Errorf("%+v", p.Set)
				}
			}
			for _, l := range doc.Labels {
				truth := rows[k][slices.Index(header, "true:"+l)] == "1"
				switch {
				case truth:
					all++
					if slices.Contains(p.Set.Labels, l) {
						held++
					}
				case name == "several":
					all++
					if !slices.Contains(p.Set.Sure, l) {
						held++
					}
				}
			}
		}
		if got := float64(held) / float64(all); got != *x.Held {
			t.Errorf("%s: predict's sets hold %v, eval says %v", name, got, *x.Held)
		}
		if out := melo(t, "predict", "--adapter", adapter, "--coverage", "0.8", "--csv", images[0]).want(t, exitDone).out; !strings.Contains(out, ",set,sure") {
			t.Errorf("CSV %s", out)
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.safetensors")
	melo(t, "train", "--base", goldenDir("hf_vit"), "--data", labels, "--out", bare, "--method", "linear", "--val-split", "0", "--precision", "f32").want(t, exitDone)
	image := filepath.Join(labels, "class_a")
	if r := melo(t, "predict", "--adapter", bare, "--coverage", "0.9", image).want(t, exitBadInput); !strings.Contains(r.err, "bare: has no calibration") {
		t.Errorf("stderr %s", r.err)
	}
	for _, bad := range []string{"1", "-0.5", "NaN"} {
		melo(t, "predict", "--adapter", bare, "--coverage="+bad, image).want(t, exitUsage)
		melo(t, "eval", "--adapter", bare, "--data", labels, "--coverage="+bad).want(t, exitUsage)
	}
}
