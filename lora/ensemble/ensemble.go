// Package ensemble reads and writes lists of adapters that answer as one: NAME.ensemble.json. An answer is the mean of the
// members' probabilities.
package ensemble

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// Ending is that of the files' names.
const Ending = ".ensemble.json"

// The name and version of the format.
const (
	FormatName    = "melo-ensemble"
	FormatVersion = 1
)

// MaxMembers bounds a list: each member costs a pass.
const MaxMembers = 64

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// List is an ensemble.
type List struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Members []Member `json:"members"`

	Path   string `json:"-"` // where it was read
	Digest string `json:"-"` // "sha256:" and 64 hexadecimal digits, of the file: it has those of the members in it
}

// Member is an adapter of an ensemble.
type Member struct {
	Path   string `json:"path"`   // with forward slashes, from the folder of the list
	Digest string `json:"digest"` // of the adapter
}

// Is tells by its name whether a path is that of an ensemble.
func Is(path string) bool { return strings.HasSuffix(path, Ending) }

// InFolder returns the lists in a folder, sorted.
func InFolder(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, d := range found {
		if Is(d.Name()) && !strings.HasPrefix(d.Name(), ".") {
			list = append(list, filepath.Join(dir, d.Name()))
		}
	}
	return list, nil
}

var digestForm = regexp.MustCompile("^sha256:[0-9a-f]{64}$")

// Read reads and checks a list. The members themselves are not looked at.
func Read(path string) (*List, error) {
	text, err := regular.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var l List
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("%s: expected a JSON object with the format %q: %w", path, FormatName, err)
	}
	if dec.More() {
		return nil, fmt.Errorf("%s: there is something after the JSON object", path)
	}
	if l.Format != FormatName || l.Version != FormatVersion {
		return nil, fmt.Errorf("%s: is of format %q, version %d, expected %q, version %d", path, l.Format, l.Version, FormatName, FormatVersion)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(text)
	l.Path, l.Digest = path, "sha256:"+hex.EncodeToString(sum[:])
	return &l, nil
}

func (l *List) check() error {
	if n := len(l.Members); n < 2 || n > MaxMembers {
		return fmt.Errorf("%d members, expected 2 to %d", n, MaxMembers)
	}
	seen := map[string]bool{}
	for i := range l.Members {
		m := &l.Members[i]
		switch {
		case m.Path == "" || strings.ContainsAny(m.Path, "\\\x00"):
			return fmt.Errorf("member %d: path %q, expected one with forward slashes", i+1, m.Path)
		case Is(m.Path):
			return fmt.Errorf("member %d: %s is an ensemble itself, expected an adapter", i+1, m.Path)
		case !digestForm.MatchString(m.Digest):
			return fmt.Errorf("member %d, %s: digest %.80q, expected sha256: and 64 hexadecimal digits", i+1, m.Path, m.Digest)
		case seen[m.Digest]:
			return fmt.Errorf("member %d, %s: is there twice", i+1, m.Path)
		}
		seen[m.Digest] = true
	}
	return nil
}

// File is where a member lies.
func (l *List) File(i int) string {
	p := filepath.FromSlash(l.Members[i].Path)
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(l.Path), p)
}

// Write replaces the file at path, whose name has the Ending, with a list of members. Their paths are as seen from the working
// folder; the list has them as seen from its own folder, or absolute where there is no such way.
func Write(path string, members []Member) error {
	if !Is(path) {
		return fmt.Errorf("%s: expected a name that ends with %s", path, Ending)
	}
	l := List{Format: FormatName, Version: FormatVersion}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, m := range members {
		p, err := filepath.Abs(m.Path)
		if err != nil {
			return err
		}
		if from, err := filepath.Rel(dir, p); err == nil {
			p = from
		}
		l.Members = append(l.Members, Member{filepath.ToSlash(p), m.Digest})
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(&l)
	})
}
