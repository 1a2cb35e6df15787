package access

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits limits what one client may request. A zero field means no limit.
type Limits struct {
	Rate       float64 // requests per second, on average
	Burst      int     // additional requests at once; at least 1 if Rate is set
	Concurrent int     // concurrent requests
	Body       int64   // bytes per request
}

// orElse replaces zero fields by the defaults.
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

// check returns an error for invalid limits.
func (l Limits) check() error {
	if l.Rate < 0 || l.Burst < 0 || l.Concurrent < 0 || l.Body < 0 || l.Rate != l.Rate {
		return errors.New("limits must not be negative")
	}
	return nil
}

// LimitError reports that a client has exceeded a limit.
type LimitError struct {
	What       string        // such as "10 requests a second"
	RetryAfter time.Duration // when it may try again; 0 if unknown
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("access: over the client's limit of %s", e.What)
}

// maxClients limits the number of clients whose usage is stored. The least recently active are dropped first,
// but never one with a running request.
const maxClients = 1 << 14

// Limiter counts the requests of clients. It uses the monotonic clock, so setting the wall clock has no effect.
type Limiter struct {
	now func() time.Time

	mu      sync.Mutex
	clients map[string]*list.Element // of *use
	recent  *list.List               // most recent first
}

// use is the remaining allowance of a client.
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

// Admit admits a request of the client with this key, or returns a *LimitError. done must be called once when
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

// use returns the client's record and makes it the most recent. l.mu must be held.
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

// take consumes one request, or returns how long to wait for it.
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
