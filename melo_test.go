package melo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

func open(t *testing.T, kind string, options ...Option) *Base {
	t.Helper()
	b, err := Open(filepath.Join(golden.Root(t), kind), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// picture is a small colour image, a different one for every seed.
func picture(seed uint64) *imaging.Image {
	rng := rand.New(rand.NewPCG(seed, 1))
	img := &imaging.Image{W: 24, H: 20, C: 3, Bits: 8, Pix8: make([]uint8, 24*20*3)}
	for i := range img.Pix8 {
		img.Pix8[i] = uint8(rng.Uint32())
	}
	return img
}

// write writes an adapter of random A, B and head for the base.
func write(t *testing.T, b *Base, cfg lora.Config, seed uint64, meta adapterfile.Metadata) string {
	t.Helper()
	a, err := lora.New(&b.model.Config, cfg, len(meta.Labels), seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.3
		}
	}
	return writeFile(t, b, &adapterfile.File{Adapter: a, Meta: meta})
}

func writeFile(t *testing.T, b *Base, f *adapterfile.File) string {
	t.Helper()
	if f.Meta.Base.Width == 0 {
		digest, err := b.Digest()
		if err != nil {
			t.Fatal(err)
		}
		f.Meta.Base = adapterfile.NewBase(&b.model.Config, "test", b.Path(), digest)
	}
	if f.Meta.Method == "" {
		f.Meta.Method = lora.MeLo
	}
	path := filepath.Join(t.TempDir(), "adapter.safetensors")
	if err := f.Write(path, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	return path
}

func labels(n int) (list []adapterfile.Label) {
	for i := range n {
		list = append(list, adapterfile.Label{Name: fmt.Sprintf("label %d", i)})
	}
	return list
}

func predict(t *testing.T, b *Base, a *Adapter, images ...*imaging.Image) []Prediction {
	t.Helper()
	p, err := b.Predict(t.Context(), a, images...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGoldenAdapter takes an adapter through a file onto the base: its logits are PyTorch's.
func TestGoldenAdapter(t *testing.T) {
	c := golden.Open(t, "hf_vit")
	b := open(t, "hf_vit")
	a := &lora.Adapter{Head: b.model.Head}
	for block := range b.model.Depth {
		for _, kind := range []vit.Kind{vit.Q, vit.V} {
			site := vit.Site{Block: block, Kind: kind}
			name := fmt.Sprintf("lora.block.%d.%v", block, kind)
			rank := c.Tensor(name + ".A").Shape[0]
			a.Deltas = append(a.Deltas, lora.Delta{Site: site, Rank: rank, Alpha: 2 * float32(rank), Scale: 2,
				A: c.Data(name + ".A"), B: c.Data(name + ".B")})
		}
	}
	path := writeFile(t, b, &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{
		Task: adapterfile.Multiclass, Labels: labels(b.model.Classes)}})
	adapter, err := b.Adapter(path)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := b.answer(adapter, c.Data("input"), 2)
	if err != nil {
		t.Fatal(err)
	}
	// Float32 rounding against float64 through three blocks, as in package lora.
	c.Check(t, "loralogits", slices.Concat(answers[0].prediction.Logits, answers[1].prediction.Logits), 2e-5)
}

func TestPredictWithTheOwnHead(t *testing.T) {
	b := open(t, "hf_vit")
	own, err := b.OwnHead()
	if err != nil {
		t.Fatal(err)
	}
	want := predict(t, b, own, picture(1), picture(2))
	if got := predict(t, b, nil, picture(1), picture(2)); !reflect.DeepEqual(got, want) || len(got) != 2 {
		t.Errorf("nil adapter %+v, own head %+v", got, want)
	}
	if p := want[0]; p.Probability != slices.Max(p.Probabilities) || own.Labels()[slices.Index(p.Probabilities, p.Probability)] != p.Label {
		t.Errorf("%+v is not the most probable label", p)
	}
	if _, err := open(t, "mae").OwnHead(); err == nil {
		t.Error("a base without a head predicts")
	}
}

// TestProblemType: what transformers says that a head was trained for decides how its logits are read.
func TestProblemType(t *testing.T) {
	from := filepath.Join(golden.Root(t), "hf_vit")
	for problem, want := range map[string]adapterfile.Task{"": adapterfile.Multiclass, "single_label_classification": adapterfile.Multiclass,
		"multi_label_classification": adapterfile.Multilabel, "regression": ""} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "config.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte("{"), []byte(`{"problem_type": "`+problem+`",`), 1)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(dir, Workers(1))
		if err != nil {
			t.Fatal(err)
		}
		own, err := b.OwnHead()
		switch {
		case want == "":
			if err == nil || !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: %v", problem, err)
			}
		case err != nil || own.Metadata().Task != want:
			t.Errorf("%q: task %q, %v", problem, own.Metadata().Task, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRelationCallsAreIndependent: an image gets the same bits from any adapter's call, whatever the
// grouping, the number of workers, and what runs at the same time.
func TestRelationCallsAreIndependent(t *testing.T) {
	one, many := open(t, "hf_vit", Workers(1), Batch(1)), open(t, "hf_vit", Workers(3), Batch(4))
	images := make([]*imaging.Image, 6)
	for i := range images {
		images[i] = picture(uint64(i))
	}
	var paths []string
	for i := range 3 {
		paths = append(paths, write(t, one, lora.Config{Rank: 1 + 3*i}, uint64(i), adapterfile.Metadata{
			Task: adapterfile.Multilabel, Labels: labels(2 + i), Temperatures: []float64{1.5}}))
	}
	var group sync.WaitGroup
	for _, path := range paths {
		a1, err := one.Adapter(path)
		if err != nil {
			t.Fatal(err)
		}
		a2, err := many.Adapter(path)
		if err != nil {
			t.Fatal(err)
		}
		want := predict(t, one, a1, images...)
		group.Go(func() {
			for range 3 {
				got, err := many.Predict(t.Context(), a2, images...)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %v, or answers differ", path, err)
				}
			}
		})
	}
	group.Wait()
}

// TestFullyTunedAdapter: the file of a fully tuned model predicts what the tuner computes, and leaves the
// base as it is.
func TestFullyTunedAdapter(t *testing.T) {
	b := open(t, "hf_vit")
	before := predict(t, b, nil, picture(1))
	start, err := lora.New(&b.model.Config, lora.Config{Blocks: []int{}}, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := lora.NewTuner(b.model, 1, lora.FullTuning, start, lora.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &adapterfile.File{Adapter: start, Meta: adapterfile.Metadata{Method: lora.FullTuning, Task: adapterfile.Multiclass, Labels: labels(3)}}
	for _, p := range tuner.Params() {
		for i := range p.Data {
			p.Data[i] *= 1.01
		}
		if strings.HasPrefix(p.Name, "head.") {
			continue
		}
		x, err := safetensors.FromFloat32s(adapterfile.BasePrefix+p.Name, safetensors.F32, p.Shape, p.Data)
		if err != nil {
			t.Fatal(err)
		}
		f.Extra = append(f.Extra, x)
	}
	tuner.Updated()
	a, err := b.Adapter(writeFile(t, b, f))
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]float32, a.Recipe().Values())
	if err := a.Recipe().Apply(picture(1), pixels); err != nil {
		t.Fatal(err)
	}
	if got, want := predict(t, b, a, picture(1))[0].Logits, tuner.Forward(pixels, 1, false); !slices.Equal(got, want) {
		t.Errorf("logits %v, the tuner has %v", got, want)
	}
	if after := predict(t, b, nil, picture(1)); !reflect.DeepEqual(after, before) {
		t.Error("the base changed")
	}
	f.Extra = f.Extra[1:]
	if _, err := b.Adapter(writeFile(t, b, f)); err == nil || !strings.Contains(err.Error(), "has no tensor") {
		t.Errorf("a tensor is missing: %v", err)
	}
}

func TestOpenFor(t *testing.T) {
	b := open(t, "hf_vit")
	meta := adapterfile.Metadata{Task: adapterfile.Binary, Labels: labels(2)}
	path := write(t, b, lora.Config{}, 1, meta)
	a, err := b.Adapter(path)
	if err != nil {
		t.Fatal(err)
	}
	want := predict(t, b, a, picture(3))
	for _, basePath := range []string{"", b.Path()} {
		other, a, err := OpenFor(path, basePath)
		if err != nil {
			t.Fatal(err)
		}
		if got := predict(t, other, a, picture(3)); !reflect.DeepEqual(got, want) {
			t.Errorf("base %q: %+v, expected %+v", basePath, got, want)
		}
		other.Close()
	}
	digest, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	nowhere := func(hint string) string {
		m := meta
		m.Base = adapterfile.NewBase(&b.model.Config, "some/base", hint, digest)
		return write(t, b, lora.Config{}, 1, m)
	}
	wrongRecipe := meta
	wrongRecipe.Recipe = b.model.Recipe
	wrongRecipe.Recipe.Size++
	wrongRecipe.Recipe.Resize = 0
	for name, c := range map[string]struct{ adapter, base, says string }{
		"no hint":       {nowhere(""), "", "some/base"},
		"moved":         {nowhere("gone"), "", "no longer at gone"},
		"another base":  {path, filepath.Join(golden.Root(t), "timm_vit"), "another base"},
		"no base":       {path, "missing", "missing"},
		"not a file":    {"missing.safetensors", "", "missing.safetensors"},
		"a base":        {filepath.Join(b.Path(), "model.safetensors"), "", "expected a native adapter"},
		"without head":  {write(t, b, lora.Config{}, 1, adapterfile.Metadata{}), "", "no head"},
		"side of input": {write(t, b, lora.Config{}, 1, wrongRecipe), "", "side"},
	} {
		if _, _, err := OpenFor(c.adapter, c.base); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", name, err, c.says)
		}
	}
}

func TestPredictFilesReportsWhatCannotBeRead(t *testing.T) {
	b := open(t, "hf_vit", Batch(2))
	dir := t.TempDir()
	paths := make([]string, 5)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("%d.bmp", i))
		if err := os.WriteFile(paths[i], []byte("BM, but not really"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	next := 0
	err := b.PredictFiles(t.Context(), nil, paths, func(i int, p Prediction, err error) error {
		if i != next || err == nil || !strings.Contains(err.Error(), filepath.Base(paths[i])) || p.Label != "" {
			t.Errorf("file %d after %d: %+v, %v", i, next-1, p, err)
		}
		next++
		return nil
	})
	if err != nil || next != len(paths) {
		t.Errorf("%d of %d files: %v", next, len(paths), err)
	}
	stop := errors.New("enough")
	if err := b.PredictFiles(t.Context(), nil, paths, func(int, Prediction, error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
	if err := b.PredictFiles(t.Context(), nil, nil, nil); err != nil {
		t.Errorf("no files: %v", err)
	}
}

func TestPredictEnds(t *testing.T) {
	for _, batch := range []int{0, -1, maxBatch + 1} {
		if _, err := Open(filepath.Join(golden.Root(t), "hf_vit"), Batch(batch)); err == nil {
			t.Errorf("batch of %d accepted", batch)
		}
	}
	b := open(t, "hf_vit")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Predict(ctx, nil, picture(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := b.Predict(t.Context(), nil, picture(1), &imaging.Image{}); err == nil || !strings.Contains(err.Error(), "image 1") {
		t.Errorf("empty image: %v", err)
	}
	b.Close()
	if _, err := b.Predict(t.Context(), nil, picture(1)); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}
