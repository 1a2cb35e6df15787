package witness

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
)

// tsa is an authority with a root of its own.
type tsa struct {
	root, cert *x509.Certificate
	key        *ecdsa.PrivateKey
	change     func(*timestamp.Timestamp)
	requests   int
}

var policy = asn1.ObjectIdentifier{1, 2, 3, 4}

func certificate(t testing.TB, name string, usage x509.ExtKeyUsage, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if parent == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, by = c, key
	} else {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, map[x509.ExtKeyUsage]int{x509.ExtKeyUsageTimeStamping: 8, x509.ExtKeyUsageServerAuth: 1}[usage]}})
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}} // RFC 3161 asks for that
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func newTSA(t testing.TB, usage x509.ExtKeyUsage) *tsa {
	root, key := certificate(t, "root", 0, nil, nil)
	a := &tsa{root: root}
	a.cert, a.key = certificate(t, "the authority", usage, root, key)
	return a
}

// ServeHTTP answers requests for time stamps.
func (a *tsa) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.requests++
	body, _ := io.ReadAll(r.Body)
	q, err := timestamp.ParseRequest(body)
	if err != nil || r.Header.Get("Content-Type") != queryType {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	stamp := &timestamp.Timestamp{HashAlgorithm: q.HashAlgorithm, HashedMessage: q.HashedMessage, Time: time.Now(), Nonce: q.Nonce,
		Policy: policy, AddTSACertificate: q.Certificates}
	if a.change != nil {
		a.change(stamp)
	}
	reply, err := stamp.CreateResponseWithOpts(a.cert, a.key, crypto.SHA256)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", replyType)
	w.Write(reply)
}

func (a *tsa) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func attest(t *testing.T, h http.Handler, text string) ([]byte, error) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	a, err := New(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return a.Attest(t.Context(), []byte(text))
}

const text = "12:5f0c"

func TestAttest(t *testing.T) {
	a := newTSA(t, x509.ExtKeyUsageTimeStamping)
	token, err := attest(t, a, text)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := Check(token, []byte(text), a.roots())
	if err != nil || stamp.Authority != "CN=the authority" || time.Since(stamp.Time) > time.Minute {
		t.Errorf("%+v, %v", stamp, err)
	}
	if _, err := Check(token, []byte(text), nil); err != nil {
		t.Error(err)
	}
	if _, err := Check(token, []byte("12:5f0d"), nil); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("another text: %v", err)
	}
	if _, err := Check(token, []byte(text), newTSA(t, x509.ExtKeyUsageTimeStamping).roots()); err == nil {
		t.Error("another root is taken")
	}
	// Nothing may be changed but what is outside of what is signed; a changed token never states another time.
	taken := 0
	for i := range token {
		changed := bytes.Clone(token)
		changed[i] ^= 1
		if s, err := Check(changed, []byte(text), a.roots()); err == nil {
			taken++
			if !s.Time.Equal(stamp.Time) || s.Authority != stamp.Authority {
				t.Errorf("byte %d: %+v", i, s)
			}
		}
		if _, err := Check(token[:i], []byte(text), a.roots()); err == nil {
			t.Errorf("cut after %d bytes", i)
		}
	}
	if taken > len(token)/20 {
		t.Errorf("%d of %d bytes may be changed", taken, len(token))
	}
}

func TestAuthoritiesThatAreNone(t *testing.T) {
	wrong := newTSA(t, x509.ExtKeyUsageServerAuth)
	if token, err := attest(t, wrong, text); err == nil {
		if _, err := Check(token, []byte(text), wrong.roots()); err == nil {
			t.Error("a certificate for something else is taken")
		}
	}
	for name, change := range map[string]func(*timestamp.Timestamp){
		"another nonce": func(s *timestamp.Timestamp) { s.Nonce = big.NewInt(1) },
		"no nonce":      func(s *timestamp.Timestamp) { s.Nonce = nil },
		"another hash":  func(s *timestamp.Timestamp) { s.HashedMessage = make([]byte, 32) },
	} {
		a := newTSA(t, x509.ExtKeyUsageTimeStamping)
		a.change = change
		if _, err := attest(t, a, text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	late := newTSA(t, x509.ExtKeyUsageTimeStamping)
	late.change = func(s *timestamp.Timestamp) { s.Time = time.Now().AddDate(10, 0, 0) }
	if token, err := attest(t, late, text); err == nil {
		if _, err := Check(token, []byte(text), late.roots()); err == nil {
			t.Error("a certificate that is not in force at the time is taken")
		}
	}
	refused, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.SystemFailure)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", replyType)
			w.Write(refused)
		},
		"a page":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", replyType) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", replyType)
			w.Write(make([]byte, MaxToken+1))
		},
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		if _, err := attest(t, h, text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, address := range []string{"", "tsa.example", "ftp://x", "http://", "file:///etc/passwd"} {
		if _, err := New(address); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, _ := New("http://127.0.0.1:1")
	if _, err := a.Attest(ctx, []byte(text)); err == nil {
		t.Error("nobody answers")
	}
}

// TestOpenSSL lets another program be the authority, and another one check.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, kind string, data []byte) {
		t.Helper()
		if kind != "" {
			data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		}
		if err := os.WriteFile(path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	a := newTSA(t, x509.ExtKeyUsageTimeStamping)
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	write("root.pem", "CERTIFICATE", a.root.Raw)
	write("cert.pem", "CERTIFICATE", a.cert.Raw)
	write("key.pem", "PRIVATE KEY", key)
	write("text", "", []byte(text))
	write("ts.cnf", "", []byte("[tsa]\ndefault_tsa=x\n[x]\nserial="+path("serial")+"\ncrypto_device=builtin\nsigner_cert="+path("cert.pem")+"\ncerts="+path("root.pem")+
		"\nsigner_key="+path("key.pem")+"\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\nordering=no\ntsa_name=no\ness_cert_id_chain=no\n"))
	write("serial", "", []byte("01\n"))
	token, err := attest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		write("query", "", body)
		run("ts", "-reply", "-config", path("ts.cnf"), "-queryfile", path("query"), "-out", path("reply"))
		reply, err := os.ReadFile(path("reply"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", replyType)
		w.Write(reply)
	}), text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Check(token, []byte(text), a.roots()); err != nil {
		t.Error(err)
	}
	write("token", "", token)
	run("ts", "-verify", "-data", path("text"), "-in", path("token"), "-token_in", "-CAfile", path("root.pem"))
	if token, err = attest(t, a, text); err != nil {
		t.Fatal(err)
	}
	write("token", "", token)
	run("ts", "-verify", "-data", path("text"), "-in", path("token"), "-token_in", "-CAfile", path("root.pem"))
}

func FuzzCheck(f *testing.F) {
	a := newTSA(f, x509.ExtKeyUsageTimeStamping)
	s := &timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: make([]byte, 32), Time: time.Now(), Policy: policy, AddTSACertificate: true}
	reply, err := s.CreateResponseWithOpts(a.cert, a.key, crypto.SHA256)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	if stamp, err := timestamp.ParseResponse(reply); err == nil {
		f.Add(stamp.RawToken)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Check(data, []byte(text), a.roots()); err == nil {
			t.Error("a token about something else")
		}
		_, _ = guarded(func() (*timestamp.Timestamp, error) { return timestamp.ParseResponse(data) })
	})
}
