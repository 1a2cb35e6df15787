package main

import (
	"encoding/csv"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"melo.example/melo/predictions"
)

// pictures writes n small PNGs of different content and returns their paths.
func pictures(t *testing.T, n int) []string {
	t.Helper()
	dir := t.TempDir()
	paths := make([]string, n)
	for i := range paths {
		img := image.NewGray(image.Rect(0, 0, 40+i, 36))
		for y := range 36 {
			for x := range 40 + i {
				img.SetGray(x, y, color.Gray{Y: uint8(x*(i+3) + y*(7-i))})
			}
		}
		paths[i] = filepath.Join(dir, fmt.Sprintf("image_%d.png", i))
		f, err := os.Create(paths[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func predictBase(t *testing.T, args ...string) predictions.Document {
	t.Helper()
	var doc predictions.Document
	melo(t, append([]string{"--json", "predict", "--base", goldenDir("hf_vit")}, args...)...).want(t, exitDone).decode(t, &doc)
	return doc
}

func TestPredictWithTheBasesOwnHead(t *testing.T) {
	images := pictures(t, 5)
	doc := predictBase(t, images...)
	if len(doc.Results) != len(images) || len(doc.Failed) != 0 || doc.Adapter != nil || doc.Notice != notice {
		t.Fatalf("got %+v", doc)
	}
	for i, r := range doc.Results {
		sum := 0.0
		for _, p := range r.Probabilities {
			sum += p
		}
		// Float64 additions of a handful of probabilities.
		if r.Image != images[i] || len(r.Logits) != len(doc.Labels) || math.Abs(sum-1) > 1e-12 {
			t.Errorf("got %+v", r)
		}
	}
}

// The result depends neither on the number of workers nor on how images are grouped.
func TestRelationPredictBatchesAndWorkers(t *testing.T) {
	images := pictures(t, 5)
	want := predictBase(t, append([]string{"--batch", "1", "--workers", "1"}, images...)...)
	got := predictBase(t, append([]string{"--batch", "3", "--workers", "3"}, images...)...)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("batches of 3 on 3 workers:\n%+v\nsingle images on 1 worker:\n%+v", got, want)
	}
}

func TestPredictCSVAndTable(t *testing.T) {
	t.Parallel()
	images := pictures(t, 2)
	r := melo(t, append([]string{"predict", "--csv", "--base", goldenDir("hf_vit")}, images...)...).want(t, exitDone)
	rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "image" || rows[1][0] != images[0] {
		t.Errorf("CSV: %v, %v", rows, err)
	}
	r = melo(t, append([]string{"predict", "--top", "2", "--base", goldenDir("hf_vit")}, images...)...).want(t, exitDone)
	if strings.Count(r.out, "\n") != 2 || strings.Count(r.out, "%") != 4 || !strings.Contains(r.err, notice) {
		t.Errorf("table %q, stderr %q", r.out, r.err)
	}
}

func TestPredictReportsUnreadableImages(t *testing.T) {
	t.Parallel()
	images := pictures(t, 2)
	broken := write(t, "broken.png", []byte("\x89PNG\r\n\x1a\nnot really"))
	var doc predictions.Document
	r := melo(t, "--json", "predict", "--base", goldenDir("hf_vit"), images[0], broken, images[1]).want(t, exitBadInput)
	r.decode(t, &doc)
	if len(doc.Results) != 2 || len(doc.Failed) != 1 || doc.Failed[0].Image != broken {
		t.Errorf("got %+v", doc)
	}
	if !strings.Contains(r.err, "broken.png") || !strings.Contains(r.err, "1 of 3 images could not be read") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestPredictBadInput(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	unknown := filepath.Dir(write(t, "config.json", []byte(`{"model_type": "swin"}`)))
	weights, err := os.ReadFile(filepath.Join(goldenDir("hf_vit"), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(unknown, "model.safetensors"), weights, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitUsage, "--adapter", []string{"predict", image}},
		{exitUsage, "--batch", []string{"predict", "--base", goldenDir("hf_vit"), "--batch", "0", image}},
		{exitUsage, "image", []string{"predict", "--base", goldenDir("hf_vit")}},
		{exitUsage, "hf:", []string{"predict", "--base", "hf:owner", image}},
		{exitBadInput, "nowhere", []string{"predict", "--base", "nowhere", image}},
		{exitBadInput, "swin", []string{"predict", "--base", unknown, image}},
		{exitBadInput, "no head", []string{"predict", "--base", "embedded", image}},
		{exitBadInput, "no head", []string{"predict", "--base", goldenDir("mae"), image}},
	} {
		r := melo(t, c.args...).want(t, c.status)
		if r.out != "" || !strings.Contains(r.err, c.says) {
			t.Errorf("melo %v: want %q, got stdout %q, stderr %q", c.args, c.says, r.out, r.err)
		}
	}
}
