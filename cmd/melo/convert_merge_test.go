package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/lora"
)

// probabilities are those of one image.
func probabilities(t *testing.T, args ...string) []float64 {
	t.Helper()
	r := melo(t, append([]string{"--json", "predict"}, args...)...).want(t, exitDone)
	var doc struct {
		Results []struct{ Probabilities []float64 }
	}
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || len(doc.Results) != 1 {
		t.Fatalf("%v: %s", err, r.out)
	}
	return doc.Results[0].Probabilities
}

// TestConvertMerge: a base with the adapter in it answers as base and adapter do, in either library's words.
func TestConvertMerge(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	for _, kind := range []string{"hf_vit", "timm_vit"} {
		in := native(t, kind, lora.Config{Alpha: 8})
		want := probabilities(t, "--base", goldenDir(kind), "--adapter", in, image)
		for _, to := range []string{"", "timm"} {
			out := filepath.Join(t.TempDir(), "merged")
			args := []string{"--merge", "--base", goldenDir(kind)}
			if to != "" {
				args = append(args, "--to", to)
			}
			doc := converted(t, append(args, in, out)...)
			if doc.Out.Digest == "" || to != "" && doc.Out.Format != to {
				t.Errorf("%s: %+v", kind, doc)
			}
			tolerance := 1e-6
			if kind == "hf_vit" && doc.Out.Format == "timm" { // timm's epsilon, and Pillow's resizing
				tolerance = 0.02
			}
			for i, got := range probabilities(t, "--base", out, image) {
				if math.Abs(got-want[i]) > tolerance {
					t.Errorf("%s to %s: class %d: %v, expected %v", kind, doc.Out.Format, i, got, want[i])
				}
			}
		}
	}
	melo(t, "convert", "--merge", "--to", "peft", native(t, "hf_vit", lora.Config{}), filepath.Join(t.TempDir(), "x")).want(t, exitUsage)
}

// TestConvertMergeFamilies: bases that only the words of their own library can say keep these, and answer with the adapter in
// them as base and adapter do.
func TestConvertMergeFamilies(t *testing.T) {
	image := pictures(t, 1)[0]
	for _, kind := range []string{"siglip_class", "beit", "data2vec", "timm_siglip", "timm_eva02_base", "timm_dinov3_plus", "timm_beit"} {
		in := native(t, kind, lora.Config{Alpha: 8})
		want := probabilities(t, "--base", goldenDir(kind), "--adapter", in, image)
		out := filepath.Join(t.TempDir(), "merged")
		converted(t, "--merge", "--base", goldenDir(kind), in, out)
		if text, err := os.ReadFile(filepath.Join(out, "config.json")); err != nil || kind == "siglip_class" && !strings.Contains(string(text), `"initializer_factor": 1.0`) {
			t.Errorf("%s: %v, or the library that reads it tells 1.0 from 1: %s", kind, err, text)
		}
		for i, got := range probabilities(t, "--base", out, image) {
			if math.Abs(got-want[i]) > 1e-5 {
				t.Errorf("%s: class %d: %v, expected %v", kind, i, got, want[i])
			}
		}
	}
	for kind, says := range map[string]string{"siglip": "mean of the patches", "dinov3": "transformers has no class"} {
		r := melo(t, "convert", "--merge", "--base", goldenDir(kind), native(t, kind, lora.Config{}), filepath.Join(t.TempDir(), "x")).want(t, exitBadInput)
		if !strings.Contains(r.err, says) {
			t.Errorf("%s: %s", kind, r.err)
		}
	}
}

// TestPredictPEFT: a PEFT folder is used as it is, where nothing is missing.
func TestPredictPEFT(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	in := native(t, "hf_vit", lora.Config{Alpha: 8})
	want := probabilities(t, "--base", goldenDir("hf_vit"), "--adapter", in, image)
	folder := filepath.Join(t.TempDir(), "peft")
	converted(t, "--to", "peft", in, folder)
	for i, got := range probabilities(t, "--base", goldenDir("hf_vit"), "--adapter", folder, image) {
		if math.Abs(got-want[i]) > 1e-6 {
			t.Errorf("class %d: %v, expected %v", i, got, want[i])
		}
	}
	loravit := goldenDir("adapters/loravit/adapter.safetensors")
	melo(t, "predict", "--base", goldenDir("timm_vit"), "--adapter", loravit, image).want(t, exitBadInput)
}
