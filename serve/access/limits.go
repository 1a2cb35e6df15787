package access

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits bounds what one client may ask for. A zero field means no limit of its own.
type Limits struct {
	Rate       float64 // requests a second, on average
	Burst      int     // requests at once above that; at least 1 where Rate is set
	Concurrent int     // requests under way
	Body       int64   // bytes of one request
}

// orElse fills zero fields in from the defaults.
func (l Limits) orElse(d Limits) Limits {
	if l.Rate == 0 {
		l.Rate = d.Rate
		if l.Burst == 0 {
			l.Burst = d.Burst
		}
	}
	if l.Concurrent == 0 {
		l.Concurrent = d.Concurrent
	}
	if l.Body == 0 {
		l.Body = d.Body
	}
	return l
}

// check returns an error if the limits cannot be.
func (l Limits) check() error {
	if l.Rate < 0 || l.Burst < 0 || l.Concurrent < 0 || l.Body < 0 || l.Rate != l.Rate {
		return errors.New("limits must not be negative")
	}
	return nil
}

// LimitError says that a client asks for more than it may.
type LimitError struct {
	What       string        // such as "10 requests a second"
	RetryAfter time.Duration // when it may try again; 0 if that is unknown
}

// Error says which limit it was.
func (e *LimitError) Error() string {
	return fmt.Sprintf("access: over the client's limit of %s", e.What)
}

// maxClients bounds the clients whose use is remembered. Those that were not heard of the longest are forgotten
// first, but never one with a request under way.
const maxClients = 1 << 14

// Limiter counts what clients use. Time is measured on the monotonic clock: setting the wall clock moves nothing.
type Limiter struct {
	now func() time.Time

	mu      sync.Mutex
	clients map[string]*list.Element // of *use
	recent  *list.List               // the latest in front
}

// use is what one client has left.
type use struct {
	key     string
	tokens  float64 // requests that it may make now
	updated time.Time
	running int
}

// NewLimiter returns a Limiter.
func NewLimiter() *Limiter {
	return &Limiter{now: time.Now, clients: map[string]*list.Element{}, recent: list.New()}
}

// Admit lets a request of the client with this key begin, or returns a *LimitError. done must be called once when
// the request has been answered.
func (l *Limiter) Admit(key string, limits Limits) (done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.use(key, limits)
	if limits.Concurrent > 0 && u.running >= limits.Concurrent {
		return nil, &LimitError{What: fmt.Sprintf("%d requests at once", limits.Concurrent), RetryAfter: time.Second}
	}
	if wait := u.take(l.now(), limits); wait > 0 {
		return nil, &LimitError{What: fmt.Sprintf("%g requests a second", limits.Rate), RetryAfter: wait}
	}
	u.running++
	var once sync.Once
	return func() {
		once.Do(func() {
			l.mu.Lock()
			u.running--
			l.mu.Unlock()
		})
	}, nil
}

// use finds the client and makes it the latest; l.mu is held.
func (l *Limiter) use(key string, limits Limits) *use {
	if e, ok := l.clients[key]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*use)
	}
	u := &use{key: key, tokens: float64(max(limits.Burst, 1)), updated: l.now()}
	l.clients[key] = l.recent.PushFront(u)
	for e := l.recent.Back(); len(l.clients) > maxClients && e != nil; {
		previous := e.Prev()
		if old := e.Value.(*use); old.running == 0 && old != u {
			l.recent.Remove(e)
			delete(l.clients, old.key)
		}
		e = previous
	}
	return u
}

// take uses one request up, or returns how long to wait for it.
func (u *use) take(now time.Time, limits Limits) time.Duration {
	if limits.Rate <= 0 {
		return 0
	}
	if passed := now.Sub(u.updated); passed > 0 {
		u.tokens = min(u.tokens+passed.Seconds()*limits.Rate, float64(max(limits.Burst, 1)))
	}
	u.updated = now
	if u.tokens < 1 {
		return time.Duration((1 - u.tokens) / limits.Rate * float64(time.Second))
	}
	u.tokens--
	return 0
}
