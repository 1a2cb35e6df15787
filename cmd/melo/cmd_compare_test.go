package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/vit"
)

// compareArgs is a quick comparison on the tiny base.
func compareArgs(data, out string, more ...string) []string {
	return append([]string{"compare", "--base", goldenDir("hf_vit"), "--data", data, "--out", out, "--epochs", "2", "--batch", "8", "--seeds", "2",
		"--resamples", "200", "--precision", "f32"}, more...)
}

func compared(t *testing.T, args ...string) (d experiment.ComparisonDocument, stderr string) {
	t.Helper()
	r := melo(t, append([]string{"--json"}, args...)...).want(t, exitDone)
	r.decode(t, &d)
	return d, r.err
}

// TestCompare: numbers are means of what eval says of each adapter, differences are differences, the outputs agree,
// and a second time nothing is trained again.
func TestCompare(t *testing.T) {
	t.Parallel()
	data, out := trainingSet(t, 3, 30), filepath.Join(t.TempDir(), "new", "c")
	d, _ := compared(t, compareArgs(data, out, "--pictures", "3")...)
	if len(d.Methods) != 3 || len(d.Differences) != 3 || len(d.Seeds) != 2 || d.Data.Test == 0 || d.Bootstrap.Resamples != 200 {
		t.Fatalf("%+v", d)
	}
	sums := map[string]float64{}
	for _, m := range d.Methods {
		if len(m.Runs) != 2 || m.N != d.Data.Test {
			t.Fatalf("%s: %d runs, %d images", m.Method, len(m.Runs), m.N)
		}
		for _, r := range m.Runs {
			e := evaluate(t, r.Adapter.Path, data, "--split", "test")
			if e.Adapter.Digest != r.Adapter.Digest {
				t.Errorf("%s, seed %d: %+v, eval says %+v", m.Method, r.Seed, r.Adapter, e.Adapter)
			}
			for what, v := range map[string][2]*float64{"AUC": {r.AUC, e.AUC}, "accuracy": {r.Accuracy, e.Accuracy}, "ECE": {r.ECE, e.ECE},
				"uncalibrated ECE": {r.UncalibratedECE, e.Calibration.Uncalibrated.ECE}} {
				if math.Abs(*v[0]-*v[1]) > 1e-12 { // another order of adding up
					t.Errorf("%s, seed %d: %s %v, eval says %v", m.Method, r.Seed, what, *v[0], *v[1])
				}
			}
			sums[m.Method] += *r.AUC / 2
			epochs := 2
			if m.Method == "linear" {
				epochs = 0 // solved
			}
			if r.SecondsPerEpoch <= 0 != (epochs == 0) || r.Epochs != epochs || r.ValidationAUC == nil {
				t.Errorf("%+v", r)
			}
		}
		if math.Abs(*m.AUC-sums[m.Method]) > 1e-12 || m.AUCInterval == nil || m.AUCDeviation == nil ||
			math.Abs(*m.AUCDeviation-math.Abs(*m.Runs[0].AUC-*m.Runs[1].AUC)/math.Sqrt2) > 1e-12 {
			t.Errorf("%s: AUC %v, mean %v, sd %v", m.Method, *m.AUC, sums[m.Method], *m.AUCDeviation)
		}
	}
	for _, x := range d.Differences {
		if want := sums[x.First] - sums[x.Second]; math.Abs(*x.AUC.Difference-want) > 1e-12 || *x.AUC.P <= 0 || *x.AUC.P > 1 {
			t.Errorf("%s - %s: %+v, want %v", x.First, x.Second, x.AUC, want)
		}
	}
	if a, b := d.Methods[0], d.Methods[2]; a.Params.Share >= 1 || b.Params.Share != 1 || a.Bytes >= b.Bytes || b.Settings.Precision != vit.FastestTraining().String() {
		t.Errorf("parameters and sizes: %+v and %+v", a.Params, b.Params)
	}
	checkCompareFiles(t, out, &d)

	again, stderr := compared(t, compareArgs(data, out, "--pictures", "3")...)
	if strings.Count(stderr, "done before") != 6 {
		t.Errorf("stderr %q", stderr)
	}
	again.Seconds = d.Seconds
	if !reflect.DeepEqual(again, d) {
		t.Errorf("the second time: %+v\nthe first: %+v", again, d)
	}
	r := melo(t, compareArgs(data, out)...).want(t, exitDone)
	for _, want := range []string{"melo - linear", "linear - full", "peak memory", "report.html"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the table lacks %q: %s", want, r.out)
		}
	}
	for _, line := range strings.Split(r.out, "\n") {
		if len([]rune(line)) > 80 && !strings.Contains(line, "/") {
			t.Errorf("a line of %d columns: %s", len([]rune(line)), line)
		}
	}
	// A comparison of some of the methods goes on with the same runs, other settings do not.
	if d, _ := compared(t, compareArgs(data, out, "--methods", "linear,melo")...); d.Differences[0].First != "linear" || *d.Differences[0].AUC.Difference != -*again.Differences[0].AUC.Difference {
		t.Errorf("%+v", d.Differences)
	}
	if r := melo(t, compareArgs(data, out, "--epochs", "3")...).want(t, exitUsage); !strings.Contains(r.err, "setting epochs: expected 3, found 2") || !strings.Contains(r.err, "--restart") {
		t.Errorf("stderr %q", r.err)
	}
	if d, _ := compared(t, compareArgs(data, out, "--epochs", "1", "--methods", "linear", "--seeds", "1", "--lr", "linear=0.01", "--restart")...); d.Methods[0].Settings.LR != 0.01 ||
		len(d.Differences) != 0 || d.Methods[0].AUCDeviation != nil || d.Methods[0].Epochs != 1 {
		t.Errorf("%+v", d.Methods[0])
	}
}

// checkCompareFiles reads what is beside the document.
func checkCompareFiles(t *testing.T, out string, d *experiment.ComparisonDocument) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, experiment.ComparisonJSON))
	if err != nil {
		t.Fatal(err)
	}
	var file experiment.ComparisonDocument
	if err := json.Unmarshal(text, &file); err != nil || !reflect.DeepEqual(&file, d) {
		t.Errorf("%s differs from the document: %v", experiment.ComparisonJSON, err)
	}
	header, rows := rowsOf(t, filepath.Join(out, experiment.ComparisonTable))
	if len(rows) != 9 || rows[0][0] != "melo" || rows[0][1] != "" || rows[2][1] != "2" || rows[6][0] != "full" {
		t.Errorf("rows %v", rows)
	}
	for k, name := range header {
		if name == "auc" && rows[3][k] != fmt.Sprint(*d.Methods[1].AUC) {
			t.Errorf("AUC of linear is %s, want %v", rows[3][k], *d.Methods[1].AUC)
		}
	}
	page := pageOf(t, filepath.Join(out, experiment.ComparisonReport))
	wants(t, page, "Learning curves", "Worst mistakes", "melo − linear", "class_b", "Every run", "low-rank adapter")
	for _, m := range d.Methods {
		mark := map[bool]string{true: " ~"}[slices.Contains(m.Approximate, "auc")]
		wants(t, page, fmt.Sprintf("%.3f<small>(%.3f to %.3f)%s, sd %.3f", *m.AUC, m.AUCInterval[0], m.AUCInterval[1], mark, *m.AUCDeviation))
	}
	if n := strings.Count(page, "<svg "); n != 3+3+6+3 {
		t.Errorf("%d figures", n)
	}
}

// TestCompareInterrupted: stopped in any run, the same command goes on, and the adapters are those of a comparison
// that was not stopped.
func TestCompareInterrupted(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 24)
	whole, out := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	want, _ := compared(t, compareArgs(data, whole)...)
	for _, at := range []string{"melo, seed 1: val", "linear, seed 2: val", "full, seed 1", "testing melo, seed 2"} {
		ctx, cancel := context.WithCancel(t.Context())
		r := meloWatched(ctx, at, cancel, compareArgs(data, out)...)
		cancel()
		if r.status == exitDone { // a short piece of work may have been over by then
			continue
		}
		r.want(t, exitInterrupted)
		if !strings.Contains(r.err, "to go on") || !strings.Contains(r.err, "melo compare --base") {
			t.Errorf("stopped at %q: %s", at, r.err)
		}
	}
	got, _ := compared(t, compareArgs(data, out)...)
	for m := range want.Methods {
		for k := range want.Methods[m].Runs {
			a, b := want.Methods[m].Runs[k], got.Methods[m].Runs[k]
			if a.Adapter.Digest != b.Adapter.Digest || *a.AUC != *b.AUC {
				t.Errorf("%s, seed %d: %+v, want %+v", want.Methods[m].Method, a.Seed, b.Adapter, a.Adapter)
			}
		}
	}
}

// TestCompareMultiLabel: labels that do not exclude each other are compared, too.
func TestCompareMultiLabel(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 2, 24), "class_a", "class_b", "group")
	out := filepath.Join(t.TempDir(), "c")
	d, _ := compared(t, compareArgs(data, out, "--methods", "melo,linear", "--label-columns", "class_a,class_b", "--task", "multilabel")...)
	if d.Data.Task != "multilabel" || d.Bootstrap.Unit != "group" || len(d.Methods[1].PerLabel) != 2 {
		t.Errorf("%+v", d)
	}
	wants(t, pageOf(t, filepath.Join(out, experiment.ComparisonReport)), "present", "absent", "melo: class_a")
}

func TestCompareRefuses(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 12)
	for _, c := range []struct {
		status int
		text   string
		more   []string
	}{
		{exitUsage, "--seeds 0", []string{"--seeds", "0"}},
		{exitUsage, "--folds", []string{"--folds", "1"}},
		{exitUsage, "melo twice", []string{"--methods", "melo,melo"}},
		{exitUsage, "--lr full", []string{"--methods", "melo", "--lr", "full=0.1"}},
		{exitUsage, "--rank 0", []string{"--rank", "0"}},
		{exitUsage, "--pictures -1", []string{"--pictures=-1"}},
		{exitUsage, "--methods", []string{"--methods", "prompt"}},
		{exitBadInput, "no test split", []string{"--test-split", "0"}},
	} {
		r := melo(t, compareArgs(data, filepath.Join(t.TempDir(), "c"), c.more...)...).want(t, c.status)
		if !strings.Contains(r.err, c.text) {
			t.Errorf("%v: stderr %q, want %q", c.more, r.err, c.text)
		}
	}
	file := write(t, "file", []byte("x"))
	if r := melo(t, compareArgs(data, file)...).want(t, exitFailed); !strings.Contains(r.err, file) {
		t.Errorf("stderr %q", r.err)
	}
	// What diverges is named.
	r := melo(t, compareArgs(data, filepath.Join(t.TempDir(), "c"), "--methods", "melo", "--lr", "melo=900", "--weight-decay", "900", "--warmup", "0",
		"--epochs", "20", "--head-init", "uniform")...).want(t, exitFailed)
	if !strings.Contains(r.err, "melo, seed 1: train: ") || !strings.Contains(r.err, "0 of 2 runs are done") {
		t.Errorf("stderr %q", r.err)
	}
}

// TestResetPeakMemory: the peak counts from then on.
func TestResetPeakMemory(t *testing.T) {
	if !sysinfo.ResetPeak() {
		t.Skip("this system does not reset the peak")
	}
	const size = 200 << 20
	b := make([]byte, size)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	_, high := sysinfo.Resident()
	b = nil
	_ = b
	if !sysinfo.ResetPeak() {
		t.Fatal("the second time fails")
	}
	if _, low := sysinfo.Resident(); low > high-size/2 {
		t.Errorf("peak %d, before %d", low, high)
	}
}
