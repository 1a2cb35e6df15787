package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"
)

// work is one run.
type work struct {
	*options
	target target
	names  []string
	images []picture
	seen   *consistency
	sample samples
	turn   int
	zipfed *rand.Zipf
	rng    *rand.Rand
	mu     sync.Mutex // guards what draws
}

// draw says what is asked next.
func (w *work) draw() (adapter string, p *picture) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := 0
	switch w.pick {
	case "turn":
		i = w.turn % len(w.names)
		w.turn++
	case "zipf":
		i = int(w.zipfed.Uint64())
	default:
		i = w.rng.IntN(len(w.names))
	}
	return w.names[i], &w.images[w.rng.IntN(len(w.images))]
}

// run asks until the time is over.
func (w *work) run(ctx context.Context) (*report, error) {
	w.rng = rand.New(rand.NewPCG(w.seed, 1))
	if w.zipfed = rand.NewZipf(w.rng, w.zipf, 1, uint64(len(w.names)-1)); w.zipfed == nil {
		return nil, fmt.Errorf("-zipf %v: expected more than 1", w.zipf)
	}
	start := time.Now()
	w.sample.from = start.Add(w.warm)
	until, cancel := context.WithDeadline(ctx, w.sample.from.Add(w.duration))
	defer cancel()
	if w.every > 0 {
		go w.tell(until)
	}
	var group sync.WaitGroup
	if w.rate > 0 {
		w.open(ctx, until, &group)
	} else {
		for range w.clients {
			group.Go(func() {
				for until.Err() == nil {
					w.one(ctx, until, time.Now())
				}
			})
		}
	}
	<-until.Done()
	end := time.Now()
	group.Wait()
	return w.report(end.Sub(w.sample.from)), nil
}

// open starts requests at random times (a Poisson process), whether the server keeps up or not. A request's latency
// counts from when it was due.
func (w *work) open(ctx, until context.Context, group *sync.WaitGroup) {
	arrivals := rand.New(rand.NewPCG(w.seed, 2))
	due := time.Now()
	for {
		due = due.Add(time.Duration(arrivals.ExpFloat64() / w.rate * float64(time.Second)))
		select {
		case <-until.Done():
			return
		case <-time.After(time.Until(due)):
		}
		at := due
		group.Go(func() { w.one(ctx, ctx, at) })
	}
}

// one asks one question that was due at a time. An answer that comes after counted has ended is not counted.
func (w *work) one(ctx, counted context.Context, due time.Time) {
	adapter, p := w.draw()
	limited, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	a, err := w.target.ask(limited, adapter, p)
	if err == nil && !w.seen.same(adapter, p.name, a) {
		err = failure{"another answer than before"}
	}
	if ctx.Err() != nil || counted.Err() != nil {
		return
	}
	w.sample.add(due, time.Since(due), err)
	var f failure
	if err != nil && !errors.As(err, &f) {
		fmt.Fprintln(os.Stderr, "load:", err)
	}
	if err != nil && w.rate == 0 {
		time.Sleep(10 * time.Millisecond) // a refusal is quick: do not spin
	}
}

// tell prints a line now and then.
func (w *work) tell(until context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	seen := 0
	for {
		select {
		case <-until.Done():
			return
		case now := <-tick.C:
			latencies, failed := w.sample.since(seen)
			seen += len(latencies)
			fmt.Fprintf(os.Stderr, "%s  %.1f/s  p50 %.1f ms  p99 %.1f ms  %d failed so far\n", now.Format("15:04:05"),
				float64(len(latencies))/w.every.Seconds(), quantile(latencies, 0.5), quantile(latencies, 0.99), failed)
		}
	}
}

// consistency remembers the first answer to each question.
type consistency struct {
	tolerance float64 // share of the largest number of the first answer
	mu        sync.Mutex
	answers   map[question][]float32
}

type question struct{ adapter, image, digest string }

func newConsistency(tolerance float64) *consistency {
	return &consistency{tolerance: tolerance, answers: map[question][]float32{}}
}

// same reports whether the answer is the one that the same adapter gave to the same image before, within the tolerance.
func (c *consistency) same(adapter, image string, a answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := question{adapter, image, a.digest}
	before, ok := c.answers[q]
	if !ok {
		c.answers[q] = a.numbers
		return true
	}
	return alike(before, a.numbers, c.tolerance)
}

// alike reports whether no number of b differs from that of a by more than a share of a's largest.
func alike(a, b []float32, tolerance float64) bool {
	largest := 0.0
	for _, v := range a {
		largest = max(largest, math.Abs(float64(v)))
	}
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x)-float64(y)) <= tolerance*largest })
}
