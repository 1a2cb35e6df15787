package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/convert"
	"melo.example/melo/inspect"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/predictions"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// convert runs "melo convert --json" and returns its document.
func converted(t *testing.T, args ...string) convert.Document {
	t.Helper()
	var doc convert.Document
	melo(t, append([]string{"convert", "--json"}, args...)...).want(t, exitDone).decode(t, &doc)
	return doc
}

// native writes an adapter for a golden base, with B of some size so that it does something.
func native(t *testing.T, base string, cfg lora.Config) string {
	t.Helper()
	m, err := vit.Open(goldenDir(base), vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := lora.New(&m.Config, cfg, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(i%7+1) / 16
		}
	}
	digest, err := adapterfile.BaseDigest(goldenDir(base))
	if err != nil {
		t.Fatal(err)
	}
	f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{
		Base: adapterfile.NewBase(&m.Config, base, goldenDir(base), digest), Method: lora.MeLo, Task: adapterfile.Multiclass,
		Labels: adapterfile.Labels("benign", "malignant", "normal"), Recipe: m.Recipe,
	}}
	path := filepath.Join(t.TempDir(), "native.safetensors")
	if err := f.WriteTypes(path, adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConvertRoundTrip: from native through either format and back keeps every tensor bit for bit, so that even
// the description aside the files are equal.
func TestConvertRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, to, names string }{
		{"timm_vit", "loravit", ""}, {"hf_vit", "loravit", ""}, {"timm_vit", "peft", ""}, {"hf_vit", "peft", "gen4"}, {"hf_vit", "peft", "gen5"},
		{"hf_vit", "peft", "timm"},
	} {
		in := native(t, c.base, lora.Config{Alpha: 8})
		dir := t.TempDir()
		through, back := filepath.Join(dir, "through"), filepath.Join(dir, "back.safetensors")
		args := []string{"--to", c.to, in, through}
		if c.names != "" {
			args = append([]string{"--names", c.names}, args...)
		}
		doc := converted(t, args...)
		if doc.In.Format != "native" || doc.Out.Format != c.to || doc.Deltas == 0 || doc.Head == 0 || doc.Out.Bytes == 0 || !slices.Contains(doc.Lost, "labels") {
			t.Errorf("%v: %+v", c, doc)
		}
		if c.to == "loravit" && (doc.Alpha == nil || *doc.Alpha != 8) {
			t.Errorf("%v: alpha %v", c, doc.Alpha)
		}
		doc = converted(t, "--base", goldenDir(c.base), "--labels", "benign,malignant,normal", through, back)
		if doc.Out.Format != "native" || len(doc.Notes) != 0 || !slices.Equal(doc.Labels, []string{"benign", "malignant", "normal"}) {
			t.Errorf("%v: %+v", c, doc)
		}
		want, got := readTensors(t, in), readTensors(t, back)
		for _, name := range want.Names() {
			a, _ := want.Tensor(name)
			if b, ok := got.Tensor(name); !ok || a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%v: tensor %s differs", c, name)
			}
		}
		image := pictures(t, 1)[0]
		var one, other predictions.Document
		melo(t, "predict", "--json", "--adapter", in, image).want(t, exitDone).decode(t, &one)
		melo(t, "predict", "--json", "--adapter", back, image).want(t, exitDone).decode(t, &other)
		if !slices.Equal(one.Results[0].Logits, other.Results[0].Logits) || !slices.Equal(one.Labels, other.Labels) {
			t.Errorf("%v: %+v became %+v", c, one.Results, other.Results)
		}
	}
}

func readTensors(t *testing.T, path string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestConvertOptions: what the options do to what is written.
func TestConvertOptions(t *testing.T) {
	t.Parallel()
	in := native(t, "hf_vit", lora.Config{})
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		args []string
		want map[string]string // tensors and their types
	}{
		{[]string{"--to", "native", "--dtype", "bf16"}, map[string]string{"sites.0.q.A": "BF16", "head.weight": "I8", "head.bias": "F32"}},
		{[]string{"--to", "native", "--head", "f24"}, map[string]string{"sites.0.q.A": "F32", "head.weight": "U8"}},
		{[]string{"--to", "loravit", "--dtype", "f16"}, map[string]string{"w_a_005": "F16", "fc_32in_3out": "F16", "fc_32in_3out_bias": "F16"}},
		{[]string{"--to", "loravit", "--drop-head"}, map[string]string{"w_b_000": "F32", "fc_32in_3out": ""}},
	} {
		converted(t, append(c.args, in, out)...)
		f := readTensors(t, out)
		for name, dtype := range c.want {
			if x, _ := f.Tensor(name); string(x.DType) != dtype {
				t.Errorf("%v: %s is %s, expected %s", c.args, name, x.DType, dtype)
			}
		}
	}
	subset := goldenDir("adapters/loravit_subset/adapter.safetensors")
	doc := converted(t, "--alpha", "8", "--blocks", "1,2", "--task", "multilabel", subset, out)
	if !strings.Contains(doc.Sites, "2 blocks") || len(doc.Notes) != 3 {
		t.Errorf("%+v", doc)
	}
	f, err := adapterfile.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Adapter.Deltas[0]; d.Scale != 2 || d.Site.Block != 1 || f.Meta.Task != adapterfile.Multilabel {
		t.Errorf("scale %g at %v, task %s", d.Scale, d.Site, f.Meta.Task)
	}
	r := melo(t, "convert", "--to", "peft", in, filepath.Join(t.TempDir(), "folder")).want(t, exitDone)
	for _, part := range []string{"native", "peft", "q, v of 3 blocks, rank 4", "benign"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is missing in\n%s", part, r.out)
		}
	}
	if !strings.Contains(r.err, "no place in OUT for: labels") {
		t.Errorf("stderr %q", r.err)
	}
}

// otherWeights makes a base of the same shape as hf_vit, in another file.
func otherWeights(t *testing.T) string {
	t.Helper()
	f := readTensors(t, filepath.Join(goldenDir("hf_vit"), "model.safetensors"))
	var list []safetensors.TensorData
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		list = append(list, safetensors.TensorData{Name: name, DType: x.DType, Shape: x.Shape, Data: x.Data})
	}
	config, err := os.ReadFile(filepath.Join(goldenDir("hf_vit"), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(write(t, "config.json", config))
	if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), 0o600, list, map[string]string{"another": "file"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestConvertRefuses: one line that says why, the status for it, and OUT as it was.
func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	in := native(t, "hf_vit", lora.Config{Alpha: 6})
	wide := native(t, "hf_vit", lora.Config{Kinds: []vit.Kind{vit.Q, vit.FC1}})
	loravit := goldenDir("adapters/loravit/adapter.safetensors")
	peft := goldenDir("adapters/peft_qv")
	damaged, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	out := write(t, "out.safetensors", []byte("the old one"))
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitUsage, "give --to loravit", []string{in, out}},
		{exitUsage, "--alpha is for LoRA-ViT files", []string{"--alpha", "4", peft, out}},
		{exitUsage, "--blocks is for LoRA-ViT files", []string{"--blocks", "1", peft, out}},
		{exitUsage, "--names is for PEFT folders", []string{"--names", "gen4", loravit, out}},
		{exitUsage, "--labels is for formats that", []string{"--to", "peft", "--labels", "a", in, out}},
		{exitUsage, "--head is for native files", []string{"--to", "peft", "--head", "i8", in, out}},
		{exitUsage, "--alpha -4", []string{"--alpha=-4", loravit, out}},
		{exitUsage, "does not tell alpha: LoRA-ViT is given it apart from the file, and its scale is alpha / rank; give --alpha", []string{loravit, out}},
		{exitUsage, "does not tell blocks: it has pairs for 3, and not which of the base's these are; give --blocks", []string{"--alpha", "4", loravit, out}},
		{exitUsage, "--blocks x: expected", []string{"--blocks", "x", loravit, out}},
		{exitUsage, "must be one of", []string{"--to", "coreml", in, out}},
		{exitBadInput, "no such file", []string{filepath.Join(t.TempDir(), "missing"), out}},
		{exitBadInput, "truncated", []string{"--to", "peft", write(t, "damaged.safetensors", damaged[:len(damaged)-9]), out}},
		{exitUsage, "is a base: give --to hf", []string{goldenDir("hf_vit"), out}},
		{exitUsage, "--to peft is for adapters", []string{"--to", "peft", goldenDir("hf_vit"), out}},
		{exitUsage, "--alpha is for adapters", []string{"--to", "timm", "--alpha", "3", goldenDir("hf_vit"), out}},
		{exitUsage, "--to timm is for bases", []string{"--to", "timm", in, out}},
		{exitBadInput, "only plain ViTs", []string{"--to", "timm", goldenDir("dinov2"), out}},
		{exitFailed, "out.safetensors", []string{"--to", "timm", goldenDir("hf_vit"), out}},
		{exitBadInput, "unknown content, expected an adapter", []string{goldenDir("adapters/loravit/golden.safetensors"), out}},
		{exitBadInput, "2 labels given, expected 3", []string{"--labels", "a,b", peft, out}},
		{exitBadInput, "made for another base: width: expected 32, found", []string{"--base", goldenDir("dinov2"), "--alpha", "4", "--blocks", "0,1,2", loravit, out}},
		{exitBadInput, "digest of the weights", []string{"--to", "native", "--base", otherWeights(t), in, out}},
		{exitBadInput, "scale 1.5: LoRA-ViT has one whole number", []string{"--to", "loravit", in, out}},
		{exitBadInput, "LoRA-ViT's format has q and v", []string{"--to", "loravit", wide, out}},
		{exitBadInput, "the family of the base is unknown", []string{"--to", "peft", "--names", "gen5", "--alpha", "4", "--blocks", "0,1,2", loravit, filepath.Join(t.TempDir(), "x")}},
		{exitFailed, "out.safetensors", []string{"--to", "peft", in, out}}, // a file where the folder should be
		{exitFailed, "no such file", []string{"--to", "native", in, filepath.Join(t.TempDir(), "none", "x")}},
	} {
		r := melo(t, append([]string{"convert"}, c.args...)...).want(t, c.status)
		if r.out != "" || !strings.Contains(r.err, c.want) || c.status != exitUsage && strings.Count(r.err, "\n") != 1 {
			t.Errorf("%v: stdout %q, stderr %q, expected %s", c.args, r.out, r.err, c.want)
		}
		if text, err := os.ReadFile(out); err != nil || string(text) != "the old one" {
			t.Fatalf("%v: OUT is now %q, %v", c.args, text, err)
		}
	}
	// A folder with other files is not replaced.
	folder := filepath.Dir(write(t, "adapter_model.safetensors", []byte("old")))
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := melo(t, "convert", "--to", "peft", in, folder).want(t, exitFailed)
	if text, err := os.ReadFile(filepath.Join(folder, "adapter_model.safetensors")); err != nil || string(text) != "old" || !strings.Contains(r.err, "notes.txt") {
		t.Errorf("%q, %v; stderr %q", text, err, r.err)
	}
}

func TestInspectOtherFormats(t *testing.T) {
	t.Parallel()
	for path, parts := range map[string][]string{
		goldenDir("adapters/loravit/adapter.safetensors"): {"kind        loravit", "q, v of 3 blocks, rank 4, alpha 4", "imported from loravit", "class 2"},
		goldenDir("adapters/peft_wide_gen4"):              {"kind        peft", "ranks and alphas differ", "alpha/sqrt(r)", "imported from peft"},
	} {
		r := melo(t, "inspect", path).want(t, exitDone)
		for _, part := range parts {
			if !strings.Contains(r.out, part) {
				t.Errorf("%q is missing in\n%s", part, r.out)
			}
		}
	}
	var doc inspect.Document
	melo(t, "inspect", "--json", goldenDir("adapters/peft_timm/adapter_config.json")).want(t, exitDone).decode(t, &doc)
	if doc.Kind != "peft" || doc.Adapter == nil || doc.Adapter.Deltas == 0 || doc.Adapter.Metadata.Base.Source != "timm" {
		t.Errorf("%+v", doc)
	}
}

// TestConvertBase: a base under other names and with other numbers predicts the same.
func TestConvertBase(t *testing.T) {
	t.Parallel()
	image := pictures(t, 1)[0]
	want := predictBase(t, image)
	dir := filepath.Join(t.TempDir(), "timm")
	doc := converted(t, "--to", "timm", goldenDir("hf_vit"), dir)
	if doc.In.Format != "hf" || doc.Out.Format != "timm" || len(doc.Notes) != 2 || doc.Out.Bytes == 0 {
		t.Errorf("%+v", doc)
	}
	narrow := filepath.Join(t.TempDir(), "bf16")
	if doc := converted(t, "--dtype", "bf16", dir, narrow); doc.Out.Bytes > doc.In.Bytes*2/3 {
		t.Errorf("%+v", doc)
	}
	for path, tolerance := range map[string]float64{
		dir:    1e-4, // epsilon of LayerNorm
		narrow: 0.05, // weights of 8 significant bits through three blocks
	} {
		var got predictions.Document
		melo(t, "predict", "--json", "--base", path, image).want(t, exitDone).decode(t, &got)
		for i, v := range got.Results[0].Logits {
			if w := want.Results[0].Logits[i]; math.Abs(float64(v-w)) > tolerance {
				t.Errorf("%s: logit %d is %g, expected %g", path, i, v, w)
			}
		}
	}
}

func TestConvertInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--to", "timm", goldenDir("hf_vit"), filepath.Join(dir, "base")},
		{"--to", "peft", native(t, "hf_vit", lora.Config{}), filepath.Join(dir, "peft")},
	} {
		meloContext(t, ctx, append([]string{"convert"}, args...)...).want(t, exitInterrupted)
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%v left %v, %v", args, entries, err)
		}
	}
}
