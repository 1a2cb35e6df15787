package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/train"
)

// TestTrainImageSize: an adapter that was trained on smaller images says so, and every command follows.
func TestTrainImageSize(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 14)
	for _, method := range []string{"melo", "full"} {
		out := filepath.Join(t.TempDir(), "a.safetensors")
		melo(t, trainArgs(data, out, "--image-size", "8", "--method", method)...).want(t, exitDone)
		f, err := adapterfile.Read(out)
		if err != nil || f.Meta.Recipe.Size != 8 || f.Meta.Base.Image != 8 {
			t.Fatalf("%s: %v, %+v", method, err, f.Meta.Recipe)
		}
		var trained experiment.Result
		again := filepath.Join(t.TempDir(), "a.safetensors")
		melo(t, trainArgs(data, again, "--json", "--image-size", "8", "--method", method, "--precision", "f32")...).want(t, exitDone).decode(t, &trained)
		var doc experiment.EvaluationDocument
		melo(t, "--json", "eval", "--adapter", again, "--data", data, "--split", "val").want(t, exitDone).decode(t, &doc)
		if got, want := *doc.AUC, trained.Validation.Scores["auc"]; got != want {
			t.Errorf("%s: eval on validation: AUC %v, training found %v", method, got, want)
		}
		melo(t, "predict", "--adapter", out, filepath.Join(data, "class_b", "03.png")).want(t, exitDone)
		if method == "melo" {
			melo(t, "convert", "--base", goldenDir("hf_vit"), "--to", "peft", out, filepath.Join(t.TempDir(), "peft")).want(t, exitDone)
		}
	}
	r := melo(t, trainArgs(data, filepath.Join(t.TempDir(), "a.safetensors"), "--image-size", "13")...).want(t, exitBadInput)
	if !strings.Contains(r.err, "image side 13") {
		t.Errorf("stderr %q", r.err)
	}
}

// TestTrainJobs: runs that share base and data are those of the command, and are known when they are done.
func TestTrainJobs(t *testing.T) {
	t.Parallel()
	data, dir := trainingSet(t, 2, 14), t.TempDir()
	whole := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, whole, "--seed", "2")...).want(t, exitDone)
	base, err := experiment.OpenBase(goldenDir("hf_vit"), 2, cacheDir())
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	o := parseTrain(t, trainArgs(data, "unused.safetensors")...)
	set, err := experiment.OpenSet(t.Context(), data, o.source(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	job := func(seed uint64) *experiment.Run {
		mine := o.options()
		mine.Seed, mine.Out = seed, filepath.Join(dir, fmt.Sprintf("%d.safetensors", seed))
		j, err := experiment.NewRun(mine, base, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	for _, seed := range []uint64{1, 2} {
		j := job(seed)
		if j.Finished() != nil {
			t.Fatal("finished before it began")
		}
		doc, err := j.Train(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, part, _ := j.Parts()
		val, err := j.Evaluate(t.Context(), part)
		if err != nil {
			t.Fatal(err)
		}
		if got := train.ScoresOf(val.Predictions())[train.AUC]; got != doc.Validation.Uncalibrated[train.AUC] {
			t.Errorf("evaluate: AUC %v, the run found %v", got, doc.Validation.Uncalibrated[train.AUC])
		}
		if d := job(seed).Finished(); !reflect.DeepEqual(d, doc) {
			t.Errorf("finished: %+v, want %+v", d, doc)
		}
	}
	if adapterDigest(t, filepath.Join(dir, "2.safetensors")) != adapterDigest(t, whole) {
		t.Error("the second of two runs gives another file than the command")
	}
	if err := os.Remove(filepath.Join(dir, "2.safetensors")); err != nil {
		t.Fatal(err)
	}
	if job(2).Finished() != nil {
		t.Error("finished without its adapter")
	}
}

// TestTrainLossAndAverage: the focal loss and the average change the file, are recorded, and resume.
func TestTrainLossAndAverage(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 14)
	plain := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, plain, "--patience", "0")...).want(t, exitDone)
	for _, c := range []struct {
		name  string
		value json.Number
		more  []string
	}{
		{"gamma", "1.5", []string{"--loss", "focal", "--gamma", "1.5"}},
		{"ema", "0.9", []string{"--ema", "0.9"}},
	} {
		more := append(c.more, "--patience", "0")
		whole, out := filepath.Join(t.TempDir(), "a.safetensors"), filepath.Join(t.TempDir(), "a.safetensors")
		melo(t, trainArgs(data, whole, more...)...).want(t, exitDone)
		f, err := adapterfile.Read(whole)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Meta.Training.Hyperparameters[c.name]; got != c.value || f.Digest == adapterDigest(t, plain) {
			t.Errorf("%s: %v recorded, digest %s", c.name, got, f.Digest)
		}
		ctx, cancel := context.WithCancel(t.Context())
		meloWatched(ctx, "epoch 2/4", cancel, trainArgs(data, out, more...)...).want(t, exitInterrupted)
		melo(t, trainArgs(data, out, append(more, "--resume")...)...).want(t, exitDone)
		if adapterDigest(t, out) != f.Digest {
			t.Errorf("%s: the resumed run's file differs", c.name)
		}
	}
	// Gamma is that of the focal loss alone.
	out := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, out, "--patience", "0", "--gamma", "5")...).want(t, exitDone)
	if adapterDigest(t, out) != adapterDigest(t, plain) {
		t.Error("--gamma changes the cross-entropy")
	}
	for _, more := range [][]string{{"--gamma", "-1"}, {"--ema", "1"}, {"--loss", "hinge"}} {
		if r := melo(t, trainArgs(data, out, more...)...).want(t, exitUsage); !strings.Contains(r.err, more[0]) {
			t.Errorf("stderr %q", r.err)
		}
	}
}

// parseTrain returns the options of a command line.
func parseTrain(t *testing.T, args ...string) *trainOptions {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, kong.Vars(trainDefaults))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &c.Train
}
