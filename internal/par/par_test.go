package par

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// count records how often each index was computed and that workers stay in range.
type count struct {
	t       *testing.T
	workers int
	hits    []atomic.Int32
}

func (c *count) Do(worker, i int) {
	if worker < 0 || worker >= c.workers {
		c.t.Errorf("worker %d of %d", worker, c.workers)
	}
	c.hits[i].Add(1)
}

func TestRunCoversEachIndexOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		p := New(workers)
		for _, n := range []int{0, 1, 2, 7, 1000} {
			c := &count{t: t, workers: p.Workers(), hits: make([]atomic.Int32, n)}
			p.Run(n, c)
			for i := range c.hits {
				if got := c.hits[i].Load(); got != 1 {
					t.Fatalf("%d workers, n %d: index %d computed %d times", workers, n, i, got)
				}
			}
		}
		p.Close()
	}
}

// together lets no item end before all have begun, and records who computed each.
type together struct {
	begun sync.WaitGroup
	by    []int
}

func (w *together) Do(worker, i int) {
	w.by[i] = worker
	w.begun.Done()
	w.begun.Wait()
}

// TestWorkersBeginWithTheirShare: the same part of every task is the same worker's, if all are there.
func TestWorkersBeginWithTheirShare(t *testing.T) {
	for _, workers := range []int{2, 3, 8} {
		p := New(workers)
		for range 20 {
			w := &together{by: make([]int, workers)}
			w.begun.Add(workers)
			p.Run(workers, w)
			for i, worker := range w.by {
				if i != worker {
					t.Fatalf("%d workers: item %d by worker %d", workers, i, worker)
				}
			}
		}
		p.Close()
	}
}

// exclusive fails if two Run calls overlap.
type exclusive struct {
	t      *testing.T
	owner  *atomic.Pointer[exclusive]
	active atomic.Int32
}

func (e *exclusive) Do(_, _ int) {
	e.active.Add(1)
	defer e.active.Add(-1)
	e.owner.CompareAndSwap(nil, e)
	if o := e.owner.Load(); o != e && o.active.Load() > 0 {
		e.t.Error("two Run calls at once")
	}
	e.owner.Store(e)
}

func TestConcurrentCallersTakeTurns(t *testing.T) {
	p := New(3)
	defer p.Close()
	var owner atomic.Pointer[exclusive]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			e := &exclusive{t: t, owner: &owner}
			for range 50 {
				p.Run(5, e)
			}
		})
	}
	wg.Wait()
}

type nothing struct{}

func (nothing) Do(_, _ int) {}

func TestRunAllocatesNothing(t *testing.T) {
	p := New(2)
	defer p.Close()
	task := &count{t: t, workers: 2, hits: make([]atomic.Int32, 64)}
	if a := testing.AllocsPerRun(20, func() { p.Run(64, task) }); a != 0 {
		t.Errorf("%v allocations a run", a)
	}
}

func BenchmarkRun(b *testing.B) {
	p := New(0)
	defer p.Close()
	for b.Loop() {
		p.Run(p.Workers(), nothing{})
	}
}

// TestManyShortRuns hands out tasks to workers that are awake, falling asleep and asleep.
func TestManyShortRuns(t *testing.T) {
	for _, spin := range []time.Duration{0, time.Microsecond, spinTime} {
		p := newPool(4, spin)
		var sum counter
		const runs = 5000
		for range runs {
			p.Run(5, &sum)
		}
		if got := sum.n.Load(); got != 5*runs {
			t.Errorf("watching for %v: %d items were computed, want %d", spin, got, 5*runs)
		}
		p.Close()
	}
}

type counter struct{ n atomic.Int64 }

func (c *counter) Do(int, int) { c.n.Add(1) }

// TestFirstRuns hands the first tasks to workers that are about to fall asleep for the first time.
func TestFirstRuns(t *testing.T) {
	for range 300 {
		p := newPool(16, 0)
		var sum counter
		for range 5 {
			p.Run(16, &sum)
		}
		if got := sum.n.Load(); got != 5*16 {
			t.Fatalf("%d items were computed, want %d", got, 5*16)
		}
		p.Close()
	}
}
