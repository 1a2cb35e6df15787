package host

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"melo.example/melo/serve/access"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
	life time.Duration // of certificates; 0: an hour
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.file = filepath.Join(a.dir, "ca.pem")
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// sign writes the certificate and the key of name.
func (a *authority) sign(name string, serial int64) (cert, key string) {
	a.t.Helper()
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(cmp.Or(a.life, time.Hour)),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", keyDER)
}

// newTLSSite has the files of a server named server.
func newTLSSite(t *testing.T, a *authority, change func(*Config)) *site {
	t.Helper()
	cert, key := a.sign("server", 10)
	s := newSite(t, func(c *Config) {
		c.HTTPS = &TLS{Cert: cert, Key: key}
		change(c)
	})
	s.scheme = "https"
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool}, DisableKeepAlives: true}
	return s
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	a := newAuthority(t)
	s := newTLSSite(t, a, func(*Config) {})
	serial := func() int64 {
		response, _ := s.do(access.Viewer, "GET", "/v1/adapters", nil)
		if response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") == "" {
			t.Fatalf("status %d, %v", response.StatusCode, response.Header)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 10 {
		t.Fatalf("serial number %d", got)
	}
	a.sign("server", 11)
	eventually(t, func() bool { return serial() == 11 })
	a.write("server.pem", "CERTIFICATE", []byte("damaged"))
	eventually(t, func() bool { serial(); return strings.Contains(s.log.String(), "were not read again") })
	if got := serial(); got != 11 {
		t.Errorf("after a damaged file serial number %d", got)
	}
	creds := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: a.pool}))
	if got := s.call(s.dial(creds), "/inference.GRPCInferenceService/ServerMetadata", s.tokens[access.Viewer]); got != codes.OK {
		t.Errorf("gRPC with TLS: %v", got)
	}
	// Old protocols, and none, are refused.
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool, MaxVersion: tls.VersionTLS11}}}
	if _, err := old.Get("https://" + s.Address("http") + "/livez"); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if response, err := old.Get("http://" + s.Address("http") + "/v1/adapters"); err == nil {
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: status %d", response.StatusCode)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	clientCert, clientKey := a.sign("pacs", 20)
	strangerCert, strangerKey := stranger.sign("pacs", 21)
	pair := func(cert, key string) []tls.Certificate {
		p, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{p}
	}
	s := newTLSSite(t, a, func(c *Config) {
		c.HTTPS.ClientCA, c.HTTPS.RequireClient = a.file, true
		c.Guard.Certificate = access.Viewer
	})
	get := func(certs []tls.Certificate) (int, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool, Certificates: certs}, DisableKeepAlives: true}, Timeout: 10 * time.Second}
		response, err := c.Get("https://" + s.Address("http") + "/v1/adapters")
		if err != nil {
			return 0, err
		}
		response.Body.Close()
		return response.StatusCode, nil
	}
	if code, err := get(pair(clientCert, clientKey)); code != http.StatusOK {
		t.Errorf("with a certificate: %d, %v", code, err)
	}
	if code, err := get(nil); err == nil {
		t.Errorf("without one: %d", code)
	}
	if code, err := get(pair(strangerCert, strangerKey)); err == nil {
		t.Errorf("with a stranger's: %d", code)
	}
	creds := func(certs []tls.Certificate) grpc.DialOption {
		return grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: a.pool, Certificates: certs}))
	}
	if got := s.call(s.dial(creds(pair(clientCert, clientKey))), "/inference.GRPCInferenceService/RepositoryIndex", ""); got != codes.OK {
		t.Errorf("gRPC with a certificate: %v", got)
	}
	if got := s.call(s.dial(creds(pair(clientCert, clientKey))), "/inference.GRPCInferenceService/RepositoryModelUnload", ""); got != codes.PermissionDenied {
		t.Errorf("gRPC, more than a viewer: %v", got)
	}
	if got := s.call(s.dial(creds(nil)), "/inference.GRPCInferenceService/RepositoryIndex", ""); got != codes.Unavailable {
		t.Errorf("gRPC without one: %v", got)
	}
	// Another authority takes over.
	text, err := os.ReadFile(stranger.file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	a.write("ca.pem", "CERTIFICATE", block.Bytes)
	eventually(t, func() bool {
		code, _ := get(pair(strangerCert, strangerKey))
		return code == http.StatusOK
	})
	if code, err := get(pair(clientCert, clientKey)); err == nil {
		t.Errorf("with a certificate of the old authority: %d", code)
	}
}
