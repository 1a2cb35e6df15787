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

// Arrival configures how a message is received.
type Arrival struct {
	// Limit is the maximum message size in bytes; 0: Limits.Body. A client may have its own.
	Limit int64
	// Time is the time limit for receiving the message; 0: none.
	Time time.Duration
	// Deadline sets the deadline for reading; the zero time means none.
	Deadline func(time.Time) error
	// Encoding is the compression: gzip, deflate, or none ("" or identity). Limit applies to the decompressed
	// bytes.
	Encoding string
}

// arriving tracks messages that are being received, and streams that wait for one. When the server stops they
// get little time.
type arriving struct {
	mu       sync.Mutex
	stopping bool
	idle     map[*func(time.Time) error]struct{} // waiting for a message to begin
	open     map[*func(time.Time) error]struct{}
}

// ArrivalTime is the default time limit for receiving a message, on every endpoint.
const ArrivalTime = 30 * time.Second

// StopGrace is the time limit for receiving a message once the server stops.
const StopGrace = 2 * time.Second

// StopReceiving is called when the server stops: streams that wait for a message end, and messages that are
// arriving must be complete within StopGrace.
func (s *Service) StopReceiving() {
	a := &s.arriving
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopping = true
	now := time.Now()
	for d := range a.idle {
		_ = (*d)(now) // fails only if the connection is gone
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

// Idle registers a stream that waits for its next message, until done is called. Its reads fail when the server
// stops.
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

// Await sets the deadline for the header of a message, until done is called.
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

// end unregisters a message, and removes its deadline if it has arrived completely. Otherwise the rest must not
// be waited for either.
func (a *arriving) end(deadline *func(time.Time) error, arrived bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, open := a.open[deadline]
	delete(a.open, deadline)
	if open && arrived {
		_ = (*deadline)(time.Time{})
	}
}

// Body is a message being received. The bytes read count against the memory for requests until Release. They
// count three times until Keep gives their decoded size, because buffers are copied when they grow, and numbers
// take at most twice the memory of the text or message from which they are parsed.
type Body struct {
	r        io.Reader
	s        *Service
	deadline func(time.Time) error
	held     int64
	left     int64 // remaining bytes of the message's own limit
	limit    int64
}

// arrivingFactor is how often a received byte counts before it is decoded.
const arrivingFactor = 3

// Receive returns a reader of a message within limits of size, memory and time. Its errors are faults. The
// caller must release it.
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

// inflated decompresses lazily, because the header of compressed data is part of the message.
type inflated struct {
	raw      io.Reader
	encoding string
	r        io.Reader
}

// Read returns decompressed bytes.
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

// ReadAll reads the whole body. claim is the length according to the client, or negative; memory grows only as
// data arrives.
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

// Arrived marks the message as complete: only the answer takes time from now on.
func (b *Body) Arrived() { b.s.arriving.end(&b.deadline, true) }

// Keep records that the message has been decoded and takes the given number of bytes until Release.
func (b *Body) Keep(bytes int64) {
	_ = b.s.memory.body(min(bytes-b.held, 0))
	b.held = min(bytes, b.held)
}

// Size returns the number of bytes read.
func (b *Body) Size() int64 { return b.limit - b.left }

// Release releases the memory.
func (b *Body) Release() {
	b.s.arriving.end(&b.deadline, false)
	_ = b.s.memory.body(-b.held)
	b.held = 0
}

// arrivalFault returns the error for a message that could not be read.
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
