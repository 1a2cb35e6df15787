// Package servetest makes small engines for tests of the endpoints and their middleware: a random base with a
// few thousand weights, and adapters for it.
package servetest

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"melo.example/melo/conformal"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/serve"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// BaseDigest is the digest that tests use for the random base.
const BaseDigest = "sha256:00000000000000000000000000000000000000000000000000000000000000ba"

// Side is the side of the base's input.
const Side = 8

func config() vit.Config {
	return vit.Config{Family: "vit", Width: 16, Depth: 2, Heads: 2, MLP: 32, Image: Side, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
}

// Engine returns an engine with the random base that serves the folder c.Adapters. It is closed at the end of
// the test.
func Engine(t testing.TB, c serve.Config) *serve.Engine {
	t.Helper()
	pool := par.New(2)
	c.Release = pool.Close
	m := vit.Random(pool, config(), vit.F32, 0.3, 1)
	m.Recipe = imaging.Recipe{Size: Side, Interpolation: imaging.Bilinear, Mean: [3]float32{.5, .5, .5}, Std: [3]float32{.5, .5, .5}}
	e, err := serve.New(t.Context(), m, BaseDigest, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// Adapter returns an adapter with these labels that depends on the seed.
func Adapter(t testing.TB, seed uint64, task adapterfile.Task, labels ...string) *adapterfile.File {
	t.Helper()
	c := config()
	a, err := lora.New(&c, lora.Config{Rank: 2}, len(labels), seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.3
		}
	}
	meta := adapterfile.Metadata{Base: adapterfile.NewBase(&c, "test", "", BaseDigest), Method: lora.MeLo, Task: task,
		Labels: adapterfile.Labels(labels...), Temperatures: []float64{1.5}, IntendedUse: "tests",
		Metrics: []adapterfile.Metric{{Name: "auc", Split: "val", Value: 0.75, Interval: []float64{0.5, 1}, Level: 0.95, N: 12}}}
	if task == adapterfile.Multilabel {
		for range labels {
			meta.Thresholds = append(meta.Thresholds, 0.25+rng.Float64()/2)
		}
	}
	return &adapterfile.File{Adapter: a, Meta: meta}
}

// Calibrated is an adapter that can give prediction sets: of 99 made-up images of each label.
func Calibrated(t testing.TB, seed uint64, task adapterfile.Task, labels ...string) *adapterfile.File {
	t.Helper()
	f := Adapter(t, seed, task, labels...)
	rng := rand.New(rand.NewPCG(seed, 8))
	var prob []float64
	var truth []bool
	for i := range 99 * len(labels) {
		for l := range labels {
			prob, truth = append(prob, rng.Float64()), append(truth, l == i%len(labels))
		}
	}
	f.Meta.Conformal = conformal.New(prob, truth, len(labels), f.Meta.Exclusive())
	return f
}

// Publish writes an adapter into a folder.
func Publish(t testing.TB, dir, name string, f *adapterfile.File) {
	t.Helper()
	if err := f.WriteTypes(filepath.Join(dir, name+".safetensors"), adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
}

// Folder returns a folder with three adapters: lesion (binary), view (three exclusive labels), and findings
// (two labels that are not exclusive).
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Publish(t, dir, "lesion", Adapter(t, 1, adapterfile.Binary, "benign", "malignant"))
	Publish(t, dir, "view", Adapter(t, 2, adapterfile.Multiclass, "front", "back", "side"))
	Publish(t, dir, "findings", Adapter(t, 3, adapterfile.Multilabel, "effusion", "nodule"))
	return dir
}

// Bytes returns the file of an adapter.
func Bytes(t testing.TB, f *adapterfile.File) []byte {
	t.Helper()
	dir := t.TempDir()
	Publish(t, dir, "x", f)
	data, err := os.ReadFile(filepath.Join(dir, "x.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// PNG returns a picture of w x h pixels that depends on the seed.
func PNG(t testing.TB, seed uint64, w, h int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Tensor returns a preprocessed input that depends on the seed.
func Tensor(seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 6))
	x := make([]float32, 3*Side*Side)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// Animation returns a GIF with two frames, of which the first is used.
func Animation(t testing.TB) []byte {
	t.Helper()
	frame := func(c color.Color) *image.Paletted {
		p := image.NewPaletted(image.Rect(0, 0, 12, 12), color.Palette{c, color.White})
		p.SetColorIndex(3, 3, 1)
		return p
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{frame(color.Black), frame(color.Gray{90})}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// AdapterOn makes an adapter with the labels a, b and c for the base at a path, and writes it to a folder.
func AdapterOn(t testing.TB, dir, name, base string, seed uint64) {
	t.Helper()
	m, err := vit.Outline(base, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(base)
	if err != nil {
		t.Fatal(err)
	}
	a, err := lora.New(&m.Config, lora.Config{Rank: 2}, 3, seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.3
		}
	}
	Publish(t, dir, name, &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, filepath.Base(base), base, digest),
		Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels("a", "b", "c")}})
}
