package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"melo.example/melo/serve/servetest"
)

// eventually waits for what a running server is to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after a minute: %s", what)
		}
	}
}

// TestServerWithBadCertificates: what no client would take, or none could show, is refused at the start in one line that names the file.
func TestServerWithBadCertificates(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	good, goodKey := servetest.Certificate(t, dir, "good", now.Add(-time.Hour), now.Add(time.Hour))
	old, oldKey := servetest.Certificate(t, dir, "old", now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, earlyKey := servetest.Certificate(t, dir, "early", now.Add(time.Hour), now.Add(2*time.Hour))
	chained := write(t, "chained.pem", append(read(t, good), read(t, old)...))
	damaged := write(t, "damaged.pem", append(read(t, good), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...))
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"expired":                 {[]string{"--tls-cert", old, "--tls-key", oldKey}, []string{"old.pem", `"old" has expired`, "it is valid from"}},
		"not valid yet":           {[]string{"--tls-cert", early, "--tls-key", earlyKey}, []string{"early.pem", "not valid yet"}},
		"one above it expired":    {[]string{"--tls-cert", chained, "--tls-key", goodKey}, []string{"chained.pem", `"old" has expired`}},
		"one above it is damaged": {[]string{"--tls-cert", damaged, "--tls-key", goodKey}, []string{"damaged.pem", "certificate 2"}},
		"another's key":           {[]string{"--tls-cert", good, "--tls-key", oldKey}, []string{"good.pem", "old.key"}},
		"no certificate":          {[]string{"--tls-cert", goodKey, "--tls-key", goodKey}, []string{"good.key"}},
		"not there":               {[]string{"--tls-cert", filepath.Join(dir, "none.pem"), "--tls-key", goodKey}, []string{"none.pem", "no such file"}},
		"authority expired":       {[]string{"--tls-cert", good, "--tls-key", goodKey, "--tls-client-ca", old}, []string{"old.pem", "none of its 1 certificates is valid now"}},
		"authority damaged":       {[]string{"--tls-cert", good, "--tls-key", goodKey, "--tls-client-ca", damaged}, []string{"damaged.pem", "certificate 2"}},
	} {
		r := melo(t, append([]string{"serve", "--base", goldenDir("hf_vit"), "--adapters", t.TempDir(), "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"}, c.args...)...)
		line, before, _ := strings.Cut(r.err, "\n")
		if r.status == exitDone || r.status == exitUsage || before != "" {
			t.Errorf("%s: status %d, %s", name, r.status, r.err)
		}
		for _, text := range c.says {
			if !strings.Contains(line, text) {
				t.Errorf("%s: %q does not say %q", name, line, text)
			}
		}
	}
}

// read is the content of a file.
func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCertificateOfARunningServer: one that is damaged, or has expired, does not take the place of one that serves, whether it is
// noticed or SIGHUP asks to look; one that expires while it serves is told, by metric and log, and a new one takes its place.
func TestCertificateOfARunningServer(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGHUP here")
	}
	dir, now := t.TempDir(), time.Now()
	cert, key := servetest.Certificate(t, dir, "server", now.Add(-time.Hour), now.Add(time.Hour))
	s := startServer(t, t.TempDir(), "--tls-cert", cert, "--tls-key", key, "--metrics-listen", "127.0.0.1:0")
	shown := func() (serial string) {
		c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		response, err := c.Get(s.doc.HTTP + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("readiness: status %d", response.StatusCode)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	left := func() float64 {
		response, err := http.Get("http://" + s.doc.Metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		_, value, _ := strings.Cut(string(text), "\nmelo_tls_certificate_expires_seconds ")
		value, _, _ = strings.Cut(value, "\n")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := shown()
	if v := left(); v < 3000 || v > 3600 {
		t.Errorf("%g seconds are left", v)
	}
	hangup := func(what, says string) {
		t.Helper()
		before := strings.Count(s.log.String(), says)
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, what, func() bool { return strings.Count(s.log.String(), says) > before })
		if got := shown(); got != first {
			t.Errorf("%s: another certificate is shown", what)
		}
	}
	whole := read(t, cert)
	replace := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(cert+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(cert+".new", cert); err != nil {
			t.Fatal(err)
		}
	}
	replace(whole[:len(whole)/2])
	hangup("a damaged certificate", "what was read before stays in force")
	servetest.Certificate(t, dir, "server", now.Add(-2*time.Hour), now.Add(-time.Hour))
	hangup("an expired certificate", "has expired: it is valid from")
	eventually(t, "a certificate of three seconds", func() bool {
		servetest.Certificate(t, dir, "server", now.Add(-time.Hour), time.Now().Add(3*time.Second))
		whole = read(t, cert)
		return shown() != first
	})
	first = shown()
	eventually(t, "the certificate expires", func() bool { return left() < 0 })
	eventually(t, "that is told", func() bool { return strings.Contains(s.log.String(), "the certificate has expired: clients refuse it") })
	if got := shown(); got != first {
		t.Error("another certificate is shown")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(whole)
	strict := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if _, err := strict.Get(s.doc.HTTP + "/readyz"); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a client that looks: %v", err)
	}
	servetest.Certificate(t, dir, "server", now.Add(-time.Hour), now.Add(time.Hour))
	eventually(t, "a new certificate", func() bool { return shown() != first })
	if v := left(); v < 3000 {
		t.Errorf("%g seconds are left of the new one", v)
	}
	s.terminate()
}
