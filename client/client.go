// Package client asks a server of adapters: which there are, and what they say about an image. A server that is busy is
// asked again when it says so.
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

// Client asks a server. It is safe for concurrent use.
type Client struct {
	base  string // URL without a slash at the end
	token string
	http  *http.Client
}

// MaxAnswer bounds an answer, in bytes.
const MaxAnswer = 16 << 20

// Bounds of times. A server that is busy says when to come back; that is done so often.
const (
	clientTime  = 2 * time.Minute
	clientTries = 8
	longestWait = 30 * time.Second
)

// Options say which server is asked, and how the client shows who it is.
type Options struct {
	Server string       // URL, such as http://127.0.0.1:8080
	Token  string       // of the client; empty: it shows none
	TLS    *tls.Config  // authorities, and a certificate to show; nil: the system's
	HTTP   *http.Client // that is used instead of one with TLS; nil: one of its own
}

// New checks the options and returns a client. It asks nothing yet.
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

// StatusError is an answer that is no success.
type StatusError struct {
	Status  int           // of HTTP
	Message string        // what the server says
	Wait    time.Duration // when to come back; 0: it is no use
}

// Error is what the server says.
func (e *StatusError) Error() string { return e.Message }

// do sends a request and decodes the answer, again and again while the server is busy.
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

// failure is what the server says is wrong.
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

// Adapter asks for the version that a name, or name@version, stands for.
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

// Question is what is asked about images.
type Question struct {
	Adapter string // its name, or name@version
	// Coverage is that of the set of labels that cannot be excluded, more than 0 and less than 1; 0: as the server has it.
	Coverage float64
}

// fields are those of a form.
func (q Question) fields() map[string]string {
	f := map[string]string{"adapter": q.Adapter}
	if q.Coverage != 0 {
		f["coverage"] = strconv.FormatFloat(q.Coverage, 'g', -1, 64)
	}
	return f
}

// Predict asks an adapter about the bytes of one image. The name of its file stays here.
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

// Explaining says what is to be explained of an answer; what is empty is the server's default.
type Explaining struct{ Method, Label, Against string }

// Explain asks an adapter about the bytes of one image, and where the answer comes from. The name of the file stays here.
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

// form sends an image with some fields; those that are empty are left out.
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
