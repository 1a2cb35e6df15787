package host

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"melo.example/melo/serve/access"
)

// The client is the last address that no trusted proxy has.
func TestClientBehindProxies(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "::1", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{config: Config{Proxies: proxies}}
	for _, c := range []struct {
		remote, forwarded, want string
		proxied                 bool
	}{
		{"203.0.113.5:4000", "", "203.0.113.5:4000", false},
		{"203.0.113.5:4000", "198.51.100.1", "203.0.113.5:4000", true}, // a stranger says what it likes
		{"10.1.2.3:4000", "198.51.100.1", "198.51.100.1", true},
		{"10.1.2.3:4000", "127.0.0.1, 198.51.100.1, 192.0.2.7", "198.51.100.1", true}, // what stands before was said by the client
		{"[::1]:4000", "[2001:db8::1]:55", "2001:db8::1", true},
		{"10.1.2.3:4000", "nonsense", "10.1.2.3:4000", true},
		{"10.1.2.3:4000", "10.9.9.9", "10.1.2.3:4000", true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got, proxied := h.client(r); got != c.want || proxied != c.proxied {
			t.Errorf("%+v: %s, %v", c, got, proxied)
		}
	}
	if _, err := ParseProxies([]string{"proxy.example"}); err == nil {
		t.Error("a name is taken")
	}
}

func TestLocalRoleBehindProxy(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Guard.Anonymous, c.Guard.Local = access.Admin, true })
	if r, _ := s.do(access.Public, "GET", "/v1/adapters", nil); r.StatusCode != http.StatusOK {
		t.Errorf("from here: status %d", r.StatusCode)
	}
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		if r, _ := s.do(access.Public, "GET", "/v1/adapters", nil, header, "203.0.113.9"); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", header, r.StatusCode)
		}
	}
}

func TestNotReadyWithoutItsFolder(t *testing.T) {
	s := newSite(t)
	ready := func() int {
		r, _ := s.do(access.Public, "GET", "/readyz", nil)
		return r.StatusCode
	}
	if ready() != http.StatusOK {
		t.Error("not ready at first")
	}
	away := s.folder + ".away"
	if err := os.Rename(s.folder, away); err != nil {
		t.Fatal(err)
	}
	s.config.Engine.Registry().Scan(t.Context())
	if ready() != http.StatusServiceUnavailable {
		t.Error("ready without its folder")
	}
	if err := os.Rename(away, s.folder); err != nil {
		t.Fatal(err)
	}
	s.config.Engine.Registry().Scan(t.Context())
	if ready() != http.StatusOK {
		t.Error("not ready with its folder again")
	}
}

func TestMetricsElsewhere(t *testing.T) {
	a := newAuthority(t)
	token, hash := access.NewToken()
	s := newTLSSite(t, a, func(c *Config) {
		c.Metrics, c.MetricsTLS, c.MetricsToken = "127.0.0.1:0", c.HTTPS, func() string { return hash }
	})
	for given, want := range map[string]int{"": 401, "Bearer x": 401, "Bearer " + token: 200} {
		r, _ := http.NewRequest("GET", "https://"+s.Address("metrics")+"/metrics", nil)
		r.Header.Set("Authorization", given)
		response, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1<<20)
		n, _ := response.Body.Read(text)
		response.Body.Close()
		if response.StatusCode != want || want == 200 && n == 0 {
			t.Errorf("%q: status %d", given, response.StatusCode)
		}
	}
	_, text := s.do(access.Admin, "GET", "/metrics", nil)
	if !strings.Contains(text, "melo_tls_certificate_expires_seconds 3") { // 3600 less a little
		t.Error("no metric of the certificate's life")
	}
	s.Reload()
}

func TestExpiredCertificate(t *testing.T) {
	a := newAuthority(t)
	a.life = -time.Minute
	cert, key := a.sign("old", 11)
	if _, _, err := (TLS{Cert: cert, Key: key}).open(nil); err == nil || !strings.Contains(err.Error(), "valid") {
		t.Errorf("got %v", err)
	}
}
