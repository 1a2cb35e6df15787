package host

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// conns bounds the connections of a listener. When there are too many, the one that has been idle the longest makes
// room, so that clients that hold connections cannot keep others out.
type conns struct {
	max int
	now func() time.Time

	mu     sync.Mutex
	open   map[*conn]struct{}
	closed uint64 // to make room
	turned uint64 // away
}

// silent is how long nothing must have come or gone on a connection before it may be closed although it is not known
// to be idle; it is more than the time in which a request must be answered.
const silent = 3 * time.Minute

// conn is a connection that knows when it was last used.
type conn struct {
	net.Conn
	owner *conns
	last  atomic.Int64 // nanoseconds since start, on the monotonic clock
	idle  atomic.Bool
	once  sync.Once
}

// listener counts the connections that it accepts.
type listener struct {
	net.Listener
	conns *conns
}

// start is the origin of conn.last.
var start = time.Now()

func newConns(max int) *conns {
	return &conns{max: max, now: time.Now, open: map[*conn]struct{}{}}
}

// listen returns a listener whose connections are counted.
func (c *conns) listen(l net.Listener) net.Listener { return &listener{l, c} }

// Accept waits for a connection for which there is room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.conns.admit(raw); c != nil {
			return c, nil
		}
		raw.Close()
	}
}

// admit counts a connection in, or returns nil.
func (c *conns) admit(raw net.Conn) *conn {
	k := &conn{Conn: raw, owner: c}
	k.used()
	c.mu.Lock()
	var victim *conn
	if len(c.open) >= c.max {
		if victim = c.victim(); victim == nil {
			c.turned++
			c.mu.Unlock()
			return nil
		}
		delete(c.open, victim)
		c.closed++
	}
	c.open[k] = struct{}{}
	c.mu.Unlock()
	if victim != nil {
		victim.Conn.Close()
	}
	return k
}

// victim is the connection to close: of the idle ones the one last used first, else one that has been silent for
// long; c.mu is held.
func (c *conns) victim() *conn {
	var best *conn
	limit := int64(c.now().Add(-silent).Sub(start))
	for k := range c.open {
		last := k.last.Load()
		if !k.idle.Load() && last > limit {
			continue
		}
		if best == nil || last < best.last.Load() {
			best = k
		}
	}
	return best
}

// state is a hook of http.Server: it knows when a connection waits for its next request.
func (c *conns) state(nc net.Conn, s http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if k, ok := nc.(*conn); ok {
		k.idle.Store(s == http.StateIdle)
	}
}

// counts returns the connections that are open, and those that were closed for others and turned away so far.
func (c *conns) counts() (open int, closed, turned uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.closed, c.turned
}

func (k *conn) used() { k.last.Store(int64(k.owner.now().Sub(start))) }

// Read reads, and notes that the connection is in use.
func (k *conn) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	if n > 0 {
		k.used()
	}
	return n, err
}

// Write writes, and notes that the connection is in use.
func (k *conn) Write(p []byte) (int, error) {
	n, err := k.Conn.Write(p)
	if n > 0 {
		k.used()
	}
	return n, err
}

// Close closes the connection and counts it out.
func (k *conn) Close() error {
	k.once.Do(func() {
		k.owner.mu.Lock()
		delete(k.owner.open, k)
		k.owner.mu.Unlock()
	})
	return k.Conn.Close()
}
