package serve

import (
	"context"
	"slices"
	"sync"
	"time"

	"melo.example/melo/fit"
)

// item is a request in the queue. Whoever ends it, the runner or the caller by cancelling, releases the adapter
// and the input.
type item struct {
	handle   *handle
	input    *input
	remarks  []string      // about the image of the input
	stats    *versionStats // of the version that was asked for; nil for self-tests
	trace    *trace        // what is to be explained of the answer; nil: nothing. Such an item has a batch of its own
	test     bool          // of a self-test: the logits of the input alone are asked for, also of an adapter that wants mirror images
	deadline time.Time     // zero: none
	queued   time.Time

	waiting bool          // in its lane; guarded by the queue
	done    chan struct{} // receives one value when the fields below are set
	err     error
	logits  []float32
	fit     *fit.Verdict  // nil: unknown
	wait    time.Duration // time in the queue
	compute time.Duration // time of the batch
	batch   int           // rows of the batch
}

// free releases what the item holds.
func (it *item) free() {
	it.handle.release()
	it.input.release()
}

// end answers the item and releases what it holds.
func (it *item) end(err error) {
	it.free()
	it.err = err
	it.done <- struct{}{}
}

// bare reports whether the item needs only the bare base and a head. Such items share the rows of equal inputs.
func (it *item) bare() bool { return !it.handle.adapter.Adapts() }

// lane holds the requests that wait for one adapter, earliest deadline first.
type lane struct {
	base     *backbone
	items    []*item
	admitted int  // items, and admitted requests that are still loading or preparing
	active   bool // is in the queue's order of turns
}

// queue holds requests until a batch takes them. Adapters take turns regardless of how many requests wait for
// each, so that none starves the others. The queue is bounded: a request that arrives when it is full is
// refused, or displaces the youngest request of the adapter with most requests.
type queue struct {
	limit    int
	rows     int                             // maximum rows of a batch
	perImage func(b *backbone) time.Duration // estimated time of one more image
	perBatch func(b *backbone) time.Duration

	mu     sync.Mutex
	ready  sync.Cond // signalled when there is something to take, or the queue is closed
	closed bool
	turns  []*lane           // lanes with items, the next one first; some may have become empty
	queued int               // items in lanes
	waits  map[*backbone]int // items per base
	inside int               // admitted requests that are not being computed yet
}

func newQueue(limit, rows int, perImage, perBatch func(b *backbone) time.Duration) *queue {
	q := &queue{limit: limit, rows: rows, perImage: perImage, perBatch: perBatch, waits: map[*backbone]int{}}
	q.ready.L = &q.mu
	return q
}

// admit admits a request for the adapter of l, or returns an error. It must be followed by put or leave.
func (q *queue) admit(ctx context.Context, l *lane) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrDraining
	}
	if deadline, ok := ctx.Deadline(); ok && q.inside > 0 && time.Until(deadline) < q.delay(l) {
		return &OverloadError{RetryAfter: q.retryAfter(l)}
	}
	if q.inside >= q.limit {
		longest := q.longest()
		if longest == nil || longest.admitted <= l.admitted+1 {
			return &OverloadError{RetryAfter: q.retryAfter(l)}
		}
		youngest := longest.items[len(longest.items)-1]
		q.remove(longest, len(longest.items)-1)
		youngest.end(&OverloadError{RetryAfter: q.retryAfter(l)})
	}
	q.inside++
	l.admitted++
	return nil
}

// delay estimates how long one more request of l would wait. Adapters take turns, so its own lane comes before
// it, and as many items of every other lane.
func (q *queue) delay(l *lane) time.Duration {
	delay := time.Duration(len(l.items)) * q.perImage(l.base)
	for _, other := range q.turns {
		if other != l {
			delay += time.Duration(min(len(other.items), len(l.items)+1)) * q.perImage(other.base)
		}
	}
	return delay
}

// retryAfter returns the estimated time until a batch has made room.
func (q *queue) retryAfter(l *lane) time.Duration {
	return max(q.perBatch(l.base), 10*time.Millisecond)
}

func (q *queue) longest() (longest *lane) {
	for _, l := range q.turns {
		if len(l.items) > 0 && (longest == nil || l.admitted > longest.admitted) {
			longest = l
		}
	}
	return longest
}

// enter is admit for the engine's own requests, which are always admitted.
func (q *queue) enter(l *lane) {
	q.mu.Lock()
	q.inside++
	l.admitted++
	q.mu.Unlock()
}

// leave undoes an admit.
func (q *queue) leave(l *lane) {
	q.mu.Lock()
	q.left(l)
	q.mu.Unlock()
}

func (q *queue) left(l *lane) {
	q.inside--
	l.admitted--
}

// put adds admitted items to their lanes.
func (q *queue) put(items ...*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		q.putOne(it)
	}
	q.ready.Signal()
}

// putOne is put for one item. q.mu must be held.
func (q *queue) putOne(it *item) {
	l := &it.handle.content.lane
	if q.closed {
		q.left(l)
		it.end(ErrDraining)
		return
	}
	at := len(l.items)
	if !it.deadline.IsZero() {
		for at > 0 && (l.items[at-1].deadline.IsZero() || l.items[at-1].deadline.After(it.deadline)) {
			at--
		}
	}
	l.items = slices.Insert(l.items, at, it)
	it.waiting = true
	q.queued++
	q.waits[l.base]++
	if !l.active {
		l.active = true
		q.turns = append(q.turns, l)
	}
}

// remove removes item i from l. q.mu must be held.
func (q *queue) remove(l *lane, i int) {
	l.items[i].waiting = false
	l.items = slices.Delete(l.items, i, i+1)
	q.queued--
	if q.waits[l.base]--; q.waits[l.base] == 0 {
		delete(q.waits, l.base) // the base may be dropped
	}
	q.left(l)
}

// cancel ends an item that is still waiting. An item that is being computed is left to the runner.
func (q *queue) cancel(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.waiting {
		l := &it.handle.content.lane
		q.remove(l, slices.Index(l.items, it))
		it.free()
	}
}

// take waits for requests and returns those of the next batch. A batch has one base: that of the adapter whose
// turn it is. It takes one request of every adapter of that base in turn, until it has pick(base, number
// waiting) images. Rows that share most blocks with an image already in the batch are added without counting.
// After close it returns none. left is the number of requests that remain.
func (q *queue) take(batch []*item, pick func(b *backbone, queued int) int) (_ []*item, left int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(batch) == 0 {
		for q.queued == 0 && !q.closed {
			q.ready.Wait()
		}
		if q.queued == 0 {
			return nil, 0
		}
		next := slices.IndexFunc(q.turns, func(l *lane) bool { return len(l.items) > 0 })
		b := q.turns[next].base
		batch = q.fill(batch, b, pick(b, q.waits[b]))
	}
	return batch, q.queued
}

func (q *queue) fill(batch []*item, b *backbone, images int) []*item {
	now := time.Now()
	at := 0 // earlier lanes belong to other bases and keep their turn
	for used, rows := 0, 0; q.waits[b] > 0; {
		l := q.turns[at]
		if l.base != b {
			at++
			continue
		}
		if len(l.items) > 0 {
			it := l.items[0]
			expired := !it.deadline.IsZero() && now.After(it.deadline)
			if !expired && it.trace != nil && len(batch) > 0 {
				return batch
			}
			if !expired && !shares(batch, it) {
				along := branches(batch, it)
				if rows == q.rows || !along && used == images {
					return batch
				}
				if !along {
					used++
				}
				rows++
			}
			q.remove(l, 0)
			if expired {
				it.end(context.DeadlineExceeded)
			} else {
				it.wait = now.Sub(it.queued)
				batch = append(batch, it)
			}
		}
		q.turns = slices.Delete(q.turns, at, at+1)
		if len(l.items) > 0 {
			q.turns = append(q.turns, l)
		} else {
			l.active = false
		}
		if len(batch) > 0 && batch[0].trace != nil { // it goes back, and alone
			return batch
		}
	}
	return batch
}

// shares reports whether it can share a row with another item of the batch.
func shares(batch []*item, it *item) bool {
	if !it.bare() {
		return false
	}
	return slices.ContainsFunc(batch, func(x *item) bool { return x.input == it.input && x.bare() })
}

// branches reports whether it shares enough blocks with another item of the batch. The rest of its row then
// costs less than a batch of its own, and others do not wait longer than if it came before them.
func branches(batch []*item, it *item) bool {
	if !it.handle.branches {
		return false
	}
	return slices.ContainsFunc(batch, func(x *item) bool { return x.input == it.input && (x.handle.branches || x.bare()) })
}

// close closes the queue: waiting items are still taken, new ones are refused.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.ready.Broadcast()
	q.mu.Unlock()
}

// waiting returns the number of admitted requests that are not being computed yet.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inside
}
