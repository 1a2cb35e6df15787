package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// copiedBases puts bases of several kinds into a folder of their own, where a test may change them.
func copiedBases(t *testing.T, kinds ...string) (paths []string) {
	t.Helper()
	for _, kind := range kinds {
		path := filepath.Join(t.TempDir(), kind)
		if err := os.CopyFS(path, os.DirFS(filepath.Join(golden.Root(t), kind))); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// adapterOn makes an adapter for a base and puts it into a folder.
func adapterOn(t *testing.T, dir, name, base string, seed uint64) {
	t.Helper()
	m, err := vit.Outline(base, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(base)
	if err != nil {
		t.Fatal(err)
	}
	cfg := lora.Config{Rank: 1 + int(seed%3)}
	if seed%2 == 1 {
		cfg.Blocks = []int{m.Depth - 1}
	}
	a, err := lora.New(&m.Config, cfg, 3, seed)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 5))
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(rng.NormFloat64()) * 0.3
		}
	}
	f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, filepath.Base(base), base, digest),
		Method: lora.MeLo, Task: adapterfile.Multiclass, Labels: adapterfile.Labels("a", "b", "c")}}
	if err := f.Write(filepath.Join(dir, name+extension), safetensors.F32); err != nil {
		t.Fatal(err)
	}
}

func openBases(t *testing.T, c Config) *Engine {
	t.Helper()
	c.Workers = 2
	e, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func statusOf(e *Engine, name string) BaseStatus {
	for _, b := range e.Bases() {
		if b.Name == name {
			return b
		}
	}
	return BaseStatus{}
}

// threeBases are bases of different widths, families and sides, with three adapters each.
func threeBases(t *testing.T) (paths []string, dir string, names []string) {
	t.Helper()
	paths, dir = copiedBases(t, "hf_vit", "dinov2", "deit"), t.TempDir()
	for i, path := range paths {
		for k := range 3 {
			name := fmt.Sprintf("%s-%d", filepath.Base(path), k)
			adapterOn(t, dir, name, path, uint64(3*i+k))
			names = append(names, name)
		}
	}
	return paths, dir, names
}

// TestSeveralBases: under load, with room for one or two of three bases, every answer is, bit for bit, that of a process with
// its base alone; the memory stays within the budget; nothing is held in the end.
func TestSeveralBases(t *testing.T) {
	paths, dir, names := threeBases(t)
	want := map[string][][]float32{}
	const images = 3
	for _, path := range paths {
		e := openBases(t, Config{Base: path, Adapters: dir})
		for _, name := range names {
			if !strings.HasPrefix(name, filepath.Base(path)+"-") {
				continue
			}
			for seed := range uint64(images) {
				answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: picture(seed)}})
				if errs[0] != nil {
					t.Fatal(errs[0])
				}
				want[name] = append(want[name], answers[0].Logits)
			}
		}
	}
	var largest, all int64
	for _, b := range openBases(t, Config{Base: paths[0], Bases: paths[1:], Adapters: dir}).Bases() {
		largest, all = max(largest, b.Bytes), all+b.Bytes
	}
	for _, budget := range []int64{0, largest, all - 1} {
		e := openBases(t, Config{Base: paths[0], Bases: paths[1:], Adapters: dir, BaseBudget: budget})
		var group sync.WaitGroup
		for client := range uint64(6) {
			group.Go(func() {
				rng := rand.New(rand.NewPCG(client, 1))
				for range 6 {
					var requests []Request
					var seeds []uint64
					for _, name := range names {
						if rng.IntN(3) == 0 {
							seeds = append(seeds, rng.Uint64N(images))
							requests = append(requests, Request{Name: name, Input: Input{Image: picture(seeds[len(seeds)-1])}})
						}
					}
					answers, errs := e.Predict(t.Context(), requests...)
					for i, q := range requests {
						if errs[i] != nil || !slices.Equal(answers[i].Logits, want[q.Name][seeds[i]]) {
							t.Errorf("budget %d, %s: %v, %v, want %v", budget, q.Name, answers[i].Logits, errs[i], want[q.Name][seeds[i]])
						}
					}
					e.room.mu.Lock()
					if budget > 0 && e.room.bytes > budget {
						t.Errorf("%d bytes of bases, the budget is %d", e.room.bytes, budget)
					}
					e.room.mu.Unlock()
				}
			})
		}
		group.Wait()
		var loads, evictions uint64
		for _, b := range e.registry.reader.bases() {
			e.room.mu.Lock()
			if b.refs != 0 {
				t.Errorf("budget %d: %s is held %d times", budget, b.name, b.refs)
			}
			e.room.mu.Unlock()
		}
		for _, b := range e.Bases() {
			loads, evictions = loads+b.Loads, evictions+b.Evictions
			if b.Adapters != 3 || b.State != Ready {
				t.Errorf("%+v", b)
			}
		}
		if budget == 0 && (loads != 3 || evictions != 0) || budget > 0 && evictions == 0 {
			t.Errorf("budget %d: %d loads, %d evictions", budget, loads, evictions)
		}
	}
}

// TestBaseRoom: what does not fit is an error that names the base and the budget; pinned bases stay; who waits for a load
// gives up at its deadline, and who holds a base keeps it.
func TestBaseRoom(t *testing.T) {
	paths, dir, _ := threeBases(t)
	ask := func(e *Engine, name string) error {
		_, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: picture(1)}})
		return errs[0]
	}
	c := Config{Base: paths[0], Bases: paths[1:], Adapters: dir, BaseBudget: 1000}
	e := openBases(t, c)
	err := ask(e, "dinov2-0")
	var roomError *BaseRoomError
	if !errors.As(err, &roomError) || roomError.Budget != 1000 || roomError.Base != "dinov2" || !strings.Contains(err.Error(), "dinov2") || !strings.Contains(err.Error(), "1000") {
		t.Errorf("error %v", err)
	}
	if b := statusOf(e, "dinov2"); b.State != Unavailable || !strings.Contains(b.Reason, "budget") {
		t.Errorf("%+v", b)
	}
	bytes := map[string]int64{}
	for _, b := range e.Bases() {
		bytes[b.Name] = b.Bytes
	}
	c.BaseBudget, c.Pinned = bytes["hf_vit"]+max(bytes["dinov2"], bytes["deit"]), []string{"hf_vit"}
	e = openBases(t, c)
	if b := statusOf(e, "hf_vit"); b.Loads != 1 || b.Resident == 0 || !b.Pinned {
		t.Errorf("pinned: %+v", b)
	}
	for _, name := range []string{"dinov2-0", "deit-0", "dinov2-1", "hf_vit-0", "deit-1"} {
		if err := ask(e, name); err != nil {
			t.Error(err)
		}
	}
	if b := statusOf(e, "hf_vit"); b.Loads != 1 || b.Evictions != 0 {
		t.Errorf("pinned: %+v", b)
	}
	if b := statusOf(e, "deit"); b.Loads != 2 || b.Evictions != 1 || b.Resident == 0 {
		t.Errorf("deit: %+v", b)
	}
	// Somebody holds deit: dinov2 has to wait, and gives up in time; deit answers those that have it, and then goes.
	deit := e.registry.reader.bases()[2]
	if err := deit.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, errs := e.Predict(short, Request{Name: "dinov2-0", Input: Input{Image: picture(1)}}); !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("error %v", errs[0])
	}
	if deit.stack == nil {
		t.Error("a base left that is held")
	}
	answered := make(chan error, 2)
	go func() { answered <- ask(e, "dinov2-0") }()
	go func() { answered <- ask(e, "deit-2") }()
	time.Sleep(20 * time.Millisecond)
	deit.release()
	for range 2 {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	if e.queue.waiting() != 0 {
		t.Errorf("%d wait", e.queue.waiting())
	}
	c.Pinned = []string{"nobody"}
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
	c.Pinned, c.BaseBudget = []string{"hf_vit", "deit"}, bytes["hf_vit"]+1
	if _, err := Open(t.Context(), c); !errors.As(err, &roomError) {
		t.Errorf("error %v", err)
	}
}

// TestBasesComeAndGo: an adapter whose base is not there is listed with the reason; bases are added and removed while the
// engine runs, and one whose file changed is refused by name until it is named anew.
func TestBasesComeAndGo(t *testing.T) {
	paths, dir, _ := threeBases(t)
	e := openBases(t, Config{Base: paths[0], Bases: paths[1:2], Adapters: dir})
	status := func(name string) Status {
		list := e.Registry().Versions(name)
		if len(list) != 1 {
			t.Fatalf("%s: %+v", name, list)
		}
		return list[0]
	}
	ask := func(name string) ([]float32, error) {
		answers, errs := e.Predict(t.Context(), Request{Name: name, Input: Input{Image: picture(1)}})
		return answers[0].Logits, errs[0]
	}
	if s := status("deit-0"); s.State != Unavailable || !strings.Contains(s.Reason, "deit") || !strings.Contains(s.Reason, "not served here; served are hf_vit") {
		t.Errorf("%+v", s)
	}
	if s := status("dinov2-0"); s.State != Ready || s.Base == nil || s.Base.Name != "dinov2" || s.Base.Precision != "f32" {
		t.Errorf("%+v", s)
	}
	before, err := ask("hf_vit-0")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetBases(t.Context(), []string{paths[0], paths[2]}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ask("hf_vit-0"); err != nil || !slices.Equal(got, before) {
		t.Errorf("%v, %v", got, err)
	}
	if b := statusOf(e, "hf_vit"); b.Loads != 1 {
		t.Errorf("one that stays: %+v", b)
	}
	if _, err := ask("deit-0"); err != nil {
		t.Error(err)
	}
	if _, err := ask("dinov2-0"); err == nil || !strings.Contains(err.Error(), "not served here") {
		t.Errorf("error %v", err)
	}
	if err := e.SetBases(t.Context(), []string{paths[0], "missing"}, nil, nil); err == nil || len(e.Bases()) != 2 {
		t.Errorf("error %v, %+v", err, e.Bases())
	}
	if err := e.SetBases(t.Context(), paths, []string{"dinov2"}, nil); err != nil {
		t.Fatal(err)
	}
	if b := statusOf(e, "dinov2"); b.Resident == 0 || !b.Pinned {
		t.Errorf("%+v", b)
	}
	if _, err := ask("dinov2-0"); err != nil {
		t.Error(err)
	}
	// Other weights come to lie where deit was: those in memory go on, and are not loaded from there again.
	if err := os.WriteFile(filepath.Join(paths[2], "model.safetensors"), readFile(t, filepath.Join(golden.Root(t), "deit_teacher", "model.safetensors")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("deit-1"); err != nil {
		t.Error(err)
	}
	e.room.mu.Lock()
	e.room.leave(e.registry.reader.bases()[2])
	e.room.mu.Unlock()
	if _, err := ask("deit-1"); err == nil || !strings.Contains(err.Error(), "deit") {
		t.Errorf("error %v", err)
	}
	if alone := newEngine(t, 1, Config{}); alone.SetBases(t.Context(), paths, nil, nil) == nil {
		t.Error("an engine of one base took others")
	}
}

// TestPrecisionOfEachBase: each base has the precision that its own adapters bear.
func TestPrecisionOfEachBase(t *testing.T) {
	if !vit.Supports(vit.BF16) {
		t.Skip("no instructions for bf16")
	}
	paths, dir, _ := threeBases(t) // adapters without a self-test: float32 alone
	for _, name := range []string{"dinov2-0", "dinov2-1", "dinov2-2"} {
		if err := os.Remove(filepath.Join(dir, name+extension)); err != nil {
			t.Fatal(err)
		}
	}
	e, err := OpenChecked(t.Context(), Config{Base: paths[0], Bases: paths[1:2], Adapters: dir, Precision: vit.BF16, Workers: 2}, Choice{Fastest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if a, b := statusOf(e, "hf_vit").Precision, statusOf(e, "dinov2").Precision; a != "f32" || b != "bf16" {
		t.Errorf("precisions %s and %s", a, b)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
