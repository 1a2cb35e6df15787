package main

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrainCurves: a run leaves its curves and, on request, event files; an interrupted one leaves what there is.
func TestTrainCurves(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 14)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	dir := strings.TrimSuffix(out, ".safetensors") + ".run"
	ctx, cancel := context.WithCancel(t.Context())
	meloWatched(ctx, "epoch 2/4", cancel, trainArgs(data, out, "--tensorboard")...).want(t, exitInterrupted)
	curves := func() map[string][]byte {
		files := map[string][]byte{}
		for _, name := range []string{"loss.svg", "loss.png", "auc.svg", "auc.png", "lr.svg", "lr.png"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = text
			if strings.HasSuffix(name, ".png") {
				if _, err := png.Decode(bytes.NewReader(text)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if !bytes.Contains(text, []byte("<polyline")) {
				t.Errorf("%s has no line", name)
			}
		}
		return files
	}
	half := curves()
	events := func() (n int) {
		files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if events() != 1 {
		t.Errorf("%d event files of an interrupted run", events())
	}
	melo(t, trainArgs(data, out, "--tensorboard", "--resume")...).want(t, exitDone)
	for name, text := range curves() {
		if bytes.Equal(text, half[name]) {
			t.Errorf("%s is that of the interrupted run", name)
		}
	}
	if n := events(); n < 1 || n > 2 { // one a process, and this is one
		t.Errorf("%d event files", n)
	}
	melo(t, trainArgs(data, out, "--restart")...).want(t, exitDone)
	if events() != 0 {
		t.Error("a new run keeps the old run's event files")
	}
}
