// Package hub downloads models from a Hugging Face hub: only the files that make up a base, into the folder and
// layout of the huggingface_hub library, so that both share their downloads
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Downloads resume, and a file appears under
// its name only after its checksum has been verified.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"melo.example/melo/internal/regular"
)

// Prefix starts references to models on a hub.
const Prefix = "hf:"

// Ref identifies a model on a hub at a branch, tag or commit.
type Ref struct{ Owner, Name, Revision string }

var (
	refPattern      = regexp.MustCompile(`^hf:([A-Za-z0-9][A-Za-z0-9._-]{0,95})/([A-Za-z0-9][A-Za-z0-9._-]{0,95})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,127}))?$`)
	commitPattern   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	checksumPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// ParseRef reads "hf:owner/name" or "hf:owner/name@revision".
func ParseRef(s string) (Ref, error) {
	m := refPattern.FindStringSubmatch(s)
	if m == nil || strings.Contains(s, "..") {
		return Ref{}, fmt.Errorf("hub: %.200q: expected hf:owner/name or hf:owner/name@revision", s)
	}
	r := Ref{Owner: m[1], Name: m[2], Revision: m[3]}
	if r.Revision == "" {
		r.Revision = "main"
	}
	return r, nil
}

// String is the inverse of ParseRef.
func (r Ref) String() string {
	s := Prefix + r.Owner + "/" + r.Name
	if r.Revision != "main" {
		s += "@" + r.Revision
	}
	return s
}

// Client downloads models into a cache.
type Client struct {
	Endpoint string // "https://huggingface.co" or a mirror
	Cache    string // folder with one subfolder per model, as in huggingface_hub
	Token    string // access token for gated or private models; may be empty
	Offline  bool   // use only the cache
	// Progress, if not nil, is called during downloads with the bytes received and the total.
	Progress func(file string, done, total int64)
	// Note, if not nil, is called with remarks for the user, such as that the hub could not be reached.
	Note func(text string)

	http  *http.Client
	pause time.Duration // before the first retry; doubled for each later one

	answered atomic.Bool // the hub has answered once, so a lost connection is worth retrying
}

// Unreachable reports whether an error means that no connection to the hub could be made.
func Unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

// dialTimeout limits the time to establish a connection.
const dialTimeout = 8 * time.Second

// DefaultEndpoint is the hub of Hugging Face.
const DefaultEndpoint = "https://huggingface.co"

// folder returns the folder of a model in the cache.
func (c *Client) folder(r Ref) string {
	return filepath.Join(c.Cache, "models--"+r.Owner+"--"+r.Name)
}

// Cached returns the folder of a model in the cache, without contacting the hub. The error is fs.ErrNotExist if
// it is missing or incomplete.
func (c *Client) Cached(r Ref) (string, error) {
	commit := r.Revision
	if !commitPattern.MatchString(commit) {
		text, err := regular.ReadFile(filepath.Join(c.folder(r), "refs", filepath.FromSlash(r.Revision)), 1<<12)
		if err != nil {
			return "", fmt.Errorf("hub: %v is not in %s: %w", r, c.Cache, fs.ErrNotExist)
		}
		if commit = strings.TrimSpace(string(text)); !commitPattern.MatchString(commit) {
			return "", fmt.Errorf("hub: %v in %s: damaged reference: %w", r, c.Cache, fs.ErrNotExist)
		}
	}
	dir := filepath.Join(c.folder(r), "snapshots", commit)
	wanted, err := localFiles(dir)
	if err != nil {
		return "", fmt.Errorf("hub: %v is not in %s: %w", r, c.Cache, fs.ErrNotExist)
	}
	for _, name := range wanted {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("hub: %v in %s: %s is missing: %w", r, c.Cache, name, fs.ErrNotExist)
		}
	}
	return dir, nil
}

// Fetch returns a folder with the files of a base, downloading them if necessary. If the hub cannot be reached
// it uses the cache.
func (c *Client) Fetch(ctx context.Context, r Ref) (string, error) {
	if c.Offline {
		return c.Cached(r)
	}
	if commitPattern.MatchString(r.Revision) { // a commit never changes
		if dir, err := c.Cached(r); err == nil {
			return dir, nil
		}
	}
	_, missing := c.Cached(r)
	info, err := c.describe(ctx, r, missing != nil)
	var offline *unreachableError
	if errors.As(err, &offline) && ctx.Err() == nil {
		dir, cached := c.Cached(r)
		if cached != nil {
			return "", err
		}
		c.note(fmt.Sprintf("%v: taking what is in %s", offline, c.Cache))
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.folder(r), "snapshots", info.Commit)
	names, err := info.wanted(r)
	if err != nil {
		return "", err
	}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if err := c.file(ctx, r, info.Commit, name); err != nil {
			return "", err
		}
		if isIndex(name) {
			shards, err := shardsOf(filepath.Join(dir, name))
			if err != nil {
				return "", fmt.Errorf("hub: %v: %s: %w", r, name, err)
			}
			names = append(names, shards...)
		}
	}
	return dir, c.remember(r, info.Commit)
}

func (c *Client) note(text string) {
	if c.Note != nil {
		c.Note(text)
	}
}
