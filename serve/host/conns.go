package host

import (
	"net"
	"sync"
	"time"
)

// conns limits the connections of a listener. If there are too many, the one without a request for the longest
// time is closed, so that idle clients, and those that send a request byte by byte, cannot keep others out.
type conns struct {
	max int
	now func() time.Time

	mu     sync.Mutex
	open   map[string]*conn // by remote address
	closed uint64           // to make room
	turned uint64           // refused
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	owner *conns
	key   string
	once  sync.Once

	// Guarded by owner.mu:
	calls int       // requests being answered
	free  time.Time // since when there are none
}

// listener counts the connections that it accepts.
type listener struct {
	net.Listener
	conns *conns
}

func newConns(max int) *conns {
	return &conns{max: max, now: time.Now, open: map[string]*conn{}}
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

// admit counts a connection, or returns nil if there is no room.
func (c *conns) admit(raw net.Conn) *conn {
	k := &conn{Conn: raw, owner: c, key: raw.RemoteAddr().String(), free: c.now()}
	c.mu.Lock()
	var victim *conn
	if len(c.open) >= c.max {
		if victim = c.victim(); victim == nil {
			c.turned++
			c.mu.Unlock()
			return nil
		}
		delete(c.open, victim.key)
		c.closed++
	}
	c.open[k.key] = k
	c.mu.Unlock()
	if victim != nil {
		victim.Conn.Close()
	}
	return k
}

// victim returns the connection without a request for the longest time, or nil if all are in use. c.mu must be
// held.
func (c *conns) victim() *conn {
	var best *conn
	for _, k := range c.open {
		if k.calls == 0 && (best == nil || k.free.Before(best.free)) {
			best = k
		}
	}
	return best
}

// enter records that a request of the connection from address is being answered, until leave is called.
func (c *conns) enter(address string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[address]
	if k == nil {
		return func() {}
	}
	k.calls++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		k.calls--
		k.free = c.now()
	}
}

// settled reports whether no connection has a running request, or had one within the time d. A connection that
// has just been accepted may be about to send one.
func (c *conns) settled(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, k := range c.open {
		if k.calls > 0 || now.Sub(k.free) < d {
			return false
		}
	}
	return true
}

// counts returns the number of open connections, and of those closed to make room and refused so far.
func (c *conns) counts() (open int, closed, turned uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.closed, c.turned
}

// Close closes the connection and stops counting it.
func (k *conn) Close() error {
	k.once.Do(func() {
		k.owner.mu.Lock()
		defer k.owner.mu.Unlock()
		if k.owner.open[k.key] == k {
			delete(k.owner.open, k.key)
		}
	})
	return k.Conn.Close()
}
