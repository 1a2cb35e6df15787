// Package hub brings models of a Hugging Face hub onto this machine: only the files that make a base, into the
// folder and in the layout that the huggingface_hub library uses, so that both find what the other has downloaded
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Downloads resume, and every byte is compared
// with the checksum that the hub gives before a file appears under its name.
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

// Prefix is what the references to models on a hub begin with.
const Prefix = "hf:"

// Ref names a model on a hub, at a branch, tag or commit.
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

// Client downloads into a cache.
type Client struct {
	Endpoint string // "https://huggingface.co" or a mirror
	Cache    string // the folder with one folder a model, as huggingface_hub has it
	Token    string // of an account that may read a gated or private model; may be empty
	Offline  bool   // only what the cache has
	// Progress, if not nil, is called while a file comes: bytes that are there, of all.
	Progress func(file string, done, total int64)
	// Note, if not nil, is told what a person should know, such as that the hub could not be asked.
	Note func(text string)

	http  *http.Client
	pause time.Duration // before the first retry; doubled for each further one

	answered atomic.Bool // the hub has answered once: then a lost connection may come back
}

// Unreachable tells whether an error is that no connection to the hub could be made.
func Unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

// dialTimeout bounds making a connection.
const dialTimeout = 8 * time.Second

// DefaultEndpoint is the hub of Hugging Face.
const DefaultEndpoint = "https://huggingface.co"

// folder is where the cache has a model.
func (c *Client) folder(r Ref) string {
	return filepath.Join(c.Cache, "models--"+r.Owner+"--"+r.Name)
}

// Cached returns the folder of a model in the cache, without asking the hub. The error is fs.ErrNotExist if it is not
// there, or not whole.
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

// Fetch returns a folder with the files of a base, which it downloads unless they are there. If the hub cannot be
// asked, what is in the cache is taken.
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
