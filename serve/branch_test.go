package serve

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"melo.example/melo/internal/par"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// deepEngine is an engine over a base of twelve blocks, and adapters on the last four of them.
func deepEngine(t *testing.T, p vit.Precision, tasks int) (*Engine, []*adapterfile.File) {
	t.Helper()
	c := tiny()
	c.Depth = 12
	pool := par.New(2)
	m := vit.Random(pool, c, p, 0.3, 1)
	m.Recipe = randomBase(pool).Recipe
	dir := t.TempDir()
	files := make([]*adapterfile.File, tasks)
	for i := range files {
		a, err := lora.New(&c, lora.Config{Rank: 8, Blocks: []int{8, 9, 10, 11}}, 3, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range a.Deltas {
			for k := range d.B {
				d.B[k] = float32((i+k)%7-3) / 20
			}
		}
		x := make([]float32, m.Recipe.Values())
		adapterfile.SelfTestInput(x, 9, 0)
		files[i] = &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&c, "test", "", baseDigest), Method: lora.MeLo,
			Task: adapterfile.Multiclass, Labels: adapterfile.Labels("a", "b", "c"), Mirror: i%3 == 2,
			SelfTest: &adapterfile.SelfTest{Seed: 9, Logits: [][]float32{alone(m, a, x)}}}}
		publish(t, dir, fmt.Sprintf("task-%02d", i), files[i])
	}
	e, err := New(t.Context(), m, baseDigest, Config{Release: pool.Close, Adapters: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e, files
}

// TestTasksOnOneImage: adapters that leave the first blocks bare share them for one image, in one batch, also where the
// batching curve asks for single images; every answer is, bit for bit, that of the adapter alone.
func TestTasksOnOneImage(t *testing.T) {
	for _, p := range []vit.Precision{vit.F32, vit.BF16, vit.I8} {
		t.Run(p.String(), func(t *testing.T) {
			if !vit.Supports(p) {
				t.Skip("no instructions")
			}
			const tasks = 14
			e, files := deepEngine(t, p, tasks)
			if err := e.Registry().CheckAll(t.Context(), func(Identity, error) {}); err != nil {
				t.Fatal(err)
			}
			for range enoughSamples {
				e.base().curve.record(1, time.Microsecond) // single images are best
			}
			x := tensor(1)
			in, err := e.base().inputs.prepare(t.Context(), Input{Tensor: x}, e.Recipe())
			if err != nil {
				t.Fatal(err)
			}
			var items []*item
			for i := range files {
				v, err := e.registry.resolve(fmt.Sprintf("task-%02d", i), "")
				if err != nil {
					t.Fatal(err)
				}
				h, _, err := e.registry.hold(t.Context(), v.content)
				if err != nil {
					t.Fatal(err)
				}
				in.refs.Add(1)
				e.queue.enter(&v.content.lane)
				items = append(items, &item{handle: h, input: in, queued: time.Now(), done: make(chan struct{}, 1)})
			}
			e.queue.put(items...)
			for i, it := range items {
				<-it.done
				if want := answerAlone(e, files[i], x); it.err != nil || !slices.Equal(it.logits, want) {
					t.Errorf("task %d: %v, %v, want %v", i, it.logits, it.err, want)
				}
				if it.batch != tasks {
					t.Errorf("task %d: batch of %d rows", i, it.batch)
				}
			}
			if !e.runner.shared { // written before the items were answered
				t.Error("nothing was shared")
			}
		})
	}
}

// answerAlone is what an adapter says with nothing else on the way.
func answerAlone(e *Engine, f *adapterfile.File, x []float32) []float32 {
	y := alone(e.Model(), f.Adapter, x)
	if f.Meta.Mirror {
		for k, v := range alone(e.Model(), f.Adapter, mirrored(x, e.Side())) {
			y[k] = (y[k] + v) / 2
		}
	}
	return y
}

// TestTasksOfManyClients: the same under load: calls for all adapters, and calls for one of them, about a few images.
func TestTasksOfManyClients(t *testing.T) {
	const tasks = 14
	e, files := deepEngine(t, vit.F32, tasks)
	var want [3][tasks][]float32
	for seed := range want {
		for i, f := range files {
			want[seed][i] = answerAlone(e, f, tensor(uint64(seed)))
		}
	}
	var group sync.WaitGroup
	for client := range 8 {
		group.Go(func() {
			for round := range 6 {
				seed := (client + round) % len(want)
				x := tensor(uint64(seed))
				var requests []Request
				for i := range files {
					if client%2 == 0 || i == round {
						requests = append(requests, Request{Name: fmt.Sprintf("task-%02d", i), Input: Input{Tensor: x}})
					}
				}
				answers, errs := e.Predict(t.Context(), requests...)
				for k := range requests {
					i := k
					if len(requests) == 1 {
						i = round
					}
					if errs[k] != nil || !slices.Equal(answers[k].Logits, want[seed][i]) {
						t.Errorf("client %d, %s: %v, %v", client, requests[k].Name, answers[k].Logits, errs[k])
					}
				}
			}
		})
	}
	group.Wait()
}

// TestRequestsArriveTogether: those of one input enter the queue when the last that was announced is there; one that fails
// keeps nobody.
func TestRequestsArriveTogether(t *testing.T) {
	x := Input{Tensor: tensor(1)}
	s := newSharing([]Request{{Input: x}, {Input: x}, {Input: x}})
	first, second := &item{}, &item{}
	for range 3 {
		s.comes(x)
	}
	if got := s.arrives(x, first); got != nil {
		t.Errorf("%d items before the others", len(got))
	}
	if got := s.arrives(x, nil); got != nil {
		t.Errorf("%d items before the last", len(got))
	}
	if got := s.arrives(x, second); len(got) != 2 {
		t.Errorf("%d items at the end, expected 2", len(got))
	}
	s.comes(x)
	if got := s.arrives(x, first); len(got) != 1 {
		t.Errorf("%d items of one alone", len(got))
	}
}
