package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"melo.example/melo/predictions"
	"melo.example/melo/serve/servetest"
)

// TestPredictionSetsOnServer: sets of labels from a server are those of "melo predict --coverage", bit for bit, and an adapter
// without a calibration is refused by name.
func TestPredictionSetsOnServer(t *testing.T) {
	t.Parallel()
	folder, adapter, images := adapterFolder(t)
	base := goldenDir("hf_vit")
	servetest.AdapterOn(t, folder, "plain", base, 1)
	s := startServer(t, folder, "--precision", "f32")
	for _, coverage := range []string{"0.5", "0.9"} {
		var here, there predictions.Document
		args := append([]string{"--coverage", coverage}, images...)
		melo(t, append([]string{"--json", "predict", "--adapter", adapter, "--precision", "f32"}, args...)...).want(t, exitDone).decode(t, &here)
		melo(t, append([]string{"--json", "predict", "--server", s.doc.HTTP, "--adapter", "toy"}, args...)...).want(t, exitDone).decode(t, &there)
		if !reflect.DeepEqual(here.Results, there.Results) {
			t.Errorf("coverage %s: here %+v\nthere %+v", coverage, here.Results, there.Results)
		}
		sets := 0
		for _, r := range there.Results {
			if r.Set != nil {
				sets++
			}
		}
		if sets == 0 {
			t.Errorf("coverage %s: no sets", coverage)
		}
	}
	for _, where := range [][]string{{"--adapter", filepath.Join(folder, "plain.safetensors"), "--base", base}, {"--adapter", "plain", "--server", s.doc.HTTP}} {
		r := melo(t, append(append([]string{"predict", "--coverage", "0.9"}, where...), images[0])...).want(t, exitBadInput)
		if !strings.Contains(r.err, "plain") || !strings.Contains(r.err, "has no calibration for prediction sets") {
			t.Errorf("%v: %s", where, r.err)
		}
	}
	melo(t, "predict", "--server", s.doc.HTTP, "--adapter", "toy", "--coverage", "1", images[0]).want(t, exitUsage)
	s.terminate()
	melo(t, "serve", "--base", base, "--adapters", folder, "--coverage", "1.5").want(t, exitUsage)
}
