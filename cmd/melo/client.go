package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/serve/httpapi"
)

// tokenVariable is the environment variable that has a client's token.
const tokenVariable = envPrefix + "TOKEN"

// serverOptions say which server a client asks, and how it shows who it is.
type serverOptions struct {
	Server     string `placeholder:"URL" group:"Server:" help:"Ask a \"melo serve\" at this address, such as http://127.0.0.1:8080, instead of opening the base here."`
	TokenFile  string `placeholder:"FILE" group:"Server:" help:"File with the token for it (default: the environment's MELO_TOKEN)."`
	ServerCA   string `name:"server-ca" placeholder:"FILE" group:"Server:" help:"Authority of its certificate, PEM (default: the system's)."`
	ClientCert string `placeholder:"FILE" group:"Server:" help:"Certificate to show it, PEM."`
	ClientKey  string `placeholder:"FILE" group:"Server:" help:"Its key, PEM."`
}

// client asks a server.
type client struct {
	base  string // URL without a slash at the end
	token string
	http  *http.Client
}

// Bounds of answers and times. A server that is busy says when to come back; that is done so often.
const (
	maxAnswer   = 16 << 20
	maxTokenLen = 16 << 10
	clientTime  = 2 * time.Minute
	clientTries = 8
	longestWait = 30 * time.Second
)

// open checks the options and returns a client. It asks nothing yet.
func (o *serverOptions) open() (*client, error) {
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return nil, usage(fmt.Errorf("--server %.100q, expected an address such as http://127.0.0.1:8080", o.Server))
	}
	c := &client{base: strings.TrimRight(u.String(), "/"), token: os.Getenv(tokenVariable)}
	if o.TokenFile != "" {
		text, err := readSmall(o.TokenFile, maxTokenLen)
		if err != nil {
			return nil, badInput(fmt.Errorf("--token-file: %w", err))
		}
		c.token = strings.TrimSpace(string(text))
	}
	if strings.ContainsAny(c.token, "\r\n \t") {
		return nil, usage(errors.New("the token has spaces or line breaks in it"))
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	if t.TLSClientConfig, err = o.tls(); err != nil {
		return nil, badInput(err)
	}
	c.http = &http.Client{Transport: t, Timeout: clientTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the server redirects elsewhere: give its own address")
	}}
	return c, nil
}

func (o *serverOptions) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ServerCA != "" {
		pem, err := readSmall(o.ServerCA, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("--server-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--server-ca: %s: no certificates in it", o.ServerCA)
		}
	}
	if (o.ClientCert == "") != (o.ClientKey == "") {
		return nil, errors.New("--client-cert and --client-key belong together")
	}
	if o.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(o.ClientCert, o.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert %s: %w", o.ClientCert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return text, err
}

// statusError is an answer that is no success.
type statusError struct {
	status  int
	message string
	wait    time.Duration // when to come back; 0: it is no use
}

func (e *statusError) Error() string { return e.message }

// do sends a request and decodes the answer, again and again while the server is busy.
func (c *client) do(ctx context.Context, method, path, media string, body []byte, answer any) error {
	for try := 1; ; try++ {
		err := c.once(ctx, method, path, media, body, answer)
		var status *statusError
		if !errors.As(err, &status) || status.wait == 0 || try == clientTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(status.wait, longestWait)):
		}
	}
}

func (c *client) once(ctx context.Context, method, path, media string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: the answer broke off: %w", c.base, err)
	case len(text) > maxAnswer:
		return fmt.Errorf("%s: an answer of more than %d bytes", c.base, maxAnswer)
	case response.StatusCode != http.StatusOK:
		return c.failure(response, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: the answer is not that of a melo server: %w", c.base, err)
	}
	return nil
}

// failure is what the server says is wrong.
func (c *client) failure(r *http.Response, text []byte) error {
	var doc struct {
		Error string `json:"error"`
	}
	e := &statusError{status: r.StatusCode}
	if json.Unmarshal(text, &doc) != nil || doc.Error == "" {
		doc.Error = "the answer is not that of a melo server"
	}
	e.message = fmt.Sprintf("%s: status %d: %s", c.base, r.StatusCode, doc.Error)
	if r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable {
		e.wait = time.Second
		if n, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && n >= 0 {
			e.wait = max(time.Duration(n)*time.Second, 100*time.Millisecond)
		}
	}
	return e
}

// adapter asks for the version that a name, or name@version, stands for.
func (c *client) adapter(ctx context.Context, name string) (*httpapi.AdapterList, error) {
	name, version, _ := strings.Cut(name, "@")
	var list httpapi.AdapterList
	if err := c.do(ctx, http.MethodGet, "/v1/adapters/"+url.PathEscape(name), "", nil, &list); err != nil {
		return nil, err
	}
	for _, a := range list.Adapters {
		if version == "" && a.Current || version != "" && matchesVersion(version, a.Digest, a.Aliases) {
			list.Adapters = list.Adapters[:1]
			list.Adapters[0] = a
			return &list, nil
		}
	}
	return nil, fmt.Errorf("%s: adapter %s has no version %q", c.base, name, version)
}

func matchesVersion(version, digest string, aliases []string) bool {
	for _, a := range aliases {
		if a == version {
			return true
		}
	}
	digits := strings.TrimPrefix(version, "sha256:")
	return len(digits) >= 6 && strings.HasPrefix(strings.TrimPrefix(digest, "sha256:"), digits)
}

// predict asks an adapter, by name and digest, about the bytes of one image. The name of its file stays here.
func (c *client) predict(ctx context.Context, adapter string, image []byte) (*httpapi.Result, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if err := w.WriteField("adapter", adapter); err != nil {
		return nil, err
	}
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="image"; filename="image"`}, "Content-Type": {"application/octet-stream"}})
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(image); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	var answer httpapi.Prediction
	if err := c.do(ctx, http.MethodPost, "/v1/predict", w.FormDataContentType(), form.Bytes(), &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != 1 {
		return nil, fmt.Errorf("%s: %d answers to one question", c.base, len(answer.Results))
	}
	return &answer.Results[0], nil
}
