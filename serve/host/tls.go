package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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
	files, err := access.Watch(maxPEM, func(contents [][]byte) (*tls.Config, error) { return t.parse(contents, protocols) }, report, paths...)
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

func (t TLS) parse(files [][]byte, protocols []string) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("certificate and key %s: %w", t.Key, err)
	}
	if _, err := validity(&cert, time.Now()); err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{cert}}
	if t.ClientCA == "" {
		return c, nil
	}
	if c.ClientCAs, err = authorities(files[2], time.Now()); err != nil {
		return nil, fmt.Errorf("%s: %w", t.ClientCA, err)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if t.RequireClient {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.SessionTicketsDisabled = true // clients are verified again after a change of the authority
	return c, nil
}

// validity returns when the first certificate of a chain expires, and an error if one of them is not valid now.
func validity(chain *tls.Certificate, now time.Time) (until time.Time, err error) {
	for i, der := range chain.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return until, fmt.Errorf("certificate %d of the chain: %w", i+1, err)
		}
		if i == 0 || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
		state := ""
		switch {
		case now.After(c.NotAfter):
			state = "has expired"
		case now.Before(c.NotBefore):
			state = "is not valid yet"
		default:
			continue
		}
		return until, fmt.Errorf("the certificate of %.100q %s: it is valid from %s to %s, now is %s", c.Subject.CommonName, state,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return until, nil
}

// authorities reads certificates of authorities. Every one must be readable, and one valid at least: none would let no client in.
func authorities(text []byte, now time.Time) (*x509.CertPool, error) {
	pool, found, valid := x509.NewCertPool(), 0, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it: %w", found, err)
		}
		if !now.After(c.NotAfter) && !now.Before(c.NotBefore) {
			valid++
		}
		pool.AddCert(c)
	}
	switch {
	case found == 0:
		return nil, errors.New("no certificates in it")
	case valid == 0:
		return nil, fmt.Errorf("none of its %d certificates is valid now", found)
	}
	return pool, nil
}

// Times of the warnings about certificates that expire.
const (
	expiresSoon  = 14 * 24 * time.Hour // as the alert in deploy/prometheus has it
	warnAgain    = 24 * time.Hour
	complainWait = time.Hour
	lookAtExpiry = 5 * time.Second
)

// watchExpiry tells the log that the certificate expires soon, each day, or has expired, each hour, until ctx ends. An expired
// one is served all the same: every client that looks refuses it, and there is no better one to turn to.
func (h *Host) watchExpiry(ctx context.Context) {
	var told time.Time
	expired := false
	for {
		now := time.Now()
		until := h.expires()
		left := until.Sub(now)
		switch {
		case left <= 0 && (!expired || now.Sub(told) >= complainWait):
			told = now
			h.config.Log.Error("the certificate has expired: clients refuse it", "since", until.UTC().Format(time.RFC3339))
		case left > 0 && left < expiresSoon && now.Sub(told) >= warnAgain:
			told = now
			h.config.Log.Warn("the certificate expires soon", "at", until.UTC().Format(time.RFC3339))
		}
		expired = left <= 0
		wait := lookAtExpiry
		if left > 0 {
			wait = min(wait, left+10*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
