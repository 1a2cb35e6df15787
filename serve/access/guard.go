package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// ErrUnauthenticated is wrapped by errors about missing or wrong credentials.
var ErrUnauthenticated = errors.New("access: authentication required")

// ErrForbidden is wrapped by errors about clients whose role is not sufficient.
var ErrForbidden = errors.New("access: not allowed")

// ErrUnavailable is wrapped by errors about clients that cannot be checked now, because the identity provider
// does not answer.
var ErrUnavailable = errors.New("access: the identity provider cannot be reached")

// Credentials are what a client presents.
type Credentials struct {
	Authorization string            // the Authorization header, or the same gRPC metadata
	Certificate   *x509.Certificate // verified against the server's authority; nil if there is none
	Address       string            // "host:port" or host of the client
	Proxied       bool              // a proxy forwarded the request
}

// Guard authenticates and authorises clients. Its fields must not be changed once it is in use.
type Guard struct {
	Tokens      *Watched[Tokens] // nil: there are none
	OIDC        *OIDC            // nil: there is none
	Certificate Role             // of clients that show a certificate and no token; Public: it says nothing
	Anonymous   Role             // of clients that show nothing
	// CertificateAdapters are those that viewers with a certificate may know of, by the name that it gives them; "*" is that of
	// everybody else, and without it they know of none. nil: all may know of all.
	CertificateAdapters map[string]*Names
	// AnonymousAdapters are those that viewers who show nothing may know of; nil: all.
	AnonymousAdapters *Names
	Local             bool   // Anonymous is for clients on this machine: what a proxy passes on is Public
	Defaults          Limits // of clients without their own, until SetDefaults
	Limiter           *Limiter
	Now               func() time.Time // nil: time.Now

	defaults atomic.Pointer[Limits]
}

// SetDefaults changes the limits of clients without their own. It may be called while the guard is in use.
func (g *Guard) SetDefaults(l Limits) { g.defaults.Store(&l) }

// failedLimits limits attempts with wrong credentials per address.
var failedLimits = Limits{Rate: 2, Burst: 20}

// Authenticate returns the principal with these credentials. Wrong ones are an error even if none are needed.
// Errors wrap ErrUnauthenticated or ErrUnavailable, or are a *LimitError for an address with too many failures.
func (g *Guard) Authenticate(ctx context.Context, c Credentials) (Principal, error) {
	address := clientAddress(c.Address)
	switch {
	case c.Authorization != "":
		p, err := g.bearer(ctx, c.Authorization)
		if errors.Is(err, ErrUnauthenticated) {
			done, limited := g.Limiter.Admit("failed "+address, failedLimits)
			if limited != nil {
				return Principal{}, limited
			}
			done()
		}
		return p, err
	case c.Certificate != nil && g.Certificate > Public:
		p := Principal{Name: certificateName(c.Certificate), Role: g.Certificate, Via: "certificate"}
		p.limitTo(g.namesOf(p.Name))
		return p, nil
	}
	p := Principal{Name: address, Role: g.Anonymous, Via: "address"}
	if c.Proxied && g.Local {
		p.Role = Public
	}
	p.limitTo(g.AnonymousAdapters)
	return p, nil
}

// namesOf returns the adapters that a viewer with a certificate may know of.
func (g *Guard) namesOf(name string) *Names {
	if g.CertificateAdapters == nil {
		return nil
	}
	for _, key := range []string{name, "*"} {
		if names, ok := g.CertificateAdapters[key]; ok {
			return names
		}
	}
	return &Names{}
}

func (g *Guard) bearer(ctx context.Context, header string) (Principal, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return Principal{}, fmt.Errorf("%w: the Authorization is not Bearer and a token", ErrUnauthenticated)
	}
	if g.Tokens != nil {
		if p, ok := g.Tokens.Get().Find(token, g.now()); ok {
			return p, nil
		}
	}
	if g.OIDC != nil && strings.Count(token, ".") == 2 {
		return g.OIDC.verify(ctx, token)
	}
	return Principal{}, fmt.Errorf("%w: the token is unknown or has expired", ErrUnauthenticated)
}

func (g *Guard) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

// Authorize returns an error unless p has at least the role need.
func (g *Guard) Authorize(p Principal, need Role) error {
	switch {
	case p.Role >= need:
		return nil
	case p.Via == "address":
		return fmt.Errorf("%w: this takes the role %v", ErrUnauthenticated, need)
	}
	return fmt.Errorf("%w: this takes the role %v, and %s is %v", ErrForbidden, need, p.Name, p.Role)
}

// Admit counts a request of p, or returns a *LimitError. done must be called once when the request has been
// answered.
func (g *Guard) Admit(p Principal) (done func(), err error) {
	return g.Limiter.Admit(p.Via+" "+p.Name, g.LimitsOf(p))
}

// LimitsOf returns the limits of p: its own, completed by the server's defaults.
func (g *Guard) LimitsOf(p Principal) Limits {
	if d := g.defaults.Load(); d != nil {
		return p.Limits.orElse(*d)
	}
	return p.Limits.orElse(g.Defaults)
}

// clientAddress returns what identifies an anonymous client: its address, or for IPv6 the network that one
// household or machine has to itself.
func clientAddress(s string) string {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		port, err := netip.ParseAddrPort(s)
		if err != nil {
			return "unknown"
		}
		addr = port.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}

// certificateName returns the common name of a client certificate, or its serial number if that is not a valid
// name.
func certificateName(c *x509.Certificate) string {
	name := strings.ReplaceAll(c.Subject.CommonName, " ", "_")
	if CheckName(name) != nil {
		return "serial:" + c.SerialNumber.Text(16)
	}
	return name
}
