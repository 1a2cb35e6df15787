package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// tunedKinds are adapters of PEFT that change weights of their base, by golden name, and that base.
var tunedKinds = map[string]string{"peft_dora": "hf_vit", "peft_bias": "hf_vit", "peft_lora_bias": "hf_vit", "peft_timm_dora": "timm_vit"}

// tunedFolder puts those of one base, or of all ("") into a folder: as PEFT wrote them and as native files.
func tunedFolder(t *testing.T, base string) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	for name, of := range tunedKinds {
		if base != "" && of != base {
			continue
		}
		src := filepath.Join(golden.Root(t), "adapters", name)
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(src)); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(dir, name, "adapter_config.json"), `"base_model_name_or_path": null`, `"base_model_name_or_path": "some/`+of+`"`)
		nativeOf(t, filepath.Join(dir, name+"-native"+extension), src, filepath.Join(golden.Root(t), of))
		names = append(names, name, name+"-native")
	}
	slices.Sort(names)
	return dir, names
}

// nativeOf writes the native file of an adapter of PEFT.
func nativeOf(t *testing.T, path, folder, base string) {
	t.Helper()
	m, err := vit.Open(base, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := adapterfile.ReadForeign(folder, m, maxAdapter)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(base)
	if err != nil {
		t.Fatal(err)
	}
	f.Meta.Base = adapterfile.NewBase(&m.Config, filepath.Base(base), base, digest)
	if err := f.Write(path, safetensors.F32); err != nil {
		t.Fatal(err)
	}
}

// checkTuned asks an adapter about the golden inputs of PEFT.
func checkTuned(t *testing.T, e *Engine, name string) error {
	t.Helper()
	g := golden.Open(t, "adapters/"+strings.TrimSuffix(name, "-native"))
	x := g.Data("input")
	var logits []float32
	for i := range 2 {
		n := len(x) / 2
		answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Tensor: x[i*n : (i+1)*n]}})
		if errs[0] != nil {
			return errs[0]
		}
		logits = append(logits, answers[0].Logits...)
	}
	g.Check(t, "logits", logits, 1e-5)
	return nil
}

// TestTuned: adapters that change weights of their base answer as PEFT does, beside adapters that share it, and within the
// memory for bases.
func TestTuned(t *testing.T) {
	base := filepath.Join(golden.Root(t), "hf_vit")
	dir, names := tunedFolder(t, "hf_vit")
	if err := os.CopyFS(filepath.Join(dir, "peft_qv"), os.DirFS(filepath.Join(golden.Root(t), "adapters", "peft_qv"))); err != nil {
		t.Fatal(err)
	}
	names = append(names, "peft_qv")
	e, err := Open(t.Context(), Config{Base: base, Adapters: dir, Workers: 2, Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	var own int64
	for _, name := range names {
		if s, err := e.Registry().Describe(name, ""); err != nil || (s.Own == 0) != (name == "peft_qv") || s.Resident != 0 || s.Base != nil {
			t.Errorf("%s before: %+v, %v", name, s, err)
		}
		if err := checkTuned(t, e, name); err != nil {
			t.Fatal(err)
		}
		s, err := e.Registry().Describe(name, "")
		if err != nil || s.State != Ready || s.Resident != s.Bytes {
			t.Errorf("%s after: %+v, %v", name, s, err)
		}
		own = max(own, s.Own)
	}
	if err := e.Registry().Unload("peft_dora"); err != nil {
		t.Fatal(err)
	}
	if s := e.Registry().Versions("peft_dora")[0]; s.Resident != 0 {
		t.Errorf("unloaded, and takes %d bytes", s.Resident)
	}
	e.tuning.mu.Lock()
	if n := len(e.tuning.list); n != len(names)-2 { // not that, nor the one without weights of its own
		t.Errorf("%d networks in memory", n)
	}
	e.tuning.mu.Unlock()
	fixed := e.tuning.fixed
	e.Close()

	// With room for the base and one more network they take turns, under load.
	e, err = Open(t.Context(), Config{Base: base, Adapters: dir, Workers: 2, Batch: 4, BaseBudget: fixed + own})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for client := range 3 {
		group.Go(func() {
			for i := range names {
				if err := checkTuned(t, e, names[(i+client)%len(names)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	e.tuning.mu.Lock()
	if e.tuning.bytes > fixed+own || len(e.tuning.list) != 1 || e.tuning.list[0].refs != 0 {
		t.Errorf("%d bytes of %d, %d networks", e.tuning.bytes, fixed+own, len(e.tuning.list))
	}
	e.tuning.mu.Unlock()
	e.Close()

	e, err = Open(t.Context(), Config{Base: base, Adapters: dir, Workers: 2, Batch: 4, BaseBudget: fixed + own - 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var room *BaseRoomError
	if err := checkTuned(t, e, "peft_dora"); !errors.As(err, &room) || !strings.Contains(err.Error(), fmt.Sprint(fixed+own-1)) {
		t.Errorf("too little memory: %v", err)
	}
	if s, _ := e.Registry().Describe("peft_dora", ""); s.State != Unavailable || !strings.Contains(s.Reason, "budget") {
		t.Errorf("%+v", s)
	}
	if err := checkTuned(t, e, "peft_qv"); err != nil {
		t.Error(err)
	}
}

// TestTunedChanges: files that are written anew, published over the wire, damaged, and taken away.
func TestTunedChanges(t *testing.T) {
	base := filepath.Join(golden.Root(t), "hf_vit")
	dir, _ := tunedFolder(t, "hf_vit")
	e, err := Open(t.Context(), Config{Base: base, Adapters: dir, Workers: 2, Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := checkTuned(t, e, "peft_dora"); err != nil {
		t.Fatal(err)
	}
	look := func(name string) (string, error) {
		answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: picture(1)}})
		return answers[0].Digest, errs[0]
	}
	before, _ := look("peft_dora")
	rewrite(t, filepath.Join(dir, "peft_dora", "adapter_config.json"), `"use_rslora": false`, `"use_rslora": true`)
	scan(t, e)
	if after, err := look("peft_dora"); err != nil || after == before {
		t.Errorf("another scale: %v, %v", after, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "peft_bias-native"+extension))
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "peft_bias-native"+extension))
	scan(t, e)
	refuse[*UnknownError](t, e, "peft_bias-native", "", "")
	if err := e.Registry().LoadBytes(t.Context(), "peft_bias-native", data, nil); err != nil {
		t.Fatal(err)
	}
	if err := checkTuned(t, e, "peft_bias-native"); err != nil {
		t.Error(err)
	}
	// A magnitude that is missing shows when the weights are computed.
	weights := filepath.Join(dir, "peft_dora", "adapter_model.safetensors")
	st, err := safetensors.Open(weights)
	if err != nil {
		t.Fatal(err)
	}
	var list []safetensors.TensorData
	for _, name := range st.Names() {
		if x, _ := st.Tensor(name); !strings.Contains(name, "layers.1.attention.k_proj.lora_magnitude") {
			list = append(list, safetensors.TensorData{Name: name, DType: x.DType, Shape: x.Shape, Data: slices.Clone(x.Data)})
		}
	}
	if len(list) == len(st.Names()) {
		t.Fatalf("nothing was taken out of %q", st.Names())
	}
	st.Close()
	if err := safetensors.WriteFile(weights, 0o644, list, nil); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	if _, err := look("peft_dora"); err == nil || !strings.Contains(err.Error(), "lora_magnitude_vector") {
		t.Errorf("damaged: %v", err)
	}
	if s, _ := e.Registry().Describe("peft_dora", ""); s.State != Unavailable || !strings.Contains(s.Reason, "lora_magnitude_vector") {
		t.Errorf("%+v", s)
	}
	for _, name := range e.Registry().Names() {
		for _, path := range []string{name, name + extension} {
			os.RemoveAll(filepath.Join(dir, path))
		}
	}
	scan(t, e)
	e.tuning.mu.Lock()
	defer e.tuning.mu.Unlock()
	if len(e.tuning.list) != 0 || e.tuning.bytes != e.tuning.fixed {
		t.Errorf("%d networks and %d bytes are left", len(e.tuning.list), e.tuning.bytes-e.tuning.fixed)
	}
}

// TestTunedSeveral: beside several bases, tuned adapters find theirs, and count against the same memory; in narrow products
// those without a self-test are refused.
func TestTunedSeveral(t *testing.T) {
	paths := copiedBases(t, "hf_vit", "timm_vit")
	dir, names := tunedFolder(t, "")
	all := openBases(t, Config{Base: paths[0], Bases: paths[1:], Adapters: dir})
	var most int64
	for _, b := range all.Bases() {
		most = max(most, b.Bytes)
	}
	for _, budget := range []int64{0, most} {
		e := openBases(t, Config{Base: paths[0], Bases: paths[1:], Adapters: dir, BaseBudget: budget})
		for _, name := range names {
			if err := checkTuned(t, e, name); err != nil {
				t.Errorf("budget %d: %v", budget, err)
			}
			s, err := e.Registry().Describe(name, "")
			if want := tunedKinds[strings.TrimSuffix(name, "-native")]; err != nil || s.Base == nil || s.Base.Name != want || s.Identity.Base != want {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
		}
		for _, b := range e.Bases() {
			if b.Adapters != len(names)*3/4 && b.Adapters != len(names)/4 {
				t.Errorf("%s has %d adapters", b.Name, b.Adapters)
			}
		}
		e.room.mu.Lock()
		if budget > 0 && e.room.bytes > budget {
			t.Errorf("%d bytes of %d", e.room.bytes, budget)
		}
		e.room.mu.Unlock()
		if err := e.SetBases(t.Context(), paths[1:], nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := checkTuned(t, e, "peft_timm_dora"); err != nil {
			t.Error(err)
		}
		if err := checkTuned(t, e, "peft_dora-native"); err == nil || !strings.Contains(err.Error(), "made for another base") {
			t.Errorf("its base is gone: %v", err)
		}
	}
	if !vit.Supports(vit.BF16) {
		t.Skip("no BF16")
	}
	e := openBases(t, Config{Base: paths[0], Adapters: dir, Precision: vit.BF16})
	if err := checkTuned(t, e, "peft_dora"); err == nil || !strings.Contains(err.Error(), "no self-test") {
		t.Errorf("in bf16: %v", err)
	}
}

// TestPooled: an adapter whose head sees other features than the base's pooling gives answers as it was trained, beside one base
// and beside several.
func TestPooled(t *testing.T) {
	paths := copiedBases(t, "timm_vit", "hf_vit")
	m, err := vit.Open(paths[0], vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	dir, want := t.TempDir(), map[string][]float32{}
	x := make([]float32, m.Channels*m.Image*m.Image)
	adapterfile.SelfTestInput(x, 1, 0)
	for _, pool := range []string{"class", "mean", "class+mean"} {
		pooled, err := vit.Pooled(m, pool)
		if err != nil {
			t.Fatal(err)
		}
		a, err := lora.New(&pooled.Config, lora.Config{}, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range a.Deltas {
			for i := range d.B {
				d.B[i] = float32(i%7-3) / 8
			}
		}
		for i := range a.Head.W {
			a.Head.W[i] = float32(i%5-2) / 4
		}
		want[pool] = alone(pooled, a, x)
		f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&pooled.Config, "timm_vit", paths[0], digest), Pool: pool,
			Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels("a", "b", "c")}}
		if err := f.WriteTypes(filepath.Join(dir, strings.ReplaceAll(pool, "+", "-")+extension), adapterfile.Types{DType: safetensors.F32, Head: safetensors.F32}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []Config{{Base: paths[0]}, {Base: paths[0], Bases: paths[1:]}} {
		c.Adapters = dir
		e := openBases(t, c)
		for pool, logits := range want {
			name := strings.ReplaceAll(pool, "+", "-")
			answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Tensor: x}})
			if errs[0] != nil {
				t.Errorf("%s: %v", pool, errs[0])
				continue
			}
			if !slices.Equal(answers[0].Logits, logits) {
				t.Errorf("%s: %v, expected %v", pool, answers[0].Logits, logits)
			}
			if s, err := e.Registry().Describe(name, ""); err != nil || (s.Own > 0) != (pool != m.Pooling.String()) {
				t.Errorf("%s: %+v, %v", pool, s, err)
			}
		}
	}
}

// TestOtherSide: an adapter that was trained on images of another side gives answers as it was trained, from pictures and from
// tensors, beside one base and beside several; the base's own side is not disturbed.
func TestOtherSide(t *testing.T) {
	paths := copiedBases(t, "timm_vit", "hf_vit")
	digest, err := adapterfile.BaseDigest(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	own, err := vit.Open(paths[0], vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir, want, inputs := t.TempDir(), map[string][]float32{}, map[string][]float32{}
	for name, side := range map[string]int{"own": own.Image, "larger": own.Image + own.Patch, "smaller": own.Image - own.Patch} {
		m, err := vit.Open(paths[0], vit.Options{Image: side})
		if err != nil {
			t.Fatal(err)
		}
		a, err := lora.New(&m.Config, lora.Config{Rank: 2}, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a.Head.W {
			a.Head.W[i] = float32(i%5-2) / 4
		}
		for _, d := range a.Deltas {
			for i := range d.B {
				d.B[i] = float32(i%7-3) / 8
			}
		}
		x := make([]float32, m.Channels*side*side)
		adapterfile.SelfTestInput(x, 1, 0)
		inputs[name], want[name] = x, alone(m, a, x)
		f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, "timm_vit", paths[0], digest), Recipe: m.Recipe,
			Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels("a", "b", "c")}}
		if err := f.WriteTypes(filepath.Join(dir, name+extension), adapterfile.Types{DType: safetensors.F32, Head: safetensors.F32}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []Config{{Base: paths[0]}, {Base: paths[0], Bases: paths[1:]}} {
		c.Adapters = dir
		e := openBases(t, c)
		for range 2 {
			for name, logits := range want {
				answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Tensor: inputs[name]}})
				if errs[0] != nil || !slices.Equal(answers[0].Logits, logits) {
					t.Errorf("%s: %+v, %v, expected %v", name, answers[0].Logits, errs[0], logits)
				}
				if s, err := e.Registry().Describe(name, ""); err != nil || s.Side*s.Side*own.Channels != len(inputs[name]) || (s.Own > 0) != (name != "own") {
					t.Errorf("%s: %+v, %v", name, s, err)
				}
			}
		}
	}
}
