package main

import (
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"melo.example/melo/metric"
)

// TestCompareFolds: every image is answered once, by the adapter that was not trained on it, as eval answers; the pooled AUC is that of
// these answers, and what is done is not done again.
func TestCompareFolds(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 2, 30), filepath.Join(t.TempDir(), "c")
	args := func(more ...string) []string {
		return append([]string{"compare", "--base", goldenDir("hf_vit"), "--data", data, "--out", out, "--epochs", "1", "--batch", "8", "--folds", "3",
			"--methods", "linear,melo", "--resamples", "200", "--precision", "f32", "--pictures", "2"}, more...)
	}
	d, _ := compared(t, args()...)
	if d.Folds != 3 || len(d.Seeds) != 1 || d.Data.Test != 60 || len(d.Methods) != 2 {
		t.Fatalf("%+v", d)
	}
	for _, m := range d.Methods {
		if len(m.Runs) != 3 || m.N != 60 || m.PerFold == nil || m.PerFold.Folds != 3 || m.AUCDeviation != nil {
			t.Fatalf("%s: %+v", m.Method, m)
		}
		seen := map[string]bool{}
		p := &metric.Predictions{Labels: 2, Exclusive: true}
		mean := 0.0
		for f, r := range m.Runs {
			table := filepath.Join(t.TempDir(), "answers.csv")
			e := evaluate(t, r.Adapter.Path, data, "--split", "test", "--predictions", table)
			if r.Fold != f+1 || math.Abs(*r.AUC-*e.AUC) > 1e-12 {
				t.Errorf("%s: %+v, eval says %v", m.Method, r, *e.AUC)
			}
			mean += *r.AUC / 3
			header, rows := rowsOf(t, table)
			for _, row := range rows {
				seen[row[0]] = true
				for _, name := range e.Labels {
					v, err := strconv.ParseFloat(row[slices.Index(header, "probability:"+name)], 64)
					if err != nil {
						t.Fatal(err)
					}
					p.Prob = append(p.Prob, v)
					p.Truth = append(p.Truth, row[slices.Index(header, "true:"+name)] == "1")
				}
			}
		}
		if auc, _ := p.MacroAUC(); len(seen) != 60 || math.Abs(auc-*m.AUC) > 1e-12 || math.Abs(*m.PerFold.Mean-mean) > 1e-12 {
			t.Errorf("%s: %d images, pooled AUC %v, want %v; mean %v, want %v", m.Method, len(seen), *m.AUC, auc, *m.PerFold.Mean, mean)
		}
	}
	x := d.Differences[0]
	if x.PerFold == nil || math.Abs(*x.PerFold.Difference-(*d.Methods[0].PerFold.Mean-*d.Methods[1].PerFold.Mean)) > 1e-12 || x.OverSeeds {
		t.Errorf("%+v", x)
	}
	page := pageOf(t, filepath.Join(out, "report.html"))
	wants(t, page, "AUC over the folds", "repeat 1, fold 3", "linear − melo", "each of 60 images")

	// The folds answer as one, but there is nothing in this data that none of them has seen.
	list := filepath.Join(out, "melo.ensemble.json")
	melo(t, "predict", "--adapter", list, pictures(t, 1)[0]).want(t, exitDone)
	if r := melo(t, "eval", "--adapter", list, "--data", data).want(t, exitBadInput); !strings.Contains(r.err, "nothing is left to test on") {
		t.Errorf("stderr %s", r.err)
	}

	r := melo(t, args("--repeats", "2")...).want(t, exitDone) // the first repeat is there already
	if strings.Count(r.err, "done before") != 6 || !strings.Contains(r.out, "over folds") || !strings.Contains(r.out, "2 times 3 folds") {
		t.Errorf("stdout %s\nstderr %s", r.out, r.err)
	}
	for _, bad := range [][]string{{"--folds", "0", "--repeats", "2"}, {"--repeats", "0"}, {"--folds", "1"}} {
		melo(t, args(bad...)...).want(t, exitUsage)
	}
}
