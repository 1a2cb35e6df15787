// Package client is a client for "melo serve". It lists adapters, and requests predictions and maps. It retries
// requests that a busy server rejects, after the time that the server asks for.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/serve/wire"
)

// Client sends requests to a server. It is safe for concurrent use.
type Client struct {
	base  string // URL without a slash at the end
	token string
	http  *http.Client
}

// MaxAnswer is the maximum size of an answer in bytes.
const MaxAnswer = 16 << 20

// Timeouts, and the maximum number of attempts while the server is busy.
const (
	clientTime  = 2 * time.Minute
	clientTries = 8
	longestWait = 30 * time.Second
)

// Options select the server and the client's credentials.
type Options struct {
	Server string       // URL, such as http://127.0.0.1:8080
	Token  string       // access token; empty: none
	TLS    *tls.Config  // certificate authorities and the client certificate; nil: the system's authorities
	HTTP   *http.Client // replaces the client's own HTTP client and TLS; may be nil
}

// New checks the options and returns a client. It does not connect yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("client: %.100q, expected an address such as http://127.0.0.1:8080", o.Server)
	}
	if strings.ContainsAny(o.Token, "\r\n \t") {
		return nil, errors.New("client: the token has spaces or line breaks in it")
	}
	c := &Client{base: strings.TrimRight(u.String(), "/"), token: o.Token, http: o.HTTP}
	if c.http != nil {
		return c, nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = o.TLS
	c.http = &http.Client{Transport: t, Timeout: clientTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the server redirects elsewhere: give its own address")
	}}
	return c, nil
}

// StatusError is an answer with an error status.
type StatusError struct {
	Status  int           // HTTP status code
	Message string        // from the server
	Wait    time.Duration // time after which to retry; 0: retrying is useless
}

// Error returns the server's message.
func (e *StatusError) Error() string { return e.Message }

// do sends a request and decodes the answer. It retries while the server is busy.
func (c *Client) do(ctx context.Context, method, path, media string, body []byte, answer any) error {
	for try := 1; ; try++ {
		err := c.once(ctx, method, path, media, body, answer)
		var status *StatusError
		if !errors.As(err, &status) || status.Wait == 0 || try == clientTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(status.Wait, longestWait)):
		}
	}
}

func (c *Client) once(ctx context.Context, method, path, media string, body []byte, answer any) error {
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
	text, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: the answer broke off: %w", c.base, err)
	case len(text) > MaxAnswer:
		return fmt.Errorf("%s: an answer of more than %d bytes", c.base, MaxAnswer)
	case response.StatusCode != http.StatusOK:
		return c.failure(response, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: the answer is not that of a melo server: %w", c.base, err)
	}
	return nil
}

// failure returns the error in an answer.
func (c *Client) failure(r *http.Response, text []byte) error {
	var doc struct {
		Error string `json:"error"`
	}
	e := &StatusError{Status: r.StatusCode}
	if json.Unmarshal(text, &doc) != nil || doc.Error == "" {
		doc.Error = "the answer is not that of a melo server"
	}
	e.Message = fmt.Sprintf("%s: status %d: %s", c.base, r.StatusCode, doc.Error)
	if r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable {
		e.Wait = time.Second
		if n, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && n >= 0 {
			e.Wait = max(time.Duration(n)*time.Second, 100*time.Millisecond)
		}
	}
	return e
}

// Adapter returns the description of the adapter that a name, or name@version, refers to.
func (c *Client) Adapter(ctx context.Context, name string) (*wire.AdapterList, error) {
	name, version, _ := strings.Cut(name, "@")
	var list wire.AdapterList
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
	for _, a := range list.Adapters {
		if version == "" && a.Reason != "" {
			return nil, fmt.Errorf("%s: adapter %s is refused: %s", c.base, name, a.Reason)
		}
	}
	if version == "" {
		return nil, fmt.Errorf("%s: adapter %s has no current version", c.base, name)
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

// Question selects the adapter for a prediction.
type Question struct {
	Adapter string // its name, or name@version
	// Coverage, between 0 and 1, requests prediction sets with this coverage; 0 means the server's default.
	Coverage float64
}

// fields returns the fields of the form.
func (q Question) fields() map[string]string {
	f := map[string]string{"adapter": q.Adapter}
	if q.Coverage != 0 {
		f["coverage"] = strconv.FormatFloat(q.Coverage, 'g', -1, 64)
	}
	return f
}

// Predict requests the prediction of an adapter for the bytes of one image. The file's name is not sent.
func (c *Client) Predict(ctx context.Context, q Question, image []byte) (*wire.Result, error) {
	var answer wire.Prediction
	if err := c.form(ctx, "/v1/predict", image, q.fields(), &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != 1 {
		return nil, fmt.Errorf("%s: %d answers to one question", c.base, len(answer.Results))
	}
	return &answer.Results[0], nil
}

// Explaining selects what to explain; empty fields mean the server's default.
type Explaining struct{ Method, Label, Against string }

// Explain requests the prediction for the bytes of one image, with a map. The file's name is not sent.
func (c *Client) Explain(ctx context.Context, q Question, image []byte, how Explaining) (*wire.Explanation, error) {
	var answer wire.Explanation
	fields := q.fields()
	fields["method"], fields["label"], fields["against"] = how.Method, how.Label, how.Against
	if err := c.form(ctx, "/v1/explain", image, fields, &answer); err != nil {
		return nil, err
	}
	if n := answer.Grid; n < 1 || n > len(answer.Map) || len(answer.Map) != n*n {
		return nil, fmt.Errorf("%s: a map of %d numbers for a grid of %d", c.base, len(answer.Map), n)
	}
	return &answer, nil
}

// form sends a form with an image and further fields, leaving out empty ones.
func (c *Client) form(ctx context.Context, path string, image []byte, fields map[string]string, answer any) error {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for name, value := range fields {
		if value == "" {
			continue
		}
		if err := w.WriteField(name, value); err != nil {
			return err
		}
	}
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="image"; filename="image"`}, "Content-Type": {"application/octet-stream"}})
	if err != nil {
		return err
	}
	if _, err := part.Write(image); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, w.FormDataContentType(), form.Bytes(), answer)
}
