package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// The format of the file with operators' decisions.
const (
	stateFormat  = "melo-serve-state"
	stateVersion = 1
	maxState     = 16 << 20 // bytes
)

// state holds operators' decisions about adapters. It is stored in a file if one is configured.
type state struct {
	Format   string               `json:"format"`
	Version  int                  `json:"version"`
	Adapters map[string]*decision `json:"adapters"`
}

// decision is the decision about one name.
type decision struct {
	Unloaded bool `json:"unloaded,omitempty"`
	Pinned   bool `json:"pinned,omitempty"`
	// aliases to digests; CurrentAlias overrides the file of the bare name
	Aliases map[string]string `json:"aliases,omitempty"`
	Canary  string            `json:"canary,omitempty"` // digest
	Weight  float64           `json:"weight,omitempty"`
}

func (d *decision) empty() bool {
	return !d.Unloaded && !d.Pinned && len(d.Aliases) == 0 && d.Canary == ""
}

// clone returns a copy that may be modified; for nil it is empty.
func (d *decision) clone() *decision {
	c := &decision{Aliases: map[string]string{}}
	if d != nil {
		*c = *d
		c.Aliases = map[string]string{}
		maps.Copy(c.Aliases, d.Aliases)
	}
	return c
}

// equalDecisions reports whether a, which may be nil, and b are equal.
func equalDecisions(a, b *decision) bool {
	if a == nil {
		a = &decision{}
	}
	return a.Unloaded == b.Unloaded && a.Pinned == b.Pinned && a.Canary == b.Canary && a.Weight == b.Weight && maps.Equal(a.Aliases, b.Aliases)
}

// readState reads the file at path, which need not exist.
func readState(path string) (*state, error) {
	s := &state{Format: stateFormat, Version: stateVersion, Adapters: map[string]*decision{}}
	if path == "" {
		return s, nil
	}
	f, err := regular.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if err := parseState(text, s); err != nil {
		return nil, fmt.Errorf("serve: %s: %w", path, err)
	}
	return s, nil
}

// parseState parses the document strictly.
func parseState(text []byte, s *state) error {
	if len(text) > maxState {
		return fmt.Errorf("more than %d bytes", maxState)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	if s.Format != stateFormat || s.Version != stateVersion {
		return fmt.Errorf("format %.40q version %d, expected %q version %d", s.Format, s.Version, stateFormat, stateVersion)
	}
	if s.Adapters == nil {
		s.Adapters = map[string]*decision{}
	}
	for name, d := range s.Adapters {
		if d == nil {
			return fmt.Errorf("adapter %.80q has no decision", name)
		}
		if err := d.check(name); err != nil {
			return err
		}
	}
	return nil
}

func (d *decision) check(name string) error {
	if err := checkName("name", name); err != nil {
		return err
	}
	for alias, digest := range d.Aliases {
		if err := checkName("alias", alias); err != nil {
			return err
		}
		if err := checkDigest(digest); err != nil {
			return err
		}
	}
	if d.Canary != "" {
		if err := checkDigest(d.Canary); err != nil {
			return err
		}
	}
	if !(d.Weight >= 0 && d.Weight <= 1) {
		return fmt.Errorf("adapter %.80q: canary weight %v, expected 0 to 1", name, d.Weight)
	}
	return nil
}

// write replaces the file at path. For an empty path it does nothing.
func (s *state) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return atomicfile.Write(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}
