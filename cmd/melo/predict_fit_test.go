package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/predictions"
	"melo.example/melo/report/lines"
)

// An image that is not like those of the training is marked, refused where that is asked for, and belongs to no adapter of a folder.
func TestPredictUnlike(t *testing.T) {
	t.Parallel()
	folder, adapter, images := adapterFolder(t)
	other := write(t, "other.png", picturePNG(t, 64, 48, func(x, y int) uint8 { return uint8(255 * (x / 3 % 2)) }))
	var doc predictions.Document
	melo(t, "--json", "predict", "--adapter", adapter, images[0], other).want(t, exitDone).decode(t, &doc)
	if len(doc.Results) != 2 || doc.Results[0].Fit == nil || doc.Results[0].Fit.Unlike || doc.Results[1].Fit == nil || !doc.Results[1].Fit.Unlike {
		t.Fatalf("got %+v", doc.Results)
	}
	if v := doc.Results[1].Fit; v.Percentile != 100 || v.Score <= doc.Results[0].Fit.Score {
		t.Errorf("fits %+v and %+v", doc.Results[0].Fit, v)
	}
	r := melo(t, "predict", "--adapter", adapter, images[0], other).want(t, exitDone)
	if strings.Count(r.out, lines.Unlike) != 1 {
		t.Error(r.out)
	}
	r = melo(t, "predict", "--refuse", "--adapter", adapter, images[0], other).want(t, exitBadInput)
	if !strings.Contains(r.out, images[0]) || strings.Contains(r.out, "other.png") || !strings.Contains(r.err, "other.png: the image is not like the training images") {
		t.Errorf("stdout %s, stderr %s", r.out, r.err)
	}
	var all predictions.All
	alone := filepath.Join(t.TempDir(), "toy.safetensors")
	text, err := os.ReadFile(adapter)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alone, text, 0o644); err != nil {
		t.Fatal(err)
	}
	melo(t, "--json", "predict", "--adapters", filepath.Dir(alone), images[0], other).want(t, exitDone).decode(t, &all)
	if len(all.Applies) != 2 || len(all.Applies[0].Apply) != 1 || all.Applies[0].Apply[0] != "toy" || len(all.Applies[1].Apply) != 0 || len(all.Adapters) != 1 {
		t.Errorf("got %+v", all.Applies)
	}
	r = melo(t, "predict", "--adapters", filepath.Dir(alone), other).want(t, exitDone)
	if !strings.Contains(r.out, "no adapter knows such images") {
		t.Error(r.out)
	}
	// The server says the same, and refuses the image by itself where it is to.
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	marks := startServer(t, folder, "--audit-log", log)
	var there predictions.Document
	melo(t, "--json", "predict", "--server", marks.doc.HTTP, "--adapter", "toy", images[0], other).want(t, exitDone).decode(t, &there)
	if len(there.Results) != 2 || there.Results[0].Fit == nil || there.Results[0].Fit.Unlike || !there.Results[1].Fit.Unlike {
		t.Errorf("marked by the server: %+v", there.Results)
	}
	refuses := startServer(t, folder, "--refuse")
	for _, r := range []result{
		melo(t, "--json", "predict", "--server", refuses.doc.HTTP, "--adapter", "toy", images[0], other),
		melo(t, "--json", "predict", "--refuse", "--server", marks.doc.HTTP, "--adapter", "toy", images[0], other),
	} {
		var doc predictions.Document
		r.want(t, exitBadInput).decode(t, &doc)
		if len(doc.Results) != 1 || len(doc.Failed) != 1 || !strings.Contains(doc.Failed[0].Error, "not like the training images") {
			t.Errorf("refused by the server: %+v", doc)
		}
	}
	audited, err := os.ReadFile(log)
	if err != nil || strings.Count(string(audited), "fit: unlike its training images, score") != 2 || !strings.Contains(string(audited), "fit: like its training images") {
		t.Errorf("audit log: %v %s", err, audited)
	}
	melo(t, "predict", "--adapters", folder, "--csv", other).want(t, exitUsage)
	melo(t, "predict", "--adapters", t.TempDir(), other).want(t, exitBadInput)
}
