package serve

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// lanes is a queue with some adapters, without an engine.
type lanes struct {
	*queue
	handles []*handle
}

func newLanes(limit, adapters int) *lanes {
	t := &lanes{queue: newQueue(limit, 16, func(*backbone) time.Duration { return time.Second }, func(*backbone) time.Duration { return 4 * time.Second })}
	for range adapters {
		h := &handle{content: &content{}, adapter: &lora.Resident{}, cache: newCache(0, nil)}
		h.refs.Store(1)
		t.handles = append(t.handles, h)
	}
	return t
}

// ask lets a request in and makes it wait.
func (q *lanes) ask(adapter int, deadline time.Time) (*item, error) {
	ctx := context.Background()
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	h := q.handles[adapter]
	if err := q.admit(ctx, &h.content.lane); err != nil {
		return nil, err
	}
	h.acquire()
	in := &input{pool: newInputPool(1, 1)}
	in.refs.Store(1)
	it := &item{handle: h, input: in, deadline: deadline, queued: time.Now(), done: make(chan struct{}, 1)}
	q.put(it)
	return it, nil
}

// next returns the adapters of the next batch of up to n.
func (q *lanes) next(n int) (which []int) {
	batch, _ := q.take(nil, func(_ *backbone, queued int) int { return min(queued, n) })
	for _, it := range batch {
		which = append(which, slices.Index(q.handles, it.handle))
		it.end(nil)
	}
	return which
}

func TestAdaptersTakeTurns(t *testing.T) {
	q := newLanes(100, 4)
	for range 20 {
		q.ask(0, time.Time{})
	}
	for a := 1; a < 4; a++ {
		q.ask(a, time.Time{})
	}
	q.ask(3, time.Time{})
	for i, want := range [][]int{{0, 1, 2}, {3, 0, 3}, {0, 0, 0}} {
		if got := q.next(3); !slices.Equal(got, want) {
			t.Errorf("batch %d has adapters %v, expected %v", i, got, want)
		}
	}
}

func TestEarliestDeadlineFirst(t *testing.T) {
	q := newLanes(100, 1)
	now := time.Now()
	var items []*item
	for _, after := range []time.Duration{0, 50 * time.Minute, 10 * time.Minute, 0, 30 * time.Minute} {
		var deadline time.Time
		if after > 0 {
			deadline = now.Add(after)
		}
		it, err := q.ask(0, deadline)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	for _, want := range []int{2, 4, 1, 0, 3} {
		batch, _ := q.take(nil, func(*backbone, int) int { return 1 })
		if got := slices.Index(items, batch[0]); got != want {
			t.Errorf("request %d, expected %d", got, want)
		}
	}
	// One whose deadline passes while it waits is not computed.
	late, err := q.ask(0, time.Now().Add(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	q.ask(0, time.Time{})
	if got := q.next(5); len(got) != 1 || !errors.Is(late.err, context.DeadlineExceeded) {
		t.Errorf("%d requests, %v", len(got), late.err)
	}
}

// TestFullQueue: who has most makes room for who has less; who cannot be in time is told at once.
func TestFullQueue(t *testing.T) {
	q := newLanes(6, 3)
	var hot []*item
	for range 6 {
		it, err := q.ask(0, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		hot = append(hot, it)
	}
	var overload *OverloadError
	if _, err := q.ask(0, time.Time{}); !errors.As(err, &overload) || overload.RetryAfter != 4*time.Second {
		t.Errorf("a seventh: %v", err)
	}
	for range 3 {
		if _, err := q.ask(1, time.Time{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := q.ask(1, time.Time{}); !errors.As(err, &overload) {
		t.Errorf("a fourth, when both have three: %v", err)
	}
	for i, it := range hot {
		if pushed := it.err != nil; pushed != (i >= 3) {
			t.Errorf("request %d: %v", i, it.err)
		}
	}
	if _, err := q.ask(2, time.Now().Add(100*time.Millisecond)); !errors.As(err, &overload) {
		t.Errorf("a deadline before its turn, which comes in 2 s: %v", err)
	}
	if _, err := q.ask(2, time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	q.cancel(hot[0])
	if q.waiting() != 5 {
		t.Errorf("%d wait, expected 5", q.waiting())
	}
	q.close()
	if _, err := q.ask(2, time.Time{}); !errors.Is(err, ErrDraining) {
		t.Errorf("closed: %v", err)
	}
	total := 0
	for n := len(q.next(2)); n > 0; n = len(q.next(2)) {
		total += n
	}
	if total != 5 || q.waiting() != 0 {
		t.Errorf("%d left the closed queue, %d wait", total, q.waiting())
	}
}

// TestPushingOut: the request that makes room is the youngest of the adapter that has most, wherever its lane stands, and
// no other is touched.
func TestPushingOut(t *testing.T) {
	for most := range 3 {
		q := newLanes(8, 4)
		counts := []int{2, 2, 2}
		counts[most] = 4
		items := make([][]*item, 3)
		for n := range 4 {
			for lane, count := range counts {
				if n >= count {
					continue
				}
				it, err := q.ask(lane, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				items[lane] = append(items[lane], it)
			}
		}
		if _, err := q.ask(3, time.Time{}); err != nil {
			t.Fatalf("lane %d has most: %v", most, err)
		}
		for lane, list := range items {
			for k, it := range list {
				pushed := lane == most && k == len(list)-1
				var overload *OverloadError
				if errors.As(it.err, &overload) != pushed {
					t.Errorf("lane %d has most: request %d of lane %d: %v", most, k, lane, it.err)
				}
			}
		}
	}
}

func TestBatchingCurve(t *testing.T) {
	for name, c := range map[string]struct {
		seconds func(n int) float64
		want    map[int]int // by number that wait
	}{
		"proportional":  {func(n int) float64 { return float64(n) }, map[int]int{1: 1, 5: 1, 100: 1}},
		"fixed cost":    {func(n int) float64 { return 10 + float64(n) }, map[int]int{1: 1, 3: 2, 9: 8, 100: 16}},
		"levels off":    {func(n int) float64 { return max(4, float64(n)) }, map[int]int{2: 2, 7: 4, 100: 4}},
		"gets worse":    {func(n int) float64 { return float64(n) * (1 + float64(n)/8) }, map[int]int{100: 1}},
		"given, always": {nil, map[int]int{3: 3, 100: 16}},
	} {
		curve := newCurve(16, c.seconds == nil)
		for range 100 { // learns while there is much to do
			if n := curve.pick(100); c.seconds != nil {
				curve.record(n, time.Duration(c.seconds(n)*float64(time.Millisecond)))
			}
		}
		for queued, want := range c.want {
			if got := curve.pick(queued); got != want {
				t.Errorf("%s: %d of %d, expected %d", name, got, queued, want)
			}
		}
	}
}

// gate is an observer that holds the runner up.
type gate struct {
	nobody
	pass chan struct{}
}

func (g *gate) BatchDone(BatchEvent) { <-g.pass }

// fullHouse is an observer that ends a batch only when all requests of one call that may be under way at once are in
// the batch or in the queue, however slowly they come.
type fullHouse struct {
	nobody
	e      *Engine // nil: not yet
	left   int     // requests that no earlier batch had
	atOnce int
	mu     sync.Mutex
}

func (f *fullHouse) start(e *Engine, requests, atOnce int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.e, f.left, f.atOnce = e, requests, atOnce
}

func (f *fullHouse) BatchDone(b BatchEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.e == nil {
		return
	}
	for b.Requests+f.e.queuedItems() < min(f.atOnce, f.left) {
		time.Sleep(100 * time.Microsecond)
	}
	f.left -= b.Requests
}

// queuedItems returns how many requests wait for a batch.
func (e *Engine) queuedItems() int {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	return e.queue.queued
}

// TestGivingUpFreesTheSlot: a request whose caller has gone is not computed, and its place is free at once.
func TestGivingUpFreesTheSlot(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	g := &gate{pass: make(chan struct{})}
	e := newEngine(t, 1, Config{Adapters: dir, Queue: 3, Batch: 1, Observer: g})
	var group sync.WaitGroup
	send := func(ctx context.Context) {
		group.Go(func() { e.Predict(ctx, Request{Name: "a", Input: Input{Tensor: tensor(1)}}) })
	}
	send(t.Context())
	for e.Stats().Images == 0 { // it is with the runner
		time.Sleep(100 * time.Microsecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		send(ctx)
	}
	for e.queuedItems() != 3 {
		time.Sleep(100 * time.Microsecond)
	}
	var overload *OverloadError
	if _, err := ask(t, e, "a", ""); !errors.As(err, &overload) || overload.RetryAfter <= 0 {
		t.Errorf("a full queue: %v", err)
	}
	cancel()
	for e.Stats().Waiting != 0 {
		time.Sleep(100 * time.Microsecond)
	}
	close(g.pass)
	group.Wait()
	if s := e.Stats(); s.Images != 1 || s.Canceled != 3 || s.Overloaded != 1 {
		t.Errorf("%+v", s)
	}
}

// TestOneCallForAll: one image, many adapters, and a queue that is smaller than the call: nothing fails, the image
// is prepared once for a recipe, and adapters without deltas share its row.
func TestOneCallForAll(t *testing.T) {
	dir := t.TempDir()
	var requests []Request
	img := picture(1)
	var files []*adapterfile.File
	for i := range 60 {
		f := someAdapter(uint64(7*i + 3)) // linear
		if i%12 == 0 {
			f = someAdapter(uint64(i))
		}
		name := string(rune('A'+i/26)) + string(rune('a'+i%26))
		publish(t, dir, name, f)
		requests = append(requests, Request{Name: name, Input: Input{Image: img}})
		files = append(files, f)
	}
	full := &fullHouse{}
	e := newEngine(t, 2, Config{Adapters: dir, Queue: 9, Batch: 4, Observer: full})
	rand.Shuffle(len(requests), func(i, j int) {
		requests[i], requests[j], files[i], files[j] = requests[j], requests[i], files[j], files[i]
	})
	e.Predict(t.Context(), requests...) // loads all; with the self-tests the queue is too short
	cold := e.Stats()
	full.start(e, len(requests), 8)
	answers, errs := e.Predict(t.Context(), requests...)
	x := make([]float32, e.Recipe().Values())
	if err := e.Recipe().Apply(img, x); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if want := alone(e.Model(), f.Adapter, x); errs[i] != nil || !slices.Equal(answers[i].Logits, want) || answers[i].Digest != f.Digest {
			t.Errorf("%s: %v, logits %v, alone %v", requests[i].Name, errs[i], answers[i].Logits, want)
		}
	}
	if s := e.Stats(); s.Images-cold.Images >= 60 || cold.Answered != 60 || s.Answered != 120 {
		t.Errorf("%+v, then %+v: no rows were shared", cold, s)
	}
}

// TestInputs: what is wrong with an input is told, and does not hurt its neighbours.
func TestInputs(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	e := newEngine(t, 1, Config{Adapters: dir})
	nan := tensor(1)
	nan[5] /= 0
	bad := picture(1)
	bad.W++
	inputs := []Input{{}, {Tensor: nan}, {Tensor: tensor(1)[1:]}, {Tensor: []float32{}}, {Image: bad}, {Image: picture(1), Tensor: tensor(1)}, {Tensor: tensor(1)}}
	var requests []Request
	for _, x := range inputs {
		requests = append(requests, Request{Name: "a", Input: x})
	}
	_, errs := e.Predict(t.Context(), requests...)
	for i, err := range errs {
		if good := i == len(errs)-1; good != (err == nil) || !good && !errors.As(err, new(*InputError)) {
			t.Errorf("input %d: %v", i, err)
		}
		if _, alone := e.Predict(t.Context(), requests[i]); (alone[0] == nil) != (err == nil) {
			t.Errorf("input %d alone: %v", i, alone[0])
		}
	}
	if s := e.queue.waiting(); s != 0 {
		t.Errorf("%d wait", s)
	}
}

// TestDrain: those who wait are answered, those who come are refused.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	g := &gate{pass: make(chan struct{})}
	e := newEngine(t, 1, Config{Adapters: dir, Observer: g})
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := e.Predict(context.Background(), Request{Name: "a", Input: Input{Tensor: tensor(1)}})
			errs <- err[0]
		}()
	}
	for e.counts.images.Load()+uint64(e.queue.waiting()) < 3 {
		time.Sleep(100 * time.Microsecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := e.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || e.Ready() {
		t.Errorf("drained with requests under way: %v", err)
	}
	if _, err := ask(t, e, "a", ""); !errors.Is(err, ErrDraining) {
		t.Errorf("a new request: %v", err)
	}
	close(g.pass)
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Errorf("a request that was under way: %v", err)
		}
	}
}
