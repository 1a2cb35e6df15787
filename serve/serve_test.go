package serve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// baseDigest is what the tests call the weights of their random base.
const baseDigest = digestPrefix + "00000000000000000000000000000000000000000000000000000000000000ba"

// tiny is a base so small that a pass takes microseconds.
func tiny() vit.Config {
	return vit.Config{Family: "vit", Width: 16, Depth: 2, Heads: 2, MLP: 32, Image: 8, Patch: 4, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
}

func randomBase(pool *par.Pool) *vit.Model {
	m := vit.Random(pool, tiny(), vit.F32, 0.3, 1)
	m.Recipe = imaging.Recipe{Size: m.Image, Interpolation: imaging.Bilinear, Mean: [3]float32{.5, .5, .5}, Std: [3]float32{.5, .5, .5}}
	return m
}

// newEngine returns an engine over a random base and a new folder, which c.Adapters names if it is not empty.
func newEngine(t testing.TB, workers int, c Config) *Engine {
	t.Helper()
	pool := par.New(workers)
	c.Release = pool.Close
	if c.Adapters == "" {
		c.Adapters = t.TempDir()
	}
	e, err := New(t.Context(), randomBase(pool), baseDigest, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// someAdapter makes an adapter that differs for every seed: in rank, sites, labels, kind of task and calibration.
func someAdapter(seed uint64) *adapterfile.File {
	c := tiny()
	rng := rand.New(rand.NewPCG(seed, 5))
	cfg := lora.Config{Rank: 1 + int(seed%5), Blocks: [][]int{nil, {1}, {0, 1}}[seed%3]}
	if seed%2 == 1 {
		cfg.Kinds = []vit.Kind{vit.Q, vit.K, vit.V, vit.Proj, vit.FC1, vit.FC2}
	}
	classes := 1 + int(seed%4)
	method, task := lora.MeLo, adapterfile.Multilabel
	if seed%7 == 3 {
		cfg.Blocks, method = []int{}, lora.LinearOnly
	}
	if classes == 2 {
		task = adapterfile.Binary
	} else if classes == 3 {
		task = adapterfile.Multiclass
	}
	a, err := lora.New(&c, cfg, classes, seed)
	if err != nil {
		panic(err)
	}
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.3
		}
	}
	meta := adapterfile.Metadata{Base: adapterfile.NewBase(&c, "test", "", baseDigest), Method: method, Task: task}
	for i := range classes {
		meta.Labels = append(meta.Labels, adapterfile.Label{Name: fmt.Sprintf("label %d of %d", i, seed)})
		meta.Thresholds = append(meta.Thresholds, rng.Float64())
	}
	meta.Temperatures = []float64{1 + rng.Float64()}
	return &adapterfile.File{Adapter: a, Meta: meta}
}

// publish writes an adapter into the folder and returns its digest.
func publish(t testing.TB, dir, name string, f *adapterfile.File) string {
	t.Helper()
	if err := f.WriteTypes(filepath.Join(dir, name+extension), adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	return f.Digest
}

// tensor is an input that differs for every seed.
func tensor(seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 6))
	x := make([]float32, 3*8*8)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// picture is an image that differs for every seed.
func picture(seed uint64) *imaging.Image {
	rng := rand.New(rand.NewPCG(seed, 7))
	img := &imaging.Image{W: 11, H: 9, C: 3, Bits: 8, Pix8: make([]uint8, 11*9*3)}
	for i := range img.Pix8 {
		img.Pix8[i] = uint8(rng.Uint32())
	}
	return img
}

// alone computes the logits of one input for one adapter without the engine.
func alone(m *vit.Model, a *lora.Adapter, x []float32) []float32 {
	engine := m.NewEngine(1)
	y := make([]float32, a.Head.Classes)
	a.Head.Logits(y, engine.Features(x, 1, lora.Segment{Adapter: a.Resident(m.Precision), Images: 1}))
	return slices.Clone(y)
}

func TestPredict(t *testing.T) {
	dir := t.TempDir()
	files := map[string]*adapterfile.File{}
	for i := range 8 {
		name := fmt.Sprintf("task %d", i)
		files[name] = someAdapter(uint64(i))
		publish(t, dir, name, files[name])
	}
	e := newEngine(t, 2, Config{Adapters: dir})
	for name, f := range files {
		img := picture(1)
		x := make([]float32, e.Recipe().Values())
		if err := e.Recipe().Apply(img, x); err != nil {
			t.Fatal(err)
		}
		answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: img}}, Request{Name: name, Version: f.Digest, Input: Input{Tensor: x}},
			Request{Name: "nobody", Input: Input{Tensor: x}}, Request{Name: name, Input: Input{Tensor: x[1:]}})
		want := alone(e.Model(), f.Adapter, x)
		for i := range 2 {
			if a := answers[i]; errs[i] != nil || a.Digest != f.Digest || a.Name != name || !slices.Equal(a.Logits, want) || !slices.Contains(a.Labels, a.Label) {
				t.Errorf("%s: %+v, %v, expected logits %v", name, answers[i], errs[i], want)
			}
		}
		if !errors.Is(errs[2], ErrUnknownAdapter) || !errors.As(errs[3], new(*InputError)) {
			t.Errorf("%v, %v", errs[2], errs[3])
		}
	}
}

// selfTestOf is a self-test that no adapter of the tests passes.
func selfTestOf(labels int) *adapterfile.SelfTest {
	wrong := make([]float32, labels)
	for i := range wrong {
		wrong[i] = 1e6
	}
	return &adapterfile.SelfTest{Seed: 1, Logits: [][]float32{wrong}}
}
