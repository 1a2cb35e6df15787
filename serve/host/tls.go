package host

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/serve/access"
)

// TLS names the certificate files of a server. They are read again when they change.
type TLS struct {
	Cert, Key string // PEM; the certificate with its chain
	// ClientCA holds the certificate authorities for clients, PEM. Empty: client certificates are not
	// requested.
	ClientCA string
	// RequireClient refuses clients without a certificate.
	RequireClient bool
}

// maxPEM limits a file of certificates in bytes.
const maxPEM = 1 << 20

// open returns a configuration for the protocols that follows the files. report is called when they were read
// again, with an error if that failed.
func (t TLS) open(report func(error), protocols ...string) (*tls.Config, *access.Watched[*tls.Config], error) {
	paths := []string{t.Cert, t.Key}
	if t.ClientCA != "" {
		paths = append(paths, t.ClientCA)
	} else if t.RequireClient {
		return nil, nil, errors.New("host: client certificates are required, but no authority is named")
	}
	files, err := access.Watch(maxPEM, func(pem [][]byte) (*tls.Config, error) { return t.parse(pem, protocols) }, report, paths...)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return files.Get(), nil
		},
	}, files, nil
}

func (t TLS) parse(pem [][]byte, protocols []string) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(pem[0], pem[1])
	if err != nil {
		return nil, fmt.Errorf("certificate and key %s: %w", t.Key, err)
	}
	if now := time.Now(); now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		return nil, fmt.Errorf("certificate: it is valid from %s to %s, now is %s", cert.Leaf.NotBefore.UTC().Format(time.RFC3339),
			cert.Leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{cert}}
	if t.ClientCA == "" {
		return c, nil
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem[2]) {
		return nil, fmt.Errorf("%s: no certificates in it", t.ClientCA)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if t.RequireClient {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.SessionTicketsDisabled = true // clients are verified again after a change of the authority
	return c, nil
}
