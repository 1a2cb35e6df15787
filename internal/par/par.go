// Package par runs index ranges on a fixed set of workers.
//
// A task must write only what belongs to its index, and its result must not depend on which worker
// runs it. Then results are bit-identical for any number of workers.
package par

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Task is one parallel operation. Do computes item i; worker (0 <= worker < Pool.Workers()) may be
// used to pick scratch memory. Implementations are reused structs, so that Run does not allocate.
type Task interface {
	Do(worker, i int)
}

// Pool is a set of workers. The goroutine that calls Run is worker 0. Run may be called from several
// goroutines; the calls then follow one another.
type Pool struct {
	mu      sync.Mutex
	workers int
	wake    []chan struct{}
	done    sync.WaitGroup

	task Task
	n    int64
	next atomic.Int64
}

// New returns a pool of the given number of workers; 0 or less means GOMAXPROCS. Close it when done.
func New(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: workers}
	for w := 1; w < workers; w++ {
		c := make(chan struct{}, 1)
		p.wake = append(p.wake, c)
		go p.loop(w, c)
	}
	return p
}

// Workers returns the number of workers.
func (p *Pool) Workers() int { return p.workers }

// Close stops the workers. The pool must be idle and must not be used afterwards.
func (p *Pool) Close() {
	for _, c := range p.wake {
		close(c)
	}
}

// Run calls t.Do for every i in [0, n) and returns when all are done. Indices are claimed one by one,
// in order, so make an item worth at least some microseconds.
func (p *Pool) Run(n int, t Task) {
	if n <= 0 {
		return
	}
	if p.workers == 1 || n == 1 {
		// No other goroutine is involved, but worker 0's scratch may be in use by another caller.
		p.mu.Lock()
		for i := range n {
			t.Do(0, i)
		}
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	p.task, p.n = t, int64(n)
	p.next.Store(0)
	helpers := min(n, p.workers) - 1
	p.done.Add(helpers)
	for _, c := range p.wake[:helpers] {
		c <- struct{}{}
	}
	p.claim(0)
	p.done.Wait()
	p.task = nil
	p.mu.Unlock()
}

func (p *Pool) loop(worker int, wake <-chan struct{}) {
	for range wake {
		p.claim(worker)
		p.done.Done()
	}
}

func (p *Pool) claim(worker int) {
	t, n := p.task, p.n
	for {
		i := p.next.Add(1) - 1
		if i >= n {
			return
		}
		t.Do(worker, int(i))
	}
}

// Part returns the bounds of part i of n items divided into parts as evenly as can be.
func Part(n, i, parts int) (from, to int) { return i * n / parts, (i + 1) * n / parts }
