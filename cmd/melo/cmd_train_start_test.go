package main

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/train"
)

// trainDoc trains and returns the document, what was said, and the adapter.
func trainDoc(t *testing.T, data string, more ...string) (*experiment.Result, string, *adapterfile.File) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var doc experiment.Result
	r := melo(t, trainArgs(data, out, append(more, "--json")...)...).want(t, exitDone)
	r.decode(t, &doc)
	f, err := adapterfile.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	return &doc, r.err, f
}

// TestTrainKeepsTheProbe: a run that ends below its linear probe answers as the probe does, and says so everywhere.
func TestTrainKeepsTheProbe(t *testing.T) {
	data := trainingSet(t, 3, 14)
	probe, _, linear := trainDoc(t, data, "--method", "linear")
	if probe.Epochs != 0 || probe.Kept != train.KeptStart || probe.Start == nil || probe.Start.Rates != nil {
		t.Fatalf("linear: %+v", probe)
	}
	for _, method := range []string{"melo", "full"} {
		doc, said, f := trainDoc(t, data, "--method", method, "--lr", "3", "--clip", "0", "--warmup", "0", "--ema", "0")
		if doc.Kept != train.KeptStart || !strings.Contains(said, "the probe is kept") || f.Meta.Training.Hyperparameters["kept"] != "start" {
			t.Errorf("%s: kept %q, said %s", method, doc.Kept, said)
		}
		if got, want := doc.Validation.Scores[train.AUC], probe.Validation.Scores[train.AUC]; got != want {
			t.Errorf("%s: AUC %v, the probe %v", method, got, want)
		}
		// The file of a low-rank adapter keeps its head with fewer digits. Full fine-tuning begins on a base in float32, whose
		// features are others.
		for k, v := range linear.Adapter.Head.W {
			if got := f.Adapter.Head.W[k]; method == "melo" && math.Abs(float64(got-v)) > 1e-3*math.Abs(float64(v)) {
				t.Errorf("%s: weight %d of the head is %v, the probe's %v", method, k, got, v)
			}
		}
		for _, d := range f.Adapter.Deltas {
			if slices.ContainsFunc(d.B, func(v float32) bool { return v != 0 }) {
				t.Fatalf("%s: %v has an effect", method, d.Site)
			}
		}
	}
}

// TestTrainSaysWhatWasChosen: without a rate the pace and the rates that follow are in the document and in the adapter; with
// one it is taken as it is, and nothing else is.
func TestTrainSaysWhatWasChosen(t *testing.T) {
	data := trainingSet(t, 2, 14)
	doc, said, f := trainDoc(t, data, "--step", "0.5")
	want := experiment.DefaultPace("melo")
	if p := doc.Settings.Pace; p == nil || p.A != want.A/2 || p.Head != want.Head/2 || doc.Settings.LR != 0 || !doc.Settings.Mirror || doc.Settings.EMA <= 0 {
		t.Errorf("%+v", doc.Settings)
	}
	if r := doc.Start.Rates; r == nil || r.A <= 0 || r.B <= 0 || r.Head <= 0 || !strings.Contains(said, "by the base: ") {
		t.Errorf("rates %+v, said %s", r, said)
	}
	if h := f.Meta.Training.Hyperparameters; h["pace"] == nil || h["start"] == nil || !f.Meta.Mirror {
		t.Errorf("%+v", h)
	}
	doc, said, f = trainDoc(t, data, "--lr", "0.001", "--alpha", "16", "--no-flip", "--ema", "0")
	if s := doc.Settings; s.Pace != nil || s.LR != 0.001 || s.Alpha != 16 || s.Mirror || s.EMA != 0 || doc.Start.Rates != nil {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(said, "learning rate 0.001, as given") || f.Meta.Mirror || f.Adapter.Deltas[0].Scale != 2 {
		t.Errorf("said %s", said)
	}
}

// TestTrainTune: the search keeps to its cost, its choice is what is trained with, and it stands in the record.
func TestTrainTune(t *testing.T) {
	t.Parallel()
	doc, said, f := trainDoc(t, trainingSet(t, 2, 14), "--tune", "4")
	if doc.Tuned == nil || doc.Tuned.Cost > 4 || doc.Tuned.Tried < 3 || doc.Settings.Epochs != doc.Tuned.Epochs ||
		doc.Settings.Pace.A != experiment.DefaultPace("melo").A*doc.Tuned.Step || f.Meta.Training.Hyperparameters["tuned"] == nil {
		t.Errorf("%+v, settings %+v", doc.Tuned, doc.Settings)
	}
	if !strings.Contains(said, "tuned: step ") {
		t.Errorf("said %s", said)
	}
	melo(t, trainArgs(trainingSet(t, 2, 14), filepath.Join(t.TempDir(), "a.safetensors"), "--tune", "4", "--lr", "0.1")...).want(t, exitUsage)
}
