package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// TestOpen serves a base from disk, whose weights have a digest of their own.
func TestOpen(t *testing.T) {
	base, dir := filepath.Join(golden.Root(t), "hf_vit"), t.TempDir()
	publish(t, dir, "foreign", someAdapter(1))
	c := Config{Base: base, Adapters: dir, Workers: 2, Remember: t.TempDir(), Batch: 4}
	e, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	refuse[*BrokenError](t, e, "foreign", "", "another base")
	a, err := lora.New(&e.Model().Config, lora.Config{}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&e.Model().Config, "", "", e.BaseDigest()),
		Method: lora.MeLo, Task: adapterfile.Binary, Labels: adapterfile.Labels("no", "yes")}}
	if err := f.Write(filepath.Join(dir, "own"+extension), safetensors.F32); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	answers, errs := e.Predict(t.Context(), Request{Name: "own", Input: Input{Image: picture(1)}})
	if p := answers[0]; errs[0] != nil || p.Digest != f.Digest || len(p.Present) != 2 || p.Thresholds[1] != 0.5 || p.Timing.Batch != 1 || p.Timing.Compute <= 0 {
		t.Errorf("%+v, %v", p, errs[0])
	}
	if s := e.Registry().Stats(); len(s) != 1 || s[0].Success.Count != 1 || s[0].Executions != 1 || s[0].Digest != f.Digest {
		t.Errorf("%+v", s)
	}
	if !e.Ready() || !e.Live() || e.Side() != e.Recipe().Size {
		t.Error("not ready, not alive, or another side")
	}
	for name, change := range map[string]func(c *Config){
		"batch": func(c *Config) { c.Batch = maxBatch + 1 }, "queue": func(c *Config) { c.Queue = -1 }, "budget": func(c *Config) { c.Budget = -1 },
		"missing base": func(c *Config) { c.Base = "missing" }, "missing folder": func(c *Config) { c.Adapters = "missing" },
		"state": func(c *Config) { c.State = base },
	} {
		bad := c
		change(&bad)
		if e, err := Open(t.Context(), bad); err == nil || !strings.Contains(err.Error(), strings.Fields(name)[0]) && name != "state" {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				e.Close()
			}
		}
	}
}

// TestPrecisionWithoutInstructions: what the CPU cannot do is refused by name.
func TestPrecisionWithoutInstructions(t *testing.T) {
	for _, p := range []vit.Precision{vit.BF16, vit.I8} {
		if vit.Supports(p) {
			continue
		}
		if _, err := Open(t.Context(), Config{Base: "any", Precision: p}); err == nil || !strings.Contains(err.Error(), p.String()) {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// TestDecisionThatCannotBeKept changes nothing.
func TestDecisionThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	one := publish(t, dir, "a", someAdapter(1))
	e := newEngine(t, 1, Config{Adapters: dir, State: filepath.Join(t.TempDir(), "gone", "state.json")})
	if err := e.Registry().Unload("a"); err == nil {
		t.Error("a decision was not kept, and nobody was told")
	}
	expect(t, e, "a", "", one)
}

// TestCurveOutlivesTheProcess: what the batches of one engine taught is known to the next.
func TestCurveOutlivesTheProcess(t *testing.T) {
	dir, known := t.TempDir(), t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	c := Config{Adapters: dir, Remember: known}
	e := newEngine(t, 1, c)
	for range enoughSamples {
		if _, err := ask(t, e, "a", ""); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	if points := newEngine(t, 1, c).Curve(); len(points) != 1 || points[0].Images != 1 || points[0].Seconds <= 0 {
		t.Errorf("%+v", points)
	}
}

// BenchmarkPredict is a request that the base takes microseconds for: what is left is the engine's.
func BenchmarkPredict(b *testing.B) {
	dir := b.TempDir()
	for i := range 8 {
		publish(b, dir, fmt.Sprint(i), someAdapter(60*uint64(i)))
	}
	e := newEngine(b, 1, Config{Adapters: dir})
	x := tensor(1)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if _, errs := e.Predict(b.Context(), Request{Name: "0123"[i%4 : i%4+1], Input: Input{Tensor: x}}); errs[0] != nil {
			b.Fatal(errs[0])
		}
	}
}

// BenchmarkScan is a look at a thousand files that have not changed.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	publish(b, dir, "0", someAdapter(1))
	data, err := os.ReadFile(filepath.Join(dir, "0"+extension))
	if err != nil {
		b.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprint(i)+extension)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Chtimes(path, past, past); err != nil {
			b.Fatal(err)
		}
	}
	e := newEngine(b, 1, Config{Adapters: dir})
	for b.Loop() {
		if err := e.Registry().Scan(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNarrowPrecisionsAreExact: in bf16 and int8, too, a row of a batch over many adapters is, bit for bit, the
// request alone.
func TestNarrowPrecisionsAreExact(t *testing.T) {
	for _, p := range []vit.Precision{vit.BF16, vit.I8} {
		if !vit.Supports(p) {
			t.Logf("no instructions for %v", p)
			continue
		}
		pool := par.New(2)
		m := vit.Random(pool, tiny(), p, 0.3, 1)
		m.Recipe = randomBase(pool).Recipe
		dir := t.TempDir()
		var requests []Request
		var want [][]float32
		for i := range 24 {
			f := someAdapter(uint64(i))
			x := make([]float32, m.Recipe.Values())
			adapterfile.SelfTestInput(x, 9, 0)
			f.Meta.SelfTest = &adapterfile.SelfTest{Seed: 9, Logits: [][]float32{alone(m, f.Adapter, x)}}
			name := fmt.Sprint(i)
			publish(t, dir, name, f)
			requests = append(requests, Request{Name: name, Input: Input{Tensor: tensor(uint64(i % 5))}})
			want = append(want, alone(m, f.Adapter, requests[i].Input.Tensor))
		}
		e, err := New(t.Context(), m, baseDigest, Config{Release: pool.Close, Adapters: dir, Batch: 8})
		if err != nil {
			t.Fatal(err)
		}
		answers, errs := e.Predict(t.Context(), requests...)
		for i := range requests {
			if errs[i] != nil || !slices.Equal(answers[i].Logits, want[i]) {
				t.Errorf("%v: adapter %d: %v, logits %v, alone %v", p, i, errs[i], answers[i].Logits, want[i])
			}
		}
		e.Close()
	}
}
