package host

import (
	"net"
	"sync"
	"time"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

// calls bounds the calls under way, those that wait for their message and streams that say nothing included. Each takes some
// 25 KB before anything of it is read, and one connection of HTTP/2 has many.
type calls struct {
	most int // of all; the rest follows

	mu        sync.Mutex
	all       int
	public    int            // that everybody may make
	addresses map[string]int // of the public ones
}

func newCalls(most int) *calls { return &calls{most: most, addresses: map[string]int{}} }

// The shares of calls that need no role: of all of them, and of one address.
const (
	publicShare  = 4
	addressShare = 16
)

// clientHost is an address without its port.
func clientHost(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// enter counts a call in, or returns why there is no room for it. leave must be called once.
func (c *calls) enter(address string, need access.Role) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	public := need == access.Public
	full := c.all >= c.most || public && (c.public >= c.most/publicShare || c.addresses[address] >= c.most/addressShare)
	if full {
		return func() {}, &oip.Fault{Kind: oip.Overloaded, Message: "there are too many calls under way, try again in a second", RetryAfter: time.Second}
	}
	c.all++
	if public {
		c.public++
		c.addresses[address]++
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if !public {
			return
		}
		c.public--
		if c.addresses[address]--; c.addresses[address] == 0 {
			delete(c.addresses, address)
		}
	}), nil
}
