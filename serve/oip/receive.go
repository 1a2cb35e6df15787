package oip

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Arrival says how a message is received.
type Arrival struct {
	// Limit is the most bytes of the message, 0: Limits.Body. A client may have one of its own.
	Limit int64
	// Time is how long the message may take to arrive, 0: for ever.
	Time time.Duration
	// Deadline sets when reading it fails, the zero time: never.
	Deadline func(time.Time) error
	// Encoding is how it is compressed: gzip, deflate, or not at all (empty, identity). Limit is of what comes out.
	Encoding string
}

// arriving are the messages that are on their way, and streams that wait for one. When the server stops they are given
// little time.
type arriving struct {
	mu       sync.Mutex
	stopping bool
	idle     map[*func(time.Time) error]struct{} // wait for a message to begin
	open     map[*func(time.Time) error]struct{}
}

// ArrivalTime is the time that a message has to arrive, on every endpoint.
const ArrivalTime = 30 * time.Second

// StopGrace is the time that a message has to arrive once the server stops.
const StopGrace = 2 * time.Second

// StopReceiving is called when the server stops: streams that wait for a message end, and what has begun to arrive must be
// there within StopGrace.
func (s *Service) StopReceiving() {
	a := &s.arriving
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping = true
	now := time.Now()
	for d := range a.idle {
		_ = (*d)(now) // fails only if the message's connection is gone
	}
	for d := range a.open {
		_ = (*d)(now.Add(StopGrace))
	}
}

// Stopping reports whether StopReceiving was called.
func (s *Service) Stopping() bool {
	s.arriving.mu.Lock()
	defer s.arriving.mu.Unlock()
	return s.arriving.stopping
}

// Idle notes a stream that waits for its next message, until done is called: reading it fails when the server stops.
func (s *Service) Idle(deadline func(time.Time) error) (done func()) {
	a := &s.arriving
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		_ = deadline(time.Now())
		return func() {}
	}
	if a.idle == nil {
		a.idle = map[*func(time.Time) error]struct{}{}
	}
	a.idle[&deadline] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.idle, &deadline)
	}
}

// Await sets the deadline of what stands in front of a message, until done is called.
func (s *Service) Await(deadline func(time.Time) error, patience time.Duration) (done func()) {
	s.arriving.begin(&deadline, patience)
	return func() { s.arriving.end(&deadline, false) }
}

// begin sets the deadline of a message.
func (a *arriving) begin(deadline *func(time.Time) error, patience time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping && (patience == 0 || patience > StopGrace) {
		patience = StopGrace
	}
	if patience > 0 {
		_ = (*deadline)(time.Now().Add(patience))
	}
	if a.open == nil {
		a.open = map[*func(time.Time) error]struct{}{}
	}
	a.open[deadline] = struct{}{}
}

// end forgets a message, and takes its deadline away if it has arrived: of one that has not, what is left must not be
// waited for either.
func (a *arriving) end(deadline *func(time.Time) error, arrived bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, open := a.open[deadline]
	delete(a.open, deadline)
	if open && arrived {
		_ = (*deadline)(time.Time{})
	}
}

// Body is a message that is being received. What it has read counts against the memory for requests until Release: three
// times until Keep says how much it is, since buffers grow by being copied, and numbers take at most twice the memory of
// the text or the message that they are read from.
type Body struct {
	r        io.Reader
	s        *Service
	deadline func(time.Time) error
	held     int64
	left     int64 // of the request's own limit
	limit    int64
}

// arrivingFactor is what a byte counts that has arrived and is not decoded yet.
const arrivingFactor = 3

// Receive returns a reader of a message, within limits of size, memory and time. Its errors are faults. Release it.
func (s *Service) Receive(r io.Reader, a Arrival) (*Body, error) {
	limit := s.limits.Body
	if a.Limit > 0 {
		limit = min(limit, a.Limit)
	}
	if a.Deadline == nil {
		a.Deadline = func(time.Time) error { return nil }
	}
	switch a.Encoding {
	case "", "identity":
	case "gzip", "deflate":
		r = &inflated{raw: r, encoding: a.Encoding}
	default:
		return nil, Faultf(Unsupported, "the request is compressed by %q, expected gzip, deflate or nothing", clip(a.Encoding))
	}
	b := &Body{r: r, s: s, deadline: a.Deadline, left: limit, limit: limit}
	s.arriving.begin(&b.deadline, a.Time)
	return b, nil
}

// inflated begins to decompress when it is read: the header of what is compressed is part of the message.
type inflated struct {
	raw      io.Reader
	encoding string
	r        io.Reader
}

// Read reads what comes out.
func (f *inflated) Read(p []byte) (int, error) {
	if f.r == nil {
		var err error
		if f.encoding == "gzip" {
			f.r, err = gzip.NewReader(f.raw)
		} else {
			f.r, err = zlib.NewReader(f.raw)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f.encoding, err)
		}
	}
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", f.encoding, err)
	}
	return n, err
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
	if int64(n) > b.left {
		return 0, Faultf(TooLarge, "the request has more than %d bytes", b.limit)
	}
	b.left -= int64(n)
	if err := b.charge(arrivingFactor * int64(n)); err != nil {
		return 0, err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.s.arrivalFault(err)
	}
	return n, err
}

func (b *Body) charge(n int64) error {
	if err := b.s.memory.body(n); err != nil {
		return err
	}
	b.held += n
	return nil
}

// ReadAll reads all of it. claim is the length that the client says it has, or below 0: no more is allocated at once than
// has come.
func (b *Body) ReadAll(claim int64) ([]byte, error) {
	const first = 64 << 10
	if claim > b.limit {
		return nil, Faultf(TooLarge, "request of %d bytes, the limit is %d", claim, b.limit)
	}
	buffer := make([]byte, 0, min(max(claim, 0), first)+512)
	for {
		n, err := b.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buffer) == cap(buffer) {
			to := 2 * len(buffer)
			if claim >= int64(len(buffer)) {
				to = min(to, int(claim)+1)
			}
			buffer = append(make([]byte, 0, to), buffer...)
		}
	}
}

// Arrived says that the message is there: from now on only the answer takes time.
func (b *Body) Arrived() { b.s.arriving.end(&b.deadline, true) }

// Keep says that the message is decoded, and that it takes so many bytes until Release.
func (b *Body) Keep(bytes int64) {
	_ = b.s.memory.body(min(bytes-b.held, 0))
	b.held = min(bytes, b.held)
}

// Size is the number of bytes that were read.
func (b *Body) Size() int64 { return b.limit - b.left }

// Release says that the bytes read are no longer needed.
func (b *Body) Release() {
	b.s.arriving.end(&b.deadline, false)
	_ = b.s.memory.body(-b.held)
	b.held = 0
}

// arrivalFault says why a message could not be read.
func (s *Service) arrivalFault(err error) error {
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.Is(err, os.ErrDeadlineExceeded):
		if s.Stopping() {
			f := NewFault(Unavailable, "the server is shutting down, and the request had not arrived")
			f.RetryAfter = time.Second
			return f
		}
		return NewFault(Slow, "the request did not arrive in time")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return NewFault(Invalid, "the request ended early")
	}
	return NewFault(Invalid, "the request cannot be read: "+Clean(err.Error()))
}
