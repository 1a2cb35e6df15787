// Package witness requests time stamps (RFC 3161) that attest that a text existed at some time, and verifies
// them. The authority receives only a hash.
package witness

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// Authority is a time stamp authority at an address.
type Authority struct {
	url    string
	client *http.Client
}

// Limits of an exchange.
const (
	// MaxToken limits a token in bytes.
	MaxToken = 32 << 10
	patience = 15 * time.Second
)

// New returns the authority at an HTTP or HTTPS URL.
func New(address string) (*Authority, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("witness: address %.200q, expected that of a time stamp authority, with http or https in front", address)
	}
	return &Authority{address, &http.Client{Timeout: patience}}, nil
}

// Media types of RFC 3161, section 3.4.
const (
	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
)

// Attest returns a time stamp token for the text: DER of a signed statement with the SHA-256 of the text and
// the time. It checks that the token belongs to the text and to this request; Check decides whether the
// authority is trusted.
func (a *Authority) Attest(ctx context.Context, text []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	query, err := timestamp.CreateRequest(bytes.NewReader(text), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true, Nonce: nonce})
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	reply, err := a.post(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("witness: %s: %w", a.url, err)
	}
	stamp, err := guarded(func() (*timestamp.Timestamp, error) { return timestamp.ParseResponse(reply) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("witness: %s: %w", a.url, err)
	case stamp.Nonce == nil || stamp.Nonce.Cmp(nonce) != 0:
		return nil, fmt.Errorf("witness: %s: the answer is to another request", a.url)
	}
	if _, err := Check(stamp.RawToken, text, nil); err != nil {
		return nil, fmt.Errorf("%w (from %s)", err, a.url)
	}
	return stamp.RawToken, nil
}

// post sends a request and returns the response.
func (a *Authority) post(ctx context.Context, query []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", queryType)
	r.Header.Set("Accept", replyType)
	response, err := a.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if response.StatusCode != http.StatusOK || media != replyType {
		return nil, fmt.Errorf("status %d and %.60q, expected 200 and %s", response.StatusCode, media, replyType)
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, MaxToken+1))
	if err == nil && len(reply) > MaxToken {
		err = fmt.Errorf("an answer of more than %d bytes", MaxToken)
	}
	return reply, err
}

// Stamp is the content of a token.
type Stamp struct {
	Time      time.Time
	Authority string // subject of its certificate
}

// Check verifies a token for a text. With roots, the authority's certificate must be issued by one of them, be
// for time stamping, and have been valid at the time in the token. Without roots, the token is checked against
// its own certificate, which only proves that it is intact.
func Check(token, text []byte, roots *x509.CertPool) (Stamp, error) {
	fail := func(err error) (Stamp, error) { return Stamp{}, fmt.Errorf("witness: the time stamp: %w", err) }
	if len(token) > MaxToken {
		return fail(fmt.Errorf("%d bytes, expected at most %d", len(token), MaxToken))
	}
	stamp, err := guarded(func() (*timestamp.Timestamp, error) { return timestamp.Parse(token) })
	if err != nil {
		return fail(err)
	}
	p7, err := guarded(func() (*pkcs7.PKCS7, error) { return pkcs7.Parse(token) })
	if err != nil {
		return fail(err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return fail(errors.New("it has not the one signature with its certificate that is expected"))
	}
	opts := x509.VerifyOptions{Roots: roots, CurrentTime: stamp.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}
	_, err = guarded(func() (struct{}, error) {
		if roots == nil {
			return struct{}{}, p7.Verify()
		}
		opts.Intermediates = x509.NewCertPool()
		for _, c := range p7.Certificates {
			opts.Intermediates.AddCert(c)
		}
		return struct{}{}, p7.VerifyWithOpts(opts)
	})
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256(text)
	if stamp.HashAlgorithm != crypto.SHA256 || !bytes.Equal(stamp.HashedMessage, sum[:]) {
		return fail(errors.New("it is about something else"))
	}
	return Stamp{Time: stamp.Time.UTC(), Authority: signer.Subject.String()}, nil
}

// guarded turns a panic in the parser of the token into an error.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			err = fmt.Errorf("it cannot be read (%v)", bug)
		}
	}()
	return f()
}

// Roots parses PEM certificates of authorities.
func Roots(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("witness: no certificate in PEM")
	}
	return pool, nil
}
