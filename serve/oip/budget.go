package oip

import (
	"io"
	"sync/atomic"
	"time"
)

// budget bounds the bytes of all requests that are in memory as they came.
type budget struct {
	limit int64
	used  atomic.Int64
}

// full is the answer when there is no room.
func (b *budget) full() *Fault {
	f := NewFault(Overloaded, "other requests take the memory for requests, try again in a second")
	f.RetryAfter = time.Second
	return f
}

// Body is a request's body that is being received. What it has read counts against the budget of all requests until
// Release.
type Body struct {
	r      io.Reader
	budget *budget
	held   int64
	left   int64 // of the request's own limit
	limit  int64
}

// Body returns a reader of a request's body, limited to Limits.Body bytes, and to what other requests leave of
// Limits.Bodies. Its errors are faults, or those of r.
func (s *Service) Body(r io.Reader) *Body {
	return &Body{r: r, budget: &s.bodies, left: s.limits.Body, limit: s.limits.Body}
}

// Read reads from the body.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more tells that there is more
	}
	n, err := b.r.Read(p)
	b.held += int64(n)
	used := b.budget.used.Add(int64(n))
	if int64(n) > b.left {
		return 0, Faultf(TooLarge, "the request has more than %d bytes", b.limit)
	}
	b.left -= int64(n)
	if used > b.budget.limit {
		return 0, b.budget.full()
	}
	return n, err
}

// Release says that the bytes read are no longer needed.
func (b *Body) Release() {
	b.budget.used.Add(-b.held)
	b.held = 0
}

// Hold counts n bytes of a request that another door has received already. release gives them back.
func (s *Service) Hold(n int) (release func(), err error) {
	if used := s.bodies.used.Add(int64(n)); used > s.bodies.limit {
		s.bodies.used.Add(-int64(n))
		return nil, s.bodies.full()
	}
	return func() { s.bodies.used.Add(-int64(n)) }, nil
}
