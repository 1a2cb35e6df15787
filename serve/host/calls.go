package host

import (
	"net"
	"sync"
	"time"

	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

// calls limits the running calls, including those that wait for their message and idle streams. Each takes
// about 25 KB before anything of it is read, and one HTTP/2 connection can have many.
type calls struct {
	most int // of all calls; the other limits derive from it

	mu        sync.Mutex
	all       int
	public    int            // calls that need no role
	addresses map[string]int // of the public ones, by address
}

func newCalls(most int) *calls { return &calls{most: most, addresses: map[string]int{}} }

// The shares of calls that need no role: of all calls, and per address.
const (
	publicShare  = 4
	addressShare = 16
)

// clientHost returns an address without its port.
func clientHost(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// enter counts a call, or returns why there is no room for it. leave must be called once.
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
