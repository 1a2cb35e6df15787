package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/internal/atomicfile"
)

const (
	retries     = 5
	firstPause  = time.Second
	stall       = 30 * time.Second // a connection without data for this long is closed
	maxDocument = 32 << 20         // description of a model
	maxSize     = 1 << 40          // of a file
)

// unreachableError reports that the hub did not answer, or not as a working hub does.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return "hub: " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// statusError returns the error for an answer that will not change on retry.
func statusError(r Ref, what string, status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("hub: %v: %s: %s: the model is gated or private. Accept its terms on its page, make a token there and set HF_TOKEN; "+
			"or download config.json and the weights by hand, and give the folder that they are in", r, what, http.StatusText(status))
	case http.StatusNotFound:
		return fmt.Errorf("hub: %v: %s: no such model, revision or file, or it may be read with a token only (HF_TOKEN): %s", r, what, http.StatusText(status))
	}
	return fmt.Errorf("hub: %v: %s: the hub answers %d %s", r, what, status, http.StatusText(status))
}

// get sends a request without following redirects to other hosts. It retries after failures that may be
// temporary.
func (c *Client) get(ctx context.Context, method, url string, header http.Header, use func(*http.Response) error) error {
	pause := c.pause
	if pause == 0 {
		pause = firstPause
	}
	for try := 1; ; try++ {
		err := c.once(ctx, method, url, header, use)
		var passing *unreachableError
		if err == nil || !errors.As(err, &passing) || ctx.Err() != nil || try == retries || Unreachable(err) && !c.answered.Load() {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) once(ctx context.Context, method, url string, header http.Header, use func(*http.Response) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alarm := time.AfterFunc(stall, cancel)
	defer alarm.Stop()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "melo")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.client(method).Do(req)
	if err != nil {
		return &unreachableError{err}
	}
	defer resp.Body.Close()
	c.answered.Store(true)
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return &unreachableError{fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)}
	}
	resp.Body = &watched{resp.Body, alarm}
	return use(resp)
}

// transport is the default transport with a shorter dial timeout.
var transport = func() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	return t
}()

// client returns an HTTP client that follows redirects, but never sends the token to other hosts. For HEAD it
// does not follow redirects to other hosts, because the hub's own answer has the checksum.
func (c *Client) client(method string) *http.Client {
	client := http.Client{Transport: transport}
	if c.http != nil {
		client = *c.http
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		away := req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme
		switch {
		case len(via) > 5:
			return errors.New("too many redirects")
		case away && method == http.MethodHead:
			return http.ErrUseLastResponse
		case away:
			req.Header.Del("Authorization")
		}
		return nil
	}
	return &client
}

// watched resets a timer whenever data arrives.
type watched struct {
	io.ReadCloser
	alarm *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.alarm.Reset(stall)
	}
	return n, err
}

// describe asks which commit a revision is, and which files it has. With patiently it retries; without, the
// caller has a cached copy.
func (c *Client) describe(ctx context.Context, r Ref, patiently bool) (*model, error) {
	address := c.Endpoint + "/api/models/" + r.Owner + "/" + r.Name + "/revision/" + url.PathEscape(r.Revision)
	var m model
	ask := c.once
	if patiently {
		ask = c.get
	}
	err := ask(ctx, http.MethodGet, address, nil, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return statusError(r, "its description", resp.StatusCode)
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(&m); err != nil {
			return &unreachableError{fmt.Errorf("%v: what %s answers is no description of a model: %w", r, c.Endpoint, err)}
		}
		return nil
	})
	if err == nil && !commitPattern.MatchString(m.Commit) {
		err = fmt.Errorf("hub: %v: commit %.60q, expected 40 hexadecimal digits", r, m.Commit)
	}
	return &m, err
}

// blob is the content of a file: its checksum, which is its name in the cache, and its size.
type blob struct {
	sum  string // SHA-256 of a large file; for others git's SHA-1
	size int64
}

// file ensures that a file of a snapshot is in the cache.
func (c *Client) file(ctx context.Context, r Ref, commit, name string) error {
	path := filepath.Join(c.folder(r), "snapshots", commit, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	address := c.Endpoint + "/" + r.Owner + "/" + r.Name + "/resolve/" + commit + "/" + url.PathEscape(name)
	b, err := c.look(ctx, r, name, address)
	if err != nil {
		return err
	}
	target := filepath.Join(c.folder(r), "blobs", b.sum)
	if info, err := os.Stat(target); err != nil || info.Size() != b.size {
		if err := c.download(ctx, r, name, address, b, target); err != nil {
			return err
		}
	}
	if err := link(target, path); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return nil
}

// look requests a file's checksum and size.
func (c *Client) look(ctx context.Context, r Ref, name, address string) (b blob, err error) {
	err = c.get(ctx, http.MethodHead, address, nil, func(resp *http.Response) error {
		if resp.StatusCode >= 400 {
			return statusError(r, name, resp.StatusCode)
		}
		h := resp.Header
		b.sum, b.size = tag(h.Get("X-Linked-Etag")), resp.ContentLength
		if b.sum == "" {
			b.sum = tag(h.Get("Etag"))
		}
		if s := h.Get("X-Linked-Size"); s != "" {
			b.size, _ = strconv.ParseInt(s, 10, 64)
		}
		if b.sum == "" || b.size < 1 || b.size > maxSize {
			return fmt.Errorf("hub: %v: %s: no checksum and size in the answer, so that it could not be checked", r, name)
		}
		return nil
	})
	return b, err
}

// tag returns the checksum in an entity tag, or "".
func tag(etag string) string {
	etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if !checksumPattern.MatchString(etag) {
		return ""
	}
	return etag
}

// download loads a blob into the cache. It resumes an earlier attempt.
func (c *Client) download(ctx context.Context, r Ref, name, address string, b blob, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	partial := target + ".incomplete"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	defer f.Close()
	if err := lock(f); err != nil {
		return fmt.Errorf("hub: %v: %s: is being downloaded by another process: %w", r, name, err)
	}
	if info, err := os.Stat(target); err == nil && info.Size() == b.size {
		return nil // another process has finished it
	}
	sum, err := c.receive(ctx, r, name, address, b, f)
	if err != nil {
		return err
	}
	if sum != b.sum {
		return errors.Join(fmt.Errorf("hub: %v: %s: checksum %s, expected %s: it was deleted, try again", r, name, sum, b.sum), os.Remove(partial))
	}
	return atomicfile.Finish(f, partial, target)
}

// receive downloads the rest of the file and returns the checksum of all of it.
func (c *Client) receive(ctx context.Context, r Ref, name, address string, b blob, f *os.File) (string, error) {
	h := b.hash()
	done, err := io.Copy(h, f)
	if err == nil && done > b.size {
		h, done, err = b.hash(), 0, errors.Join(f.Truncate(0), rewind(f))
	}
	if err != nil {
		return "", fmt.Errorf("hub: %w", err)
	}
	for done < b.size {
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-", done)}}
		err := c.get(ctx, http.MethodGet, address, header, func(resp *http.Response) error {
			switch {
			case resp.StatusCode == http.StatusOK && done > 0: // the server sends the whole file
				h, done = b.hash(), 0
				if err := errors.Join(f.Truncate(0), rewind(f)); err != nil {
					return err
				}
			case resp.StatusCode == http.StatusOK:
			case resp.StatusCode != http.StatusPartialContent:
				return statusError(r, name, resp.StatusCode)
			case !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", done)):
				return fmt.Errorf("hub: %v: %s: another range than that asked for: %q", r, name, resp.Header.Get("Content-Range"))
			}
			n, err := io.Copy(io.MultiWriter(f, h, c.meter(name, &done, b.size)), io.LimitReader(resp.Body, b.size-done))
			var file *os.PathError
			switch {
			case errors.As(err, &file): // for example, the disk is full
				return fmt.Errorf("hub: %v: %s: %w", r, name, err)
			case err != nil:
				header.Set("Range", fmt.Sprintf("bytes=%d-", done))
				return &unreachableError{err}
			case done < b.size && n == 0:
				return fmt.Errorf("hub: %v: %s: ends after %d bytes of %d", r, name, done, b.size)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// hash returns the hash function of the blob's checksum. git's hash starts with the size.
func (b blob) hash() hash.Hash {
	if len(b.sum) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", b.size)
	return h
}

// meter returns a writer that reports progress.
func (c *Client) meter(name string, done *int64, total int64) io.Writer {
	return writer(func(p []byte) (int, error) {
		*done += int64(len(p))
		if c.Progress != nil {
			c.Progress(name, *done, total)
		}
		return len(p), nil
	})
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
