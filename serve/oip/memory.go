package oip

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Memory is the one budget that covers the bytes of all requests under way: bodies as they arrive and as they are read,
// tensors, images and what decoding them takes. Bodies come first and take a part of it at most, so that what is there can
// always be decoded; decoding waits for its turn, and no client gets all of it. It is safe for concurrent use.
type Memory struct {
	limit int64 // of everything
	most  int64 // of bodies
	share int64 // of what one client decodes

	mu      sync.Mutex
	used    int64
	bodies  int64 // of used
	peak    int64
	clients map[string]int64 // of used, what each is decoding
	waiting list.List        // of *turn, the first to come in front
}

// turn is somebody who waits to decode.
type turn struct {
	client string
	n      int64
	since  time.Time
	ready  chan struct{} // closed when it has what it waits for
}

// NewMemory returns a budget of so many bytes.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, most: limit / 8 * 3, share: limit / 2, clients: map[string]int64{}}
}

// Limit is the budget, in bytes.
func (m *Memory) Limit() int64 { return m.limit }

// Most is what one request can have for decoding.
func (m *Memory) Most() int64 { return m.share }

// Used returns the bytes that are taken now, and the most that ever were.
func (m *Memory) Used() (now, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.peak
}

// Waited returns how long the first in the line has waited for its turn, 0 if there is none.
func (m *Memory) Waited() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first := m.waiting.Front(); first != nil {
		return time.Since(first.Value.(*turn).since)
	}
	return 0
}

// full is the answer when there is no room.
func full() *Fault {
	f := NewFault(Overloaded, "other requests take the memory for requests, try again in a second")
	f.RetryAfter = time.Second
	return f
}

// body changes what bodies take by n bytes; what is not there is an error.
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

// add counts; m.mu is held.
func (m *Memory) add(n int64) {
	m.used += n
	m.peak = max(m.peak, m.used)
}

// Take waits until n bytes can be decoded for the client of ctx. release gives them back.
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
	case <-t.ready: // both
		m.mu.Unlock()
		release()
	default:
		m.waiting.Remove(at)
		m.admit() // who stood behind
		m.mu.Unlock()
	}
	return nil, ctx.Err()
}

// admit gives those who wait their turn; m.mu is held. Who has its client's share already is passed over, who waits for
// room is not: large ones get theirs, too.
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
