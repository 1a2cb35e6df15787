package main

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/explain"
	"melo.example/melo/internal/npz"
)

// TestExplain: each image gets a picture and arrays in its own size; of two images of one name both do, and one that cannot be
// read is named.
func TestExplain(t *testing.T) {
	t.Parallel()
	images := pictures(t, 2)
	twin := filepath.Join(t.TempDir(), filepath.Base(images[0]))
	text, err := os.ReadFile(images[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(twin, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "new", "maps")
	broken := write(t, "broken.png", []byte("\x89PNG\r\n\x1a\nnot really"))
	r := melo(t, "--json", "explain", "--base", goldenDir("timm_vit"), "--label", "class 1", "--against", "class 2", "--out", out, images[0], broken, images[1], twin).
		want(t, exitBadInput)
	var doc explainDocument
	r.decode(t, &doc)
	if len(doc.Results) != 3 || len(doc.Failed) != 1 || doc.Failed[0].Image != broken || doc.Method != string(explain.Default) {
		t.Fatalf("got %+v", doc)
	}
	seen := map[string]bool{}
	for _, x := range doc.Results {
		if x.Label != "class 1" || x.Against != "class 2" || x.Probability != x.Probabilities[1] || len(x.Map) != x.Grid*x.Grid || seen[x.Picture] {
			t.Errorf("got %+v", x)
		}
		seen[x.Picture] = true
		f, err := os.Open(x.Picture)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := png.DecodeConfig(f); err != nil || c.Width < x.Width || c.Height < x.Height {
			t.Errorf("%s: %d x %d: %v", x.Picture, c.Width, c.Height, err)
		}
		f.Close()
		a, err := npz.Open(x.Arrays, npz.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		full, err := a.Array("full")
		if err != nil || full == nil || full.Shape[0] != x.Height || full.Shape[1] != x.Width {
			t.Errorf("%s: full %+v: %v", x.Arrays, full, err)
		}
		a.Close()
	}
}

// TestExplainBadInput: what cannot be is refused by name.
func TestExplainBadInput(t *testing.T) {
	t.Parallel()
	image, out := pictures(t, 1)[0], t.TempDir()
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitUsage, "--adapter", []string{image}},
		{exitUsage, "gradcam", []string{"--base", goldenDir("timm_vit"), "--method", "magic", image}},
		{exitUsage, "no label \"nonsense\"", []string{"--base", goldenDir("timm_vit"), "--label", "nonsense", image}},
		{exitUsage, "against itself", []string{"--base", goldenDir("timm_vit"), "--label", "class 1", "--against", "class 1", image}},
		{exitUsage, "occlusion", []string{"--base", goldenDir("timm_vit"), "--window", "2", image}},
		{exitUsage, "a window of 9 patches", []string{"--base", goldenDir("timm_vit"), "--method", "occlusion", "--window", "9", image}},
		{exitBadInput, "no head", []string{"--base", goldenDir("mae"), image}},
	} {
		r := melo(t, append([]string{"explain", "--out", out}, c.args...)...).want(t, c.status)
		if !strings.Contains(r.err, c.says) {
			t.Errorf("%v says %q, expected %q", c.args, r.err, c.says)
		}
	}
}

// TestExplainDefault: the flag's default is that of the library.
func TestExplainDefault(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	var doc explainDocument
	melo(t, "--json", "explain", "--base", goldenDir("timm_vit"), "--out", t.TempDir(), image).want(t, exitDone).decode(t, &doc)
	if doc.Method != string(explain.Default) {
		t.Errorf("the default is %s, that of the library %s", doc.Method, explain.Default)
	}
}

// TestExplainTrust: an adapter that is not on the list is not explained with.
func TestExplainTrust(t *testing.T) {
	t.Parallel()
	image, file := pictures(t, 1)[0], filepath.Join(t.TempDir(), "adapter.safetensors")
	melo(t, "convert", "--base", goldenDir("timm_vit"), "--alpha", "4", filepath.Join(goldenDir("adapters"), "loravit", "adapter.safetensors"), file).want(t, exitDone)
	list := write(t, "allowed.txt", []byte("sha256:"+strings.Repeat("0", 64)+"\n"))
	r := melo(t, "explain", "--base", goldenDir("timm_vit"), "--adapter", file, "--allow", list, "--out", t.TempDir(), image).want(t, exitBadInput)
	if !strings.Contains(r.err, "allow") && !strings.Contains(r.err, "list") {
		t.Errorf("stderr %q", r.err)
	}
}
