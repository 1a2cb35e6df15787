// Package par runs index ranges on a fixed set of workers.
//
// A task must write only what belongs to its index, and its result must not depend on which worker runs it.
// Results are then bit-identical for any number of workers.
package par

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Task is one parallel operation. Do computes item i. worker (0 <= worker < Pool.Workers()) may be used to
// select scratch memory. Implementations are reused structs, so that Run does not allocate.
type Task = interface{ Do(worker, i int) }

// Pool is a set of workers. The goroutine that calls Run is worker 0. Concurrent calls of Run are run one after
// the other.
type Pool struct {
	mu      sync.Mutex
	helpers []*helper
	spin    time.Duration
	closed  atomic.Bool

	task   Task
	taking int          // number of workers that take part
	shares []share      // of each worker
	left   atomic.Int64 // helpers that have not finished
	done   sync.WaitGroup
	fault  atomic.Pointer[any] // first panic of a worker due to unreadable memory
}

// share is the range of indices that a worker processes first. It is the same range in every task, so that a
// worker finds its earlier results in its own caches. Other workers take what it leaves.
type share struct {
	next atomic.Int64
	end  int64
	_    [48]byte // puts the shares of two workers on different cache lines
}

// helper is a worker with its own goroutine. It starts when turn changes. It watches turn for a while after
// each task, then sleeps until wake.
type helper struct {
	turn atomic.Uint64 // twice the number of tasks it was given, plus one while it sleeps
	wake chan struct{}
	_    [64]byte // puts the turns of two helpers on different cache lines
}

// spinTime is how long a worker waits actively for the next task, or for the last helper, before it sleeps.
// Waking a thread takes some 100 µs, about as long as the products of a small model; tasks of one pass follow
// each other within microseconds.
const spinTime = 200 * time.Microsecond

// New returns a pool with the given number of workers; 0 or less means GOMAXPROCS. Close it after use.
func New(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	spin := spinTime
	if workers > runtime.GOMAXPROCS(0) { // waiting workers would keep working ones from a core
		spin = 0
	}
	return newPool(workers, spin)
}

func newPool(workers int, spin time.Duration) *Pool {
	p := &Pool{spin: spin, shares: make([]share, workers)}
	for w := 1; w < workers; w++ {
		h := &helper{wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		go p.loop(w, h)
	}
	return p
}

// Workers returns the number of workers.
func (p *Pool) Workers() int { return 1 + len(p.helpers) }

// Close stops the workers. The pool must be idle and must not be used afterwards.
func (p *Pool) Close() {
	p.closed.Store(true)
	for _, h := range p.helpers {
		h.start()
	}
}

// Run calls t.Do for every i in [0, n) and returns when all are done. Each worker claims the items of its own
// share in order, then items left in other shares. So make an item worth at least some microseconds.
func (p *Pool) Run(n int, t Task) {
	if n <= 0 {
		return
	}
	p.mu.Lock() // even without concurrency, since another caller may be using worker 0's scratch memory
	defer p.mu.Unlock()
	helpers := p.helpers[:min(n-1, len(p.helpers))]
	p.task, p.taking = t, 1+len(helpers)
	for w := range p.taking {
		from, to := Part(n, w, p.taking)
		p.shares[w].next.Store(int64(from))
		p.shares[w].end = int64(to)
	}
	p.left.Store(int64(len(helpers)))
	p.done.Add(len(helpers))
	for _, h := range helpers {
		h.start()
	}
	p.work(0)
	if p.left.Load() > 0 {
		p.watch(func() bool { return p.left.Load() == 0 })
	}
	p.done.Wait()
	p.task = nil
	if fault := p.fault.Swap(nil); fault != nil {
		panic(*fault)
	}
}

// start tells the helper that there is a new task. The sleep flag is in the same word as the turn. So either
// the helper sees the new turn before it sleeps, or start sees that it sleeps, whatever the memory order.
func (h *helper) start() {
	for {
		turn := h.turn.Load()
		awake := turn &^ 1
		if h.turn.CompareAndSwap(turn, awake+2) {
			if turn != awake {
				h.wake <- struct{}{}
			}
			return
		}
	}
}

// watch waits actively until ready returns true. It returns false after spinTime.
func (p *Pool) watch(ready func() bool) bool {
	if p.spin == 0 {
		return ready()
	}
	for start := time.Now(); time.Since(start) < p.spin; {
		for range 64 {
			if ready() {
				return true
			}
		}
		runtime.Gosched()
	}
	return ready()
}

func (p *Pool) loop(worker int, h *helper) {
	debug.SetPanicOnFault(true)
	turn := uint64(0)
	started := func() bool { return h.turn.Load() != turn }
	for {
		if !p.watch(started) && h.turn.CompareAndSwap(turn, turn|1) {
			<-h.wake
		}
		turn = h.turn.Load()
		if p.closed.Load() {
			return
		}
		p.work(worker)
		p.left.Add(-1)
		p.done.Done()
	}
}

// work claims and runs items. A panic due to unreadable memory, after a mapped file was truncated, is kept
// until all workers have finished and then re-raised in Run, for the caller to handle. Any other panic is a bug
// and ends the process.
func (p *Pool) work(worker int) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			var kept any = fault
			p.fault.CompareAndSwap(nil, &kept)
		default:
			panic(fault)
		}
	}()
	p.claim(worker)
}

func (p *Pool) claim(worker int) {
	t, workers := p.task, p.taking
	for k := range workers {
		for s := &p.shares[(worker+k)%workers]; ; {
			i := s.next.Add(1) - 1
			if i >= s.end {
				break
			}
			t.Do(worker, int(i))
		}
	}
}

// Part returns the bounds of part i of n items that are divided into parts as evenly as possible.
func Part(n, i, parts int) (from, to int) { return i * n / parts, (i + 1) * n / parts }
