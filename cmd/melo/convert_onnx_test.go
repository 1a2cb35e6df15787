package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"melo.example/melo/convert"
	"melo.example/melo/lora"
)

// TestConvertONNX: bases and adapters of each format become models that say how images are prepared and what labels there
// are; what has no meaning is refused. What the models compute is tested in vit/onnx and by tools/exchange.
func TestConvertONNX(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := native(t, "hf_vit", lora.Config{Alpha: 8})
	peft := filepath.Join(dir, "peft")
	converted(t, "--to", "peft", in, peft)
	for name, args := range map[string][]string{
		"base": {goldenDir("hf_vit")}, "embedded": {"embedded"}, "native": {"--base", goldenDir("hf_vit"), in}, "peft": {"--base", goldenDir("hf_vit"), peft},
	} {
		out := filepath.Join(dir, name+".onnx")
		r := melo(t, append(append([]string{"--json", "convert", "--to", "onnx"}, args...), out)...).want(t, exitDone)
		var doc convert.Document
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Out.Format != "onnx" || doc.Out.Bytes != int64(len(text)) || doc.In.Digest == "" && name != "peft" {
			t.Errorf("%s: %+v", name, doc)
		}
		for _, key := range []string{"melo.recipe", "melo.base", "LayerNormalization", "features"} {
			if !bytes.Contains(text, []byte(key)) {
				t.Errorf("%s: no %s", name, key)
			}
		}
		if got := bytes.Contains(text, []byte("melo.adapter")); got != (name == "native" || name == "peft") {
			t.Errorf("%s: an adapter: %v", name, got)
		}
	}
	out := filepath.Join(dir, "x.onnx")
	melo(t, "convert", "--to", "onnx", "--dtype", "bf16", goldenDir("hf_vit"), out).want(t, exitUsage)
	melo(t, "convert", "--to", "onnx", peft, out).want(t, exitUsage)
	for _, told := range [][]string{{"--labels", "a,b"}, {"--task", "multilabel"}, {"--alpha", "8"}, {"--blocks", "0"}} {
		melo(t, append([]string{"convert", "--to", "onnx", goldenDir("hf_vit"), out}, told...)...).want(t, exitUsage)
		melo(t, append([]string{"convert", "--merge", "--base", goldenDir("hf_vit"), in, filepath.Join(dir, "merged")}, told...)...).want(t, exitUsage)
	}
	melo(t, "convert", "--to", "onnx", "--base", goldenDir("timm_vit"), in, out).want(t, exitBadInput)
	melo(t, "convert", "--to", "onnx", filepath.Join(dir, "base.onnx"), out).want(t, exitBadInput)
	if _, err := os.Stat(out); err == nil {
		t.Error("a model was written")
	}
}
