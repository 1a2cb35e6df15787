package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestRoles(t *testing.T) {
	for _, r := range []Role{Viewer, Operator, Admin} {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%v: got %v, %v", r, got, err)
		}
	}
	if _, err := ParseRole("public"); err == nil {
		t.Error("public can be given to a client")
	}
	if s := Role(9).String(); s != "role 9" {
		t.Errorf("got %q", s)
	}
	p := Principal{Name: "ris", Role: Viewer, Via: "token"}
	if got := From(With(t.Context(), p)); got != p {
		t.Errorf("got %+v", got)
	}
	if got := From(t.Context()); got != (Principal{}) {
		t.Errorf("got %+v", got)
	}
}

// newGuard has one operator with a token.
func newGuard(t *testing.T) (g *Guard, token string) {
	t.Helper()
	token, hash := NewToken()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("ops operator "+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := WatchTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Guard{Tokens: tokens, Limiter: NewLimiter()}, token
}

func TestGuard(t *testing.T) {
	g, token := newGuard(t)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "pacs one"}, SerialNumber: big.NewInt(255)}
	for name, c := range map[string]struct {
		show Credentials
		role Role // of certificates
		want Principal
		err  error
	}{
		"token":              {Credentials{Authorization: "Bearer " + token, Address: "10.0.0.1:99"}, Public, Principal{Name: "ops", Role: Operator, Via: "token"}, nil},
		"scheme in any case": {Credentials{Authorization: "bearer  " + token}, Public, Principal{Name: "ops", Role: Operator, Via: "token"}, nil},
		"wrong token":        {Credentials{Authorization: "Bearer x"}, Public, Principal{}, ErrUnauthenticated},
		"wrong scheme":       {Credentials{Authorization: "Basic " + token}, Public, Principal{}, ErrUnauthenticated},
		"no token":           {Credentials{Authorization: "Bearer "}, Public, Principal{}, ErrUnauthenticated},
		"nothing":            {Credentials{Address: "10.0.0.1:99"}, Public, Principal{Name: "10.0.0.1", Via: "address"}, nil},
		"six":                {Credentials{Address: "[2001:db8:1:2:3:4:5:6]:99"}, Public, Principal{Name: "2001:db8:1:2::/64", Via: "address"}, nil},
		"mapped":             {Credentials{Address: "[::ffff:10.0.0.1]:99"}, Public, Principal{Name: "10.0.0.1", Via: "address"}, nil},
		"pipe":               {Credentials{Address: "@"}, Public, Principal{Name: "unknown", Via: "address"}, nil},
		"certificate":        {Credentials{Certificate: cert}, Viewer, Principal{Name: "pacs_one", Role: Viewer, Via: "certificate"}, nil},
		"certificate unused": {Credentials{Certificate: cert, Address: "10.0.0.1:99"}, Public, Principal{Name: "10.0.0.1", Via: "address"}, nil},
		"token over certificate": {Credentials{Certificate: cert, Authorization: "Bearer " + token}, Viewer,
			Principal{Name: "ops", Role: Operator, Via: "token"}, nil},
	} {
		g.Certificate = c.role
		got, err := g.Authenticate(t.Context(), c.show)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", name, got, err, c.want, c.err)
		}
	}
	cert.Subject.CommonName = ""
	if got := certificateName(cert); got != "serial:ff" {
		t.Errorf("got %q", got)
	}
}

func TestAuthorize(t *testing.T) {
	var g Guard
	nobody, viewer := Principal{Name: "10.0.0.1", Via: "address"}, Principal{Name: "v", Role: Viewer, Via: "token"}
	for _, c := range []struct {
		p    Principal
		need Role
		want error
	}{
		{nobody, Public, nil}, {nobody, Viewer, ErrUnauthenticated},
		{viewer, Public, nil}, {viewer, Viewer, nil}, {viewer, Operator, ErrForbidden}, {viewer, Admin, ErrForbidden},
		{Principal{Role: Admin}, Admin, nil},
	} {
		if err := g.Authorize(c.p, c.need); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v needs %v: got %v, want %v", c.p, c.need, err, c.want)
		}
	}
}

func TestGuessingIsSlow(t *testing.T) {
	g, token := newGuard(t)
	now := time.Now()
	g.Limiter.now = func() time.Time { return now }
	var limited *LimitError
	for range failedLimits.Burst {
		if _, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer x", Address: "10.0.0.1:1"}); errors.As(err, &limited) {
			t.Fatal("limited too early")
		}
	}
	if _, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer x", Address: "10.0.0.1:2"}); !errors.As(err, &limited) {
		t.Errorf("got %v, want a limit", err)
	}
	if _, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer x", Address: "10.0.0.2:1"}); errors.As(err, &limited) {
		t.Error("another address is limited")
	}
	if _, err := g.Authenticate(t.Context(), Credentials{Authorization: "Bearer " + token, Address: "10.0.0.1:1"}); err != nil {
		t.Errorf("the right token from there: %v", err)
	}
}

func TestLimiter(t *testing.T) {
	l := NewLimiter()
	now := time.Now()
	l.now = func() time.Time { return now }
	limits := Limits{Rate: 10, Burst: 3}
	admit := func(key string) error {
		done, err := l.Admit(key, limits)
		if err == nil {
			done()
			done() // once counts
		}
		return err
	}
	for range 3 {
		if err := admit("a"); err != nil {
			t.Fatal(err)
		}
	}
	var limited *LimitError
	if err := admit("a"); !errors.As(err, &limited) || limited.RetryAfter <= 0 || limited.RetryAfter > 100*time.Millisecond {
		t.Errorf("got %v, %+v", err, limited)
	}
	if err := admit("b"); err != nil {
		t.Errorf("another client: %v", err)
	}
	now = now.Add(limited.RetryAfter + time.Microsecond)
	if err := admit("a"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if err := admit("a"); err == nil {
		t.Error("one too many")
	}
	now = now.Add(-time.Hour) // cannot happen with the monotonic clock, and must do no harm
	if err := admit("a"); err == nil {
		t.Error("a clock that goes back gives requests away")
	}
	now = now.Add(2 * time.Hour)
	for range 3 {
		if err := admit("a"); err != nil {
			t.Errorf("after a long rest: %v", err)
		}
	}
	if err := admit("a"); err == nil {
		t.Error("a long rest gives more than the burst")
	}
}

func TestLimiterConcurrent(t *testing.T) {
	l, limits := NewLimiter(), Limits{Concurrent: 2}
	first, _ := l.Admit("a", limits)
	second, err := l.Admit("a", limits)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Admit("a", limits); err == nil {
		t.Error("a third at once")
	}
	first()
	third, err := l.Admit("a", limits)
	if err != nil {
		t.Error(err)
	}
	second()
	third()
}

func TestLimiterForgets(t *testing.T) {
	l := NewLimiter()
	busy, err := l.Admit("busy", Limits{Concurrent: 1})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range maxClients {
				if done, err := l.Admit(string(rune('a'+i))+time.Duration(j).String(), Limits{Rate: 1}); err == nil {
					done()
				}
			}
		})
	}
	wg.Wait()
	if n := len(l.clients); n > maxClients || n != l.recent.Len() {
		t.Errorf("%d clients in the table, %d in the list, at most %d", n, l.recent.Len(), maxClients)
	}
	if _, err := l.Admit("busy", Limits{Concurrent: 1}); err == nil {
		t.Error("a client with a request under way was forgotten")
	}
	busy()
}

func TestLimitsOf(t *testing.T) {
	g := Guard{Defaults: Limits{Rate: 5, Burst: 6, Concurrent: 7, Body: 8}}
	if got, want := g.LimitsOf(Principal{}), g.Defaults; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := g.LimitsOf(Principal{Limits: Limits{Rate: 1, Body: 2}}), (Limits{1, 0, 7, 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What a proxy passes on is not taken for a client on this machine, whatever its address.
func TestProxiedIsNotLocal(t *testing.T) {
	g := &Guard{Anonymous: Admin, Local: true, Limiter: NewLimiter()}
	for proxied, want := range map[bool]Role{false: Admin, true: Public} {
		p, err := g.Authenticate(t.Context(), Credentials{Address: "127.0.0.1:1", Proxied: proxied})
		if err != nil || p.Role != want {
			t.Errorf("proxied %v: %+v, %v", proxied, p, err)
		}
	}
}

func TestSetDefaults(t *testing.T) {
	g := &Guard{Defaults: Limits{Rate: 1}, Limiter: NewLimiter()}
	g.SetDefaults(Limits{Rate: 7, Body: 5})
	if l := g.LimitsOf(Principal{Limits: Limits{Body: 3}}); l.Rate != 7 || l.Body != 3 {
		t.Errorf("%+v", l)
	}
}
