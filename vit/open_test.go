package vit

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
)

// TestNotFinite: a weight that is not finite is found, also where the file's own numbers are packed, and named.
func TestNotFinite(t *testing.T) {
	for kind, names := range map[string][]string{
		"hf_vit":   {"vit.encoder.layer.1.attention.attention.value.weight", "vit.encoder.layer.0.output.dense.weight", "classifier.bias"},
		"timm_vit": {"blocks.2.attn.qkv.weight", "blocks.0.mlp.fc1.weight", "pos_embed"},
	} {
		dir := filepath.Join(golden.Root(t), kind)
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, broken := range names {
			var tensors []safetensors.TensorData
			for _, name := range f.Names() {
				x, _ := f.Tensor(name)
				v, err := x.Float32s(nil)
				if err != nil {
					t.Fatal(err)
				}
				if name == broken {
					v[len(v)-1] = float32(math.NaN())
				}
				td, err := safetensors.FromFloat32s(name, safetensors.F32, x.Shape, v)
				if err != nil {
					t.Fatal(err)
				}
				tensors = append(tensors, td)
			}
			var buf bytes.Buffer
			if err := safetensors.Write(&buf, tensors, nil); err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{"model.safetensors": {Data: buf.Bytes()}, "config.json": {Data: config}}
			if _, err := OpenFS(files, "mem", Options{}); err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "mem") {
				t.Errorf("%s: error %v should name the file and %s", kind, err, broken)
			}
		}
	}
}
