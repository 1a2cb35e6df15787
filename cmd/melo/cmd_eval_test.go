package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"melo.example/melo/dataset"
	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/metric"
	"melo.example/melo/safetensors"
)

// table turns class folders into one with a labels.csv beside them: label, group, sex, and one column a label.
// Two images in a row are of one patient. It returns the path of the folder.
func table(t testing.TB, folders string, columns ...string) string {
	t.Helper()
	ds, err := dataset.Open(folders, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Join(append([]string{"path"}, columns...), ",") + "\n"
	for i, s := range ds.Samples {
		values := map[string]string{"label": ds.Labels[s.Label], "group": fmt.Sprint("p", i/2), "sex": []string{"f", "m", "m"}[i%3], "number": fmt.Sprint(i)}
		for l, name := range ds.Labels {
			values[name] = map[bool]string{true: "1", false: "0"}[s.Label == l]
		}
		rows += s.Path
		for _, c := range columns {
			rows += "," + values[c]
		}
		rows += "\n"
	}
	if err := os.WriteFile(filepath.Join(folders, "labels.csv"), []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	return folders
}

// trained trains an adapter quickly and returns its path.
func trained(t testing.TB, data string, more ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var stdout, stderr strings.Builder
	if status := run(t.Context(), trainArgs(data, out, more...), &stdio{in: strings.NewReader(""), out: &stdout, err: &stderr}); status != exitDone {
		t.Fatalf("training: exit status %d: %s", status, stderr.String())
	}
	return out
}

func evaluate(t *testing.T, adapter, data string, more ...string) experiment.EvaluationDocument {
	t.Helper()
	var doc experiment.EvaluationDocument
	melo(t, append([]string{"--json", "eval", "--adapter", adapter, "--data", data}, more...)...).want(t, exitDone).decode(t, &doc)
	return doc
}

// rowsOf reads a CSV file, with its header.
func rowsOf(t *testing.T, path string) (header []string, rows [][]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil || len(all) < 2 {
		t.Fatalf("%s: %d rows, %v", path, len(all), err)
	}
	return all[0], all[1:]
}

// fromCSV makes predictions of a file that --predictions wrote.
func fromCSV(t *testing.T, path string, labels []string, exclusive bool) *metric.Predictions {
	t.Helper()
	header, rows := rowsOf(t, path)
	p := &metric.Predictions{Labels: len(labels), Exclusive: exclusive}
	for _, row := range rows {
		for _, l := range labels {
			v, err := strconv.ParseFloat(row[slices.Index(header, "probability:"+l)], 64)
			if err != nil {
				t.Fatal(err)
			}
			p.Prob, p.Truth = append(p.Prob, v), append(p.Truth, row[slices.Index(header, "true:"+l)] == "1")
		}
	}
	return p
}

// same compares a number of a document with what package metric says.
func same(t *testing.T, what string, got *float64, want float64, ok bool) {
	t.Helper()
	// Sums of the same numbers in another order.
	if (got != nil) != ok || ok && math.Abs(*got-want) > 1e-12 {
		t.Errorf("%s: %v, want %v (%v)", what, got, want, ok)
	}
}

// TestEval: the test split of the training, and nothing else, is measured; the numbers are those of the predictions
// that are written; and they do not depend on workers and batches.
func TestEval(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 3, 40)
	adapter := trained(t, data)
	answers := filepath.Join(t.TempDir(), "answers.csv")
	doc := evaluate(t, adapter, data, "--predictions", answers)
	ds, err := dataset.Open(data, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, test, err := ds.Split(dataset.SplitOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	header, rows := rowsOf(t, answers)
	if len(rows) != len(test) || doc.N != len(test) || !doc.Data.Training || doc.Data.Split != "test" {
		t.Fatalf("%d rows, document %+v, want %d images", len(rows), doc.Data, len(test))
	}
	for k, i := range test {
		s := ds.Samples[i]
		if rows[k][0] != s.Path || rows[k][slices.Index(header, "label")] != ds.Labels[s.Label] {
			t.Errorf("row %d: %v, want %s", k, rows[k], s.Path)
		}
	}
	p := fromCSV(t, answers, doc.Labels, true)
	compare := func(what string, got *float64) func(float64, bool) {
		return func(want float64, ok bool) { t.Helper(); same(t, what, got, want, ok) }
	}
	compare("AUC", doc.AUC)(p.MacroAUC())
	compare("accuracy", doc.Accuracy)(p.Accuracy())
	compare("balanced accuracy", doc.Balanced)(p.BalancedAccuracy())
	compare("F1", doc.F1)(p.F1())
	compare("ECE", doc.ECE)(p.ECE(metric.DefaultBins))
	compare("Brier", doc.Brier)(p.Brier())
	compare("log loss", doc.LogLoss)(p.LogLoss())
	for l := range doc.Labels {
		compare("AUC of a label", doc.PerLabel[l].AUC)(p.AUC(l))
		if ci := doc.PerLabel[l].AUCInterval; ci == nil || ci[0] > *doc.PerLabel[l].AUC || ci[1] < *doc.PerLabel[l].AUC {
			t.Errorf("interval %v around %v", ci, *doc.PerLabel[l].AUC)
		}
	}
	if !reflect.DeepEqual(doc.Confusion.Counts, p.Confusion().Count) || doc.Notice != notice || len(doc.Calibration.Bins) != metric.DefaultBins ||
		doc.Bootstrap.Unit != "image" || doc.Bootstrap.Units != doc.N || doc.Bootstrap.Resamples != 2000 {
		t.Errorf("%+v", doc)
	}
	again := evaluate(t, adapter, data, "--workers", "3", "--batch", "5")
	doc.Seconds, again.Seconds, doc.Predictions = 0, 0, ""
	if !reflect.DeepEqual(again, doc) {
		t.Errorf("3 workers: %+v\nbefore: %+v", again, doc)
	}
	if other := evaluate(t, adapter, data, "--seed", "2"); *other.AUC != *doc.AUC || reflect.DeepEqual(other.ECEInterval, doc.ECEInterval) {
		t.Errorf("another seed: AUC %v, interval %v", *other.AUC, other.ECEInterval)
	}
	if val := evaluate(t, adapter, data, "--split", "val"); len(val.Warnings) == 0 || val.N+doc.N >= len(ds.Samples) {
		t.Errorf("validation: %+v", val)
	}
}

// TestEvalFields: the document has the fields that others rely on, as numbers and pairs.
func TestEvalFields(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 30)
	var doc map[string]any
	melo(t, "--json", "eval", "--adapter", trained(t, data), "--data", data).want(t, exitDone).decode(t, &doc)
	for _, name := range []string{"auc", "accuracy", "balanced_accuracy", "f1", "ece", "brier"} {
		v, isNumber := doc[name].(float64)
		ci, isPair := doc[name+"_ci"].([]any)
		if !isNumber || !isPair || len(ci) != 2 || v < 0 || v > 1 {
			t.Errorf("%s is %v, %v", name, doc[name], doc[name+"_ci"])
		}
	}
	for _, name := range []string{"n", "per_label", "confusion", "thresholds", "calibration"} {
		if doc[name] == nil {
			t.Errorf("no %s", name)
		}
	}
}

// TestEvalByGroupsAndSubgroups: a CSV with patients and columns.
func TestEvalByGroupsAndSubgroups(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 2, 60), "label", "group", "sex", "number")
	adapter := trained(t, data)
	doc := evaluate(t, adapter, data, "--by", "sex", "--split", "all")
	if doc.Bootstrap.Unit != "group" || doc.Bootstrap.Units != 60 || doc.N != 120 || len(doc.Subgroups) != 2 {
		t.Fatalf("%+v, %d subgroups", doc.Bootstrap, len(doc.Subgroups))
	}
	f, m := doc.Subgroups[0], doc.Subgroups[1]
	if f.Value != "f" || m.Value != "m" || f.N != 40 || m.N != 80 || !f.Small || f.AUC == nil || f.AUCInterval == nil || len(f.PerLabel) != 2 {
		t.Errorf("f %+v\nm %+v", f, m)
	}
	// Every man stands beside the other image of his patient or alone: fewer units than images.
	if m.Units >= m.N || m.Small != (m.Units < 50) {
		t.Errorf("%d units of %d images, small: %v", m.Units, m.N, m.Small)
	}
	if want := (*f.Accuracy*40 + *m.Accuracy*80) / 120; math.Abs(want-*doc.Accuracy) > 1e-12 {
		t.Errorf("accuracy %v of all, subgroups say %v", *doc.Accuracy, want)
	}
	if !slices.ContainsFunc(doc.Warnings, func(w string) bool { return strings.Contains(w, "sex f") }) {
		t.Errorf("warnings %q", doc.Warnings)
	}
	r := melo(t, "eval", "--adapter", adapter, "--data", data, "--by", "sex").want(t, exitDone)
	for line := range strings.Lines(r.out) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 && !strings.Contains(line, data) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, text := range []string{"AUC", "calibration error", "class_a", "sex", "few images", "groups"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("no %q in\n%s", text, r.out)
		}
	}
	if !strings.Contains(r.err, notice) {
		t.Errorf("standard error %q", r.err)
	}
	// Another data set: its own splits hold, or all of it.
	other := table(t, trainingSet(t, 2, 10), "label")
	if doc := evaluate(t, adapter, other, "--split", "all"); doc.N != 20 || doc.Data.Training || len(doc.Warnings) == 0 {
		t.Errorf("%+v", doc.Data)
	}
	for says, args := range map[string][]string{
		"--split all":     {"--data", other},
		"no such column":  {"--data", data, "--by", "age"},
		"different":       {"--data", data, "--by", "number", "--split", "all"},
		"class_c":         {"--data", trainingSet(t, 3, 4)},
		"nowhere":         {"--data", "nowhere"},
		"no columns":      {"--data", trainingSet(t, 2, 4), "--by", "sex", "--split", "all"},
		"one label an im": {"--data", table(t, trainingSet(t, 2, 4), "class_a", "class_b"), "--split", "all", "--task", "multilabel"},
		"another base":    {"--data", data, "--base", goldenDir("timm_vit")},
	} {
		r := melo(t, append([]string{"eval", "--adapter", adapter}, args...)...).want(t, exitBadInput)
		if !strings.Contains(r.err, says) || r.out != "" {
			t.Errorf("%v: standard error %q, want %q", args, r.err, says)
		}
	}
	for _, args := range [][]string{{"--batch", "0"}, {"--resamples", "1"}, {"--max-bad", "-1"}, {"--label-column", "a", "--label-columns", "b"}} {
		melo(t, append([]string{"eval", "--adapter", adapter, "--data", data}, args...)...).want(t, exitUsage)
	}
}

// TestEvalMultiLabel: decisions are made by the thresholds of the adapter, probabilities by its temperatures.
func TestEvalMultiLabel(t *testing.T) {
	t.Parallel()
	data := table(t, confused(t, trainingSet(t, 3, 30), 3, 30), "class_a", "class_b", "class_c")
	path := trained(t, data, "--task", "multilabel", "--lr", "0.002", "--head-init", "zero") // a linear probe makes no mistakes here
	f, err := adapterfile.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Meta.Thresholds, f.Meta.Temperatures = []float64{0.3, 0.9, 0.05}, []float64{2, 0.5, 1}
	if err := f.Write(path, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	answers := filepath.Join(t.TempDir(), "answers.csv")
	doc := evaluate(t, path, data, "--split", "all", "--predictions", answers)
	p := fromCSV(t, answers, doc.Labels, false)
	accuracy, ok := p.Accuracy()
	if same(t, "ECE", doc.ECE, first(p.ECE(metric.DefaultBins)), true); !ok || *doc.Accuracy == accuracy {
		t.Errorf("accuracy %v is that at one half", *doc.Accuracy)
	}
	p.Thresholds = f.Meta.Thresholds
	same(t, "accuracy", doc.Accuracy, first(p.Accuracy()), true)
	same(t, "F1", doc.F1, first(p.F1()), true)
	if c := doc.Calibration; *c.Calibrated.LogLoss == *c.Uncalibrated.LogLoss || *c.Calibrated.ECE != *doc.ECE || len(c.Temperatures) != 3 {
		t.Errorf("%+v", c)
	}
	// Logits are not calibrated: the uncalibrated numbers come from them alone.
	header, rows := rowsOf(t, answers)
	for k, row := range rows {
		for l, name := range doc.Labels {
			z, _ := strconv.ParseFloat(row[slices.Index(header, "logit:"+name)], 32)
			if want := 1 / (1 + math.Exp(-z/f.Meta.Temperatures[l])); math.Abs(want-p.Prob[3*k+l]) > 1e-12 {
				t.Fatalf("row %d: logit %v, probability %v", k, z, p.Prob[3*k+l])
			}
		}
	}
	if x := doc.Thresholds[1]; x.Threshold != 0.9 || x.Source != "adapter" || doc.Confusion.Counts != nil || len(doc.Confusion.PerLabel) != 3 {
		t.Errorf("%+v", x)
	}
	folders := trainingSet(t, 3, 4)
	if r := melo(t, "eval", "--adapter", path, "--data", folders).want(t, exitBadInput); !strings.Contains(r.err, "one label an image") {
		t.Errorf("class folders: %s", r.err)
	}
}

// confused gives every fifth picture of a class the contents of one of the next class, so that no probe tells all.
func confused(t testing.TB, data string, classes, n int) string {
	t.Helper()
	for i := 0; i < n; i += 5 {
		var files [][]byte
		path := func(c int) string {
			return filepath.Join(data, fmt.Sprintf("class_%c", 'a'+c), fmt.Sprintf("%02d.png", i))
		}
		for c := range classes {
			file, err := os.ReadFile(path(c))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		for c := range classes {
			if err := os.WriteFile(path(c), files[(c+1)%classes], 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return data
}

func first(v float64, _ bool) float64 { return v }

// TestEvalUnreadable: images that cannot be read are counted, and fail the run above --max-bad.
func TestEvalUnreadable(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 2, 12), "label")
	adapter := trained(t, data)
	other := table(t, trainingSet(t, 2, 12), "label")
	broken := filepath.Join(other, "class_b", "03.png")
	if err := os.WriteFile(broken, []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := melo(t, "eval", "--adapter", adapter, "--data", other, "--split", "all").want(t, exitBadInput)
	if !strings.Contains(r.err, "03.png") || !strings.Contains(r.err, "labels.csv:") {
		t.Errorf("standard error %q", r.err)
	}
	doc := evaluate(t, adapter, other, "--split", "all", "--max-bad", "1")
	if doc.N != 23 || len(doc.Failed) != 1 || doc.Failed[0].Image != broken {
		t.Errorf("%d images, failed %+v", doc.N, doc.Failed)
	}
}

// TestEvalKnowsTheSplit: when the split of the training cannot be made again, nothing is passed off as unseen.
func TestEvalKnowsTheSplit(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 2, 20), "label")
	adapter := trained(t, data)
	f, err := adapterfile.Read(adapter)
	if err != nil {
		t.Fatal(err)
	}
	if f.Meta.Training.Hyperparameters["split_digest"] == nil {
		t.Error("training does not say which split it made")
	}
	// The same rows in another order are the same data, but a seed divides them otherwise.
	table := filepath.Join(data, "labels.csv")
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Reverse(lines[1:])
	if err := os.WriteFile(table, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	r := melo(t, "eval", "--adapter", adapter, "--data", data).want(t, exitBadInput)
	if !strings.Contains(r.err, "split otherwise") {
		t.Errorf("standard error %q", r.err)
	}
	var doc map[string]json.RawMessage
	melo(t, "--json", "eval", "--adapter", adapter, "--data", data).want(t, exitBadInput).decode(t, &doc)
	if doc["error"] == nil {
		t.Errorf("document %v", doc)
	}
	fold := trained(t, data, "--folds", "4", "--fold", "3")
	if doc := evaluate(t, fold, data); doc.N != 10 || !strings.Contains(doc.Data.Rule, "fold 3") {
		t.Errorf("%d images of %+v, want the 10 held out", doc.N, doc.Data)
	}
	without := trained(t, data, "--test-split", "0")
	if r := melo(t, "eval", "--adapter", without, "--data", data).want(t, exitBadInput); !strings.Contains(r.err, "without a test split") {
		t.Errorf("standard error %q", r.err)
	}
}

// TestTrainCalibrates: temperatures and thresholds come from validation, stand in the adapter, and are what "melo eval"
// decides by.
func TestTrainCalibrates(t *testing.T) {
	t.Parallel()
	data := confused(t, trainingSet(t, 3, 60), 3, 60)
	for _, more := range [][]string{nil, {"--sensitivity", "0.95"}} {
		out := filepath.Join(t.TempDir(), "a.safetensors")
		var doc experiment.Result
		melo(t, trainArgs(data, out, append(more, "--json", "--precision", "f32", "--lr", "0.002", "--alpha", "64", "--head-init", "zero", "--ema", "0", "--keep", "best", "--no-mirror")...)...).want(t, exitDone).decode(t, &doc)
		f, err := adapterfile.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		v := doc.Validation
		if len(v.Temperatures) != 1 || !slices.Equal(f.Meta.Temperatures, v.Temperatures) || len(v.Thresholds) != 3 || !slices.Equal(f.Meta.Thresholds, v.Thresholds) {
			t.Fatalf("%v: document %+v, adapter %v %v", more, v, f.Meta.Temperatures, f.Meta.Thresholds)
		}
		if v.Scores["log_loss"] >= v.Uncalibrated["log_loss"] {
			t.Errorf("log loss %v, uncalibrated %v", v.Scores["log_loss"], v.Uncalibrated["log_loss"])
		}
		val := evaluate(t, out, data, "--split", "val")
		// In one precision, the grouping of images into batches changes no bit.
		same(t, "log loss", val.LogLoss, v.Scores["log_loss"], true)
		same(t, "uncalibrated log loss", val.Calibration.Uncalibrated.LogLoss, v.Uncalibrated["log_loss"], true)
		for _, x := range val.Thresholds {
			if x.Source != "adapter" || more != nil && *x.Sensitivity < 0.95 {
				t.Errorf("%v: %+v", more, x)
			}
		}
	}
	melo(t, trainArgs(data, "x.safetensors", "--sensitivity", "1.5")...).want(t, exitUsage)
}
