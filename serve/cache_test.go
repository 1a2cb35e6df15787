package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBudget: the memory of adapters stays within the budget, the ones used longest ago go first, and pinned ones
// stay.
func TestBudget(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		publish(t, dir, fmt.Sprint(i), someAdapter(60*uint64(i))) // the seeds give adapters of one size
	}
	size := newEngine(t, 1, Config{Adapters: dir}).Registry().List()[0].Bytes
	e := newEngine(t, 1, Config{Adapters: dir, Budget: 3*size + 10})
	r := e.Registry()
	resident := func() (which string) {
		for _, s := range r.List() {
			if s.Bytes != size {
				t.Fatalf("%s takes %d bytes, expected %d", s.Name, s.Bytes, size)
			}
			if s.Resident > 0 {
				which += s.Name
			}
		}
		return which
	}
	for _, step := range []struct{ asked, want string }{{"012", "012"}, {"0", "012"}, {"3", "023"}, {"2", "023"}, {"45", "245"}} {
		for _, name := range step.asked {
			if _, err := ask(t, e, string(name), ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := resident(); got != step.want {
			t.Errorf("after asking for %s: %s are resident, expected %s", step.asked, got, step.want)
		}
	}
	if s := e.Stats(); s.ResidentBytes != 3*size || s.Loads != 6 || s.Evictions != 3 {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"0", "1", "2"} {
		if err := r.Pin(t.Context(), name, true); err != nil {
			t.Error(err)
		}
	}
	if got := resident(); got != "012" {
		t.Errorf("%s are resident, 0, 1 and 2 are pinned", got)
	}
	refuse[*BrokenError](t, e, "3", "", "pinned")
	if err := r.Pin(t.Context(), "1", false); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Millisecond)
	if err := r.Load(t.Context(), "3"); err != nil { // an operator's, so that the refusal is not remembered
		t.Error(err)
	}
	if got := resident(); got != "023" {
		t.Errorf("%s are resident, expected 0, 2 and 3", got)
	}
	small := newEngine(t, 1, Config{Adapters: dir, Budget: size - 1})
	refuse[*BrokenError](t, small, "1", "", "budget")
}

// TestLoadsWaitForRoom: a load waits until somebody lets go, instead of exceeding the budget.
func TestLoadsWaitForRoom(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(60))
	publish(t, dir, "b", someAdapter(120))
	size := newEngine(t, 1, Config{Adapters: dir}).Registry().List()[0].Bytes
	e := newEngine(t, 1, Config{Adapters: dir, Budget: size})
	r := e.Registry()
	v, err := r.resolve("a", "")
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := r.hold(t.Context(), v.content)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, errs := e.Predict(ctx, Request{Name: "b", Input: Input{Tensor: tensor(1)}}); !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("while the budget is held: %v", errs[0])
	}
	done := make(chan error)
	go func() {
		_, err := ask(t, e, "b", "")
		done <- err
	}()
	time.Sleep(time.Millisecond)
	h.release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := e.Stats(); s.ResidentBytes != size || s.Loads != 2 {
		t.Errorf("%+v", s)
	}
}

// TestSingleFlight: many who ask for one adapter at once wait for one loading; those who give up do not end it.
func TestSingleFlight(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	e := newEngine(t, 2, Config{Adapters: dir})
	for range 20 {
		v, err := e.registry.resolve("a", "")
		if err != nil {
			t.Fatal(err)
		}
		e.registry.cache.unload(v.content)
		before := e.Stats().Loads
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				ctx := t.Context()
				if i%4 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*5*time.Microsecond)
					defer cancel()
				}
				h, _, err := e.registry.hold(ctx, v.content)
				if err == nil {
					h.release()
				} else if i%4 != 0 {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := e.Stats().Loads - before; n != 1 {
			t.Errorf("%d loads", n)
		}
		if h := v.content.live.Load(); h == nil || h.refs.Load() != 1 {
			t.Errorf("%d references are left", h.refs.Load())
		}
	}
}

// TestRefusalIsRemembered: a broken adapter is read once, not at every request, until somebody says so.
func TestRefusalIsRemembered(t *testing.T) {
	dir := t.TempDir()
	f := someAdapter(2)
	f.Meta.SelfTest = selfTestOf(len(f.Meta.Labels))
	publish(t, dir, "a", f)
	e := newEngine(t, 1, Config{Adapters: dir})
	for range 5 {
		refuse[*BrokenError](t, e, "a", "", "self-test")
	}
	if s := e.Stats(); s.Batches != 1 || s.Refusals != 1 {
		t.Errorf("%+v", s)
	}
	if s := e.Registry().List()[0]; s.State != Unavailable || !strings.Contains(s.Reason, "self-test") {
		t.Errorf("%+v", s)
	}
	if err := e.Registry().Reload(t.Context(), "a"); !errors.As(err, new(*BrokenError)) || e.Stats().Batches != 2 {
		t.Errorf("%v after %d batches", err, e.Stats().Batches)
	}
}

// TestDropOfWhatIsHeld: an adapter that somebody took hold of after it was found idle is not evicted: it would lose its
// place in the budget while its memory is still used.
func TestDropOfWhatIsHeld(t *testing.T) {
	k := newCache(100, func(*content) {})
	c := &content{bytes: 60}
	h := &handle{content: c, cache: k}
	if err := k.reserve(t.Context(), c.bytes); err != nil {
		t.Fatal(err)
	}
	k.settle(c, h, 0)
	if got := k.oldest(); got != c {
		t.Fatal("not idle")
	}
	h.refs.Add(1) // a request comes between oldest and drop
	k.mu.Lock()
	dropped := k.drop(c)
	k.mu.Unlock()
	if residents, bytes := k.usage(); dropped || residents != 1 || bytes != 60 || h.refs.Load() != 2 || c.live.Load() != h {
		t.Errorf("dropped %v; %d residents of %d bytes, %d references", dropped, residents, bytes, h.refs.Load())
	}
	h.refs.Add(-1)
	k.mu.Lock()
	dropped = k.drop(c)
	k.mu.Unlock()
	if residents, bytes := k.usage(); !dropped || residents != 0 || bytes != 0 || c.live.Load() != nil {
		t.Errorf("idle: dropped %v; %d residents of %d bytes", dropped, residents, bytes)
	}
}
