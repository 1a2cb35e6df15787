// Package trust decides which adapters may be used: by a list of digests, by signatures, or both. It works on
// digests, names and the texts of lists, and does not read adapters. docs/format/signature.md describes the
// files.
package trust

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// Policy says what makes an adapter trusted. A nil or zero policy trusts every adapter. A policy must not be
// changed once it is in use.
type Policy struct {
	Allowed Allowed // digests that may be used; nil: all
	Keys    *Keys   // at least one of these must have signed; nil: no signature is needed
}

// UntrustedError reports that an adapter is not trusted, and why.
type UntrustedError struct {
	Path   string // path of the adapter; may be empty
	Digest string
	Reason string
}

// Error names the file, its digest, and the reason.
func (e *UntrustedError) Error() string {
	where := ""
	if e.Path != "" {
		where = e.Path + ": "
	}
	return fmt.Sprintf("trust: %snot trusted: %s (the adapter is %s)", where, e.Reason, e.Digest)
}

// Check returns the owners of the keys that have signed the adapter with that digest (sorted; nil without
// keys), or an *[UntrustedError]. name is the adapter's name without version. It is empty for a file that is
// given by its path; then an entry or a signature for any name is accepted. signatures is the text of the
// signature file, nil if there is none.
func (p *Policy) Check(digest, name string, signatures []byte) (signers []string, err error) {
	if p == nil {
		return nil, nil
	}
	untrusted := func(format string, args ...any) error {
		return &UntrustedError{Digest: digest, Reason: fmt.Sprintf(format, args...)}
	}
	if p.Allowed != nil {
		names, ok := p.Allowed[digest]
		switch {
		case digest == "":
			return nil, untrusted("it is no native adapter file, so that no digest stands for it")
		case !ok:
			return nil, untrusted("its digest is not on the list of those that are allowed")
		case name != "" && len(names) > 0 && !slices.Contains(names, name):
			// the other name is not disclosed to the caller
			return nil, untrusted("its digest is allowed under another name than %.80q", name)
		}
	}
	if p.Keys == nil {
		return nil, nil
	}
	if signers, err = p.Keys.signers(digest, name, signatures); err != nil {
		return nil, untrusted("%v", err)
	}
	return signers, nil
}

// FileOf returns the path of the signature file of the adapter at path, which may be a file or a folder.
func FileOf(path string) string { return filepath.Clean(path) + Extension }

// Extension is appended to an adapter's path to form the path of its signature file.
const Extension = ".sig"

// maxSignatures limits the size of a signature file in bytes.
const maxSignatures = 64 << 10

// ReadSignatures returns the text of the signature file of the adapter at path, or nil if there is none.
func ReadSignatures(path string) ([]byte, error) {
	text, err := regular.ReadFile(FileOf(path), maxSignatures)
	if err != nil {
		if isNotThere(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("trust: %w", err)
	}
	return text, nil
}

// Added returns the text of the signature file of the adapter at path with one more signature in it.
func Added(path string, s Signature) ([]byte, error) {
	before, err := ReadSignatures(path)
	if err != nil {
		return nil, err
	}
	text, err := Add(before, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FileOf(path), err)
	}
	return text, nil
}

// WriteSignatures writes the signature file of the adapter at path.
func WriteSignatures(path string, text []byte) error {
	return atomicfile.Write(FileOf(path), 0o666, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// CheckFile is [Policy.Check] for the adapter at path, with the signature file beside it.
func (p *Policy) CheckFile(path, digest, name string) (signers []string, err error) {
	if p == nil {
		return nil, nil
	}
	var text []byte
	if p.Keys != nil {
		if text, err = ReadSignatures(path); err != nil {
			return nil, err
		}
	}
	signers, err = p.Check(digest, name, text)
	var untrusted *UntrustedError
	if errors.As(err, &untrusted) {
		untrusted.Path = path
	}
	return signers, err
}

// Limits of the files of a policy.
const (
	// MaxFile limits the size in bytes of a list of digests or keys.
	MaxFile = 16 << 20
	maxLine = 1 << 10
)

// Read reads a list of digests and a list of keys. An empty path means no list. It returns nil if both are
// empty.
func Read(allowed, keys string) (*Policy, error) {
	if allowed == "" && keys == "" {
		return nil, nil
	}
	p := &Policy{}
	for _, f := range []struct {
		path string
		take func([]byte) error
	}{
		{allowed, func(text []byte) (err error) { p.Allowed, err = ParseAllowed(text); return err }},
		{keys, func(text []byte) (err error) { p.Keys, err = ParseKeys(text); return err }},
	} {
		if f.path == "" {
			continue
		}
		text, err := regular.ReadFile(f.path, MaxFile)
		if err != nil {
			return nil, fmt.Errorf("trust: %w", err)
		}
		if err := f.take(text); err != nil {
			return nil, fmt.Errorf("trust: %s: %w", f.path, err)
		}
	}
	return p, nil
}

// AdapterName returns the name of the adapter in a file: the file name without folder, extension and version.
func AdapterName(path string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".safetensors"), "@")
	return name
}

// eachLine calls take for the lines of a text that are neither empty nor comments. Errors name the line.
func eachLine(text []byte, take func(line string) error) error {
	if len(text) > MaxFile {
		return fmt.Errorf("%d bytes, at most %d are read", len(text), MaxFile)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if len(line) > maxLine {
			return fmt.Errorf("line %d: longer than %d bytes", n, maxLine)
		}
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if !printable(line) {
			return fmt.Errorf("line %d: %.60q has characters that cannot be printed", n, line)
		}
		if err := take(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

// printable reports whether s is text that fits on one line, with only spaces and tabs as separators.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) })
}
