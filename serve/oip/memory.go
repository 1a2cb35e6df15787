package oip

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Memory is the common budget for the bytes of all running requests: bodies as they arrive and as they are
// parsed, tensors, images and decoding. Bodies may take only part of it, so that what has arrived can always be
// decoded. Decoding waits for its turn, and no client gets all of the budget. It is safe for concurrent use.
type Memory struct {
	limit int64 // of everything
	most  int64 // of bodies
	share int64 // of one client's decoding

	mu      sync.Mutex
	used    int64
	bodies  int64 // part of used
	peak    int64
	clients map[string]int64 // part of used, by decoding client
	waiting list.List        // of *turn, first come first served
}

// turn is a request that waits to decode.
type turn struct {
	client string
	n      int64
	since  time.Time
	ready  chan struct{} // closed when it has its memory
}

// NewMemory returns a budget of limit bytes.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, most: limit / 8 * 3, share: limit / 2, clients: map[string]int64{}}
}

// Limit returns the budget in bytes.
func (m *Memory) Limit() int64 { return m.limit }

// Most returns the maximum for decoding one request.
func (m *Memory) Most() int64 { return m.share }

// Used returns the bytes in use, and their peak.
func (m *Memory) Used() (now, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.peak
}

// Waited returns how long the first in the queue has waited; 0 if there is none.
func (m *Memory) Waited() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first := m.waiting.Front(); first != nil {
		return time.Since(first.Value.(*turn).since)
	}
	return 0
}

// full returns the error for insufficient memory.
func full() *Fault {
	f := NewFault(Overloaded, "other requests take the memory for requests, try again in a second")
	f.RetryAfter = time.Second
	return f
}

// body adds n bytes of bodies; insufficient memory is an error.
func (m *Memory) body(n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 && (m.bodies+n > m.most || m.used+n > m.limit) {
		return full()
	}
	m.bodies += n
	m.add(n)
	if n < 0 {
		m.admit()
	}
	return nil
}

// add updates the counts. m.mu must be held.
func (m *Memory) add(n int64) {
	m.used += n
	m.peak = max(m.peak, m.used)
}

// Take waits until n bytes are available for decoding for the client of ctx. release returns them.
func (m *Memory) Take(ctx context.Context, n int64) (release func(), err error) {
	if n > m.share {
		return nil, Faultf(TooLarge, "the request takes %d bytes of memory to decode, the limit is %d: send it in parts, or smaller images", n, m.share)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &turn{client: Client(ctx), n: n, since: time.Now(), ready: make(chan struct{})}
	m.mu.Lock()
	at := m.waiting.PushBack(t)
	m.admit()
	m.mu.Unlock()
	release = sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.add(-n)
		if m.clients[t.client] -= n; m.clients[t.client] == 0 {
			delete(m.clients, t.client)
		}
		m.admit()
	})
	select {
	case <-t.ready:
		return release, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	select {
	case <-t.ready: // both happened
		m.mu.Unlock()
		release()
	default:
		m.waiting.Remove(at)
		m.admit() // admit those behind it
		m.mu.Unlock()
	}
	return nil, ctx.Err()
}

// admit grants memory to waiting turns. m.mu must be held. A turn whose client already has its share is
// skipped. A turn that waits for memory is not overtaken, so that large requests succeed, too.
func (m *Memory) admit() {
	for e := m.waiting.Front(); e != nil; {
		t, next := e.Value.(*turn), e.Next()
		switch {
		case m.clients[t.client] > 0 && m.clients[t.client]+t.n > m.share:
		case m.used+t.n > m.limit:
			return
		default:
			m.add(t.n)
			m.clients[t.client] += t.n
			m.waiting.Remove(e)
			close(t.ready)
		}
		e = next
	}
}
