package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// storm is one run of TestStorm: many adapters, each with several versions, and what each answers alone.
type storm struct {
	t        *testing.T
	dir      string
	e        *Engine
	names    []string
	bytes    [][]byte               // of every version of every adapter, see version
	owner    map[string]int         // digest -> index in bytes
	inputs   [][]float32            // tensors; pictures[i] has no tensor here
	want     map[string][][]float32 // digest -> logits by input
	answered atomic.Int64
	refused  atomic.Int64
}

const (
	stormVersions = 3
	stormInputs   = 6
)

// version returns the index of one version of one adapter.
func (s *storm) version(name, version int) int { return name*stormVersions + version }

func newStorm(t *testing.T, names int) *storm {
	s := &storm{t: t, dir: t.TempDir(), owner: map[string]int{}, want: map[string][][]float32{}}
	scratch := t.TempDir()
	var files []*adapterfile.File
	for i := range names {
		s.names = append(s.names, fmt.Sprintf("adapter-%03d", i))
		for v := range stormVersions {
			f := someAdapter(uint64(s.version(i, v)))
			path := filepath.Join(scratch, "x"+extension)
			if err := f.WriteTypes(path, adapterfile.Types{DType: safetensors.F32}); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s.owner[f.Digest] = len(s.bytes)
			s.bytes = append(s.bytes, data)
			files = append(files, f)
		}
		s.put(i, 0)
	}
	var perAdapter int64
	for _, f := range files {
		perAdapter = max(perAdapter, f.Adapter.Resident(vit.F32).Bytes())
	}
	s.e = newEngine(t, 2, Config{Adapters: s.dir, Budget: perAdapter * int64(names) / 5, Queue: 48, Batch: 8})
	for i := range stormInputs {
		x := tensor(uint64(i))
		if i%2 == 1 { // the tensor of picture i
			if err := s.e.Recipe().Apply(picture(uint64(i)), x); err != nil {
				t.Fatal(err)
			}
		}
		s.inputs = append(s.inputs, x)
	}
	for _, f := range files {
		for _, x := range s.inputs {
			s.want[f.Digest] = append(s.want[f.Digest], alone(s.e.Model(), f.Adapter, x))
		}
	}
	return s
}

// put makes a version the file of its adapter, in one step.
func (s *storm) put(name, version int) {
	s.write(s.names[name]+extension, s.bytes[s.version(name, version)])
}

func (s *storm) write(file string, data []byte) {
	temp := filepath.Join(s.dir, fmt.Sprintf(".new-%x", rand.Uint64()))
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		s.t.Error(err)
	}
	if err := os.Rename(temp, filepath.Join(s.dir, file)); err != nil {
		s.t.Error(err)
	}
}

// client sends calls of some requests, and gives some of them up.
func (s *storm) client(ctx context.Context, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		call, cancel := ctx, context.CancelFunc(func() {})
		switch rng.IntN(6) {
		case 0:
			call, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
		case 1:
			call, cancel = context.WithCancel(ctx)
			time.AfterFunc(time.Duration(rng.IntN(1000))*time.Microsecond, cancel)
		}
		n := 1 + rng.IntN(12)*rng.IntN(2)
		requests, which := make([]Request, n), make([]int, n)
		picture := picture(uint64(1))
		for i := range requests {
			which[i] = rng.IntN(stormInputs)
			q := Request{Name: s.names[rng.IntN(len(s.names))], Input: Input{Tensor: s.inputs[which[i]]}}
			if which[i] == 1 {
				q.Input = Input{Image: picture}
			}
			if rng.IntN(8) == 0 {
				q.Version = "other"
			}
			requests[i] = q
		}
		answers, errs := s.e.Predict(call, requests...)
		for i := range requests {
			s.check(requests[i], which[i], answers[i], errs[i])
		}
		cancel()
	}
}

// check compares an answer, bit for bit, with what its digest answers alone.
func (s *storm) check(q Request, which int, a Answer, err error) {
	if err != nil {
		s.refused.Add(1)
		if !errors.Is(err, ErrUnknownAdapter) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
			!errors.As(err, new(*OverloadError)) {
			s.t.Errorf("%s: %v", q.Name, err)
		}
		return
	}
	s.answered.Add(1)
	owner, ok := s.owner[a.Digest]
	if !ok || s.names[owner/stormVersions] != q.Name || a.Name != q.Name || short(a.Digest) != a.Version {
		s.t.Errorf("%s is answered by %+v", q.Name, a.Identity)
		return
	}
	if want := s.want[a.Digest][which]; !slices.Equal(a.Logits, want) {
		s.t.Errorf("%s by %s: logits %v, alone %v", q.Name, a.Version, a.Logits, want)
	}
	if label := fmt.Sprintf("label 0 of %d", owner); a.Labels[0] != label {
		s.t.Errorf("%s by %s: label %q, expected %q", q.Name, a.Version, a.Labels[0], label)
	}
}

// operator publishes, withdraws and decides.
func (s *storm) operator(ctx context.Context, seed uint64) {
	rng, r := rand.New(rand.NewPCG(seed, 2)), s.e.Registry()
	for ctx.Err() == nil {
		i := rng.IntN(len(s.names))
		name, version := s.names[i], rng.IntN(stormVersions)
		var err error
		switch rng.IntN(10) {
		case 0, 1:
			s.put(i, version)
			err = r.Scan(ctx)
		case 2:
			s.put(i, version)
			err = r.Load(ctx, name)
		case 3:
			err = r.LoadBytes(ctx, name, s.bytes[s.version(i, version)], nil)
		case 4:
			err = r.Unload(name)
			time.AfterFunc(time.Millisecond, func() { r.Load(ctx, name) })
		case 5:
			s.write(name+"@other"+extension, s.bytes[s.version(i, version)])
			err = r.Scan(ctx)
		case 6:
			err = r.SetCanary(name, "other", rng.Float64())
		case 7:
			os.Remove(filepath.Join(s.dir, name+"@other"+extension))
			err = r.Scan(ctx)
		case 8:
			err = r.Pin(ctx, name, false)
		case 9:
			err = r.SetAlias(name, "stable", short(r.Versions(name)[0].Digest))
		}
		if err != nil && !errors.Is(err, ErrUnknownAdapter) && ctx.Err() == nil {
			s.t.Errorf("operator: %s: %v", name, err)
		}
		r.List()
		s.e.Stats()
	}
}

// TestStorm: whatever is published, withdrawn, evicted and given up meanwhile, every answer is, bit for bit, the one
// that the digest it carries gives alone. Nothing is left behind.
func TestStorm(t *testing.T) {
	before := runtime.NumGoroutine()
	names, answers, evictions := 200, int64(1200), uint64(300)
	if testing.Short() {
		names, answers, evictions = 60, 300, 50
	}
	s := newStorm(t, names)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // to end even if nothing is answered
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil && (s.answered.Load() < answers || s.e.Stats().Evictions < evictions) {
			time.Sleep(time.Millisecond)
		}
		cancel()
	})
	for i := range 6 {
		group.Go(func() { s.client(ctx, uint64(i)) })
	}
	for i := range 2 {
		group.Go(func() { s.operator(ctx, uint64(i)) })
	}
	group.Wait()
	time.Sleep(5 * time.Millisecond) // for the loads of operators that are still to come
	s.e.Close()
	stats := s.e.Stats()
	t.Logf("%d answered, %d not; %+v", s.answered.Load(), s.refused.Load(), stats)
	if s.answered.Load() < answers || stats.Evictions < evictions {
		t.Errorf("%d answers, %d evictions: that was no storm", s.answered.Load(), stats.Evictions)
	}
	if stats.Waiting != 0 {
		t.Errorf("%d requests are still in the queue", stats.Waiting)
	}
	var resident int64
	for c, h := range s.e.registry.cache.residents {
		resident += c.bytes
		if refs := h.refs.Load(); refs != 1 || c.lane.admitted != 0 {
			t.Errorf("%s: %d references, %d admitted", c.digest, refs, c.lane.admitted)
		}
	}
	if resident != stats.ResidentBytes {
		t.Errorf("%d bytes are resident, the budget has %d booked", resident, stats.ResidentBytes)
	}
	if _, errs := s.e.Predict(t.Context(), Request{Name: s.names[0]}); !errors.Is(errs[0], ErrDraining) {
		t.Errorf("closed: %v", errs[0])
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}
