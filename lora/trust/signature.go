package trust

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Signature is a statement about one adapter. All fields but Value are signed.
type Signature struct {
	Digest  string // digest of the adapter
	KeyID   string // ID of the key that signed; see PublicKey.ID
	Name    string // the only adapter name for which the signature is valid; empty: any
	Time    time.Time
	Comment string
	Value   []byte
}

// Limits of a signature file.
const (
	signatureVersion = "1"
	firstWord        = "melo-signature"
	maxBlocks        = 64
	maxComment       = 500
)

// statement returns the text that is signed: the block without its last line.
func (s *Signature) statement() []byte {
	var b bytes.Buffer
	line := func(word, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s %s\n", word, value)
		}
	}
	line(firstWord, signatureVersion)
	line("adapter", s.Digest)
	line("key", s.KeyID)
	line("name", s.Name)
	line("time", s.Time.UTC().Format(time.RFC3339))
	line("comment", s.Comment)
	return b.Bytes()
}

// Text returns the signature as a block of a signature file.
func (s *Signature) Text() []byte {
	return fmt.Appendf(s.statement(), "signature %s\n", base64.StdEncoding.EncodeToString(s.Value))
}

// By reports whether the key made the signature.
func (s *Signature) By(k PublicKey) bool {
	return len(k.Key) == ed25519.PublicKeySize && ed25519.Verify(k.Key, s.statement(), s.Value)
}

// Sign completes a signature whose digest, name, time and comment are set.
func (s *SecretKey) Sign(x Signature) (Signature, error) {
	digest, err := parseDigest(x.Digest)
	if err != nil {
		return x, fmt.Errorf("trust: %w", err)
	}
	x.Digest, x.KeyID, x.Time = digest, s.Public("").ID(), x.Time.UTC().Truncate(time.Second)
	if err := x.check(); err != nil {
		return x, fmt.Errorf("trust: %w", err)
	}
	x.Value = ed25519.Sign(s.key, x.statement())
	return x, nil
}

// check returns an error for fields that would not be read back as they were written.
func (s *Signature) check() error {
	for _, x := range []struct {
		what, text string
		longest    int
	}{{"name", s.Name, 200}, {"comment", s.Comment, maxComment}} {
		if len(x.text) > x.longest || !printable(x.text) || strings.TrimSpace(x.text) != x.text || strings.Contains(x.text, "\t") {
			return fmt.Errorf("%s %.60q, expected at most %d printable characters in one line", x.what, x.text, x.longest)
		}
	}
	if strings.ContainsAny(s.Name, `@/\:`) {
		return fmt.Errorf("name %.60q, expected that of an adapter, without version and folder", s.Name)
	}
	return nil
}

// ParseSignatures reads a signature file: a sequence of blocks. It does not verify them.
func ParseSignatures(text []byte) ([]Signature, error) {
	if len(text) > maxSignatures {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(text), maxSignatures)
	}
	var list []Signature
	lines := slices.Collect(strings.Lines(string(text)))
	for at := 0; at < len(lines); {
		if len(list) == maxBlocks {
			return nil, fmt.Errorf("more than %d signatures", maxBlocks)
		}
		s, n, err := parseBlock(lines[at:])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at+n, err)
		}
		list, at = append(list, s), at+n
	}
	return list, nil
}

// parseBlock reads one signature, which must be written exactly as Text writes it. n is the number of lines
// read.
func parseBlock(lines []string) (s Signature, n int, err error) {
	next := func(word string) string {
		if n < len(lines) {
			if value, ok := strings.CutPrefix(lines[n], word+" "); ok && strings.HasSuffix(value, "\n") {
				n++
				return strings.TrimSuffix(value, "\n")
			}
		}
		return ""
	}
	expected := func(what string) error { return fmt.Errorf("expected %s", what) }
	switch version := next(firstWord); {
	case version == "":
		return s, n + 1, expected("\"" + firstWord + " " + signatureVersion + "\"")
	case version != signatureVersion:
		return s, n, fmt.Errorf("a signature of version %.20q, expected %s", version, signatureVersion)
	}
	if s.Digest, err = parseDigest(next("adapter")); err != nil {
		return s, n + 1, expected("\"adapter sha256:...\"")
	}
	s.KeyID = next("key")
	if raw, err := hex.DecodeString(s.KeyID); err != nil || len(raw) != 8 {
		return s, n + 1, expected("\"key\" and 16 hexadecimal digits")
	}
	s.Name = next("name")
	if s.Time, err = time.Parse(time.RFC3339, next("time")); err != nil {
		return s, n + 1, expected("\"time\" in RFC 3339")
	}
	s.Comment = next("comment")
	if s.Value, err = base64.StdEncoding.Strict().DecodeString(next("signature")); err != nil || len(s.Value) != ed25519.SignatureSize {
		return s, n + 1, expected("\"signature\" and 64 bytes of base64")
	}
	if err := s.check(); err != nil {
		return s, n, err
	}
	if string(s.Text()) != strings.Join(lines[:n], "") {
		return s, n, errors.New("the signature is not written as melo sign writes it")
	}
	return s, n, nil
}

// Add returns the text of a signature file with one more signature. It replaces a signature by the same key for
// the same adapter and name. Signatures for other digests than that of s and those in keep are dropped; keep
// lists digests that may still be in use.
func Add(text []byte, s Signature, keep ...string) ([]byte, error) {
	list, err := ParseSignatures(text)
	if err != nil {
		return nil, fmt.Errorf("trust: the signatures that are there: %w", err)
	}
	var out []byte
	for _, old := range list {
		same := old.Digest == s.Digest && old.KeyID == s.KeyID && old.Name == s.Name
		if !same && (old.Digest == s.Digest || slices.Contains(keep, old.Digest)) {
			out = append(out, old.Text()...)
		}
	}
	return append(out, s.Text()...), nil
}

// Join returns the signatures in text and in more for the given digests, without duplicates.
func Join(text, more []byte, digests ...string) ([]byte, error) {
	list, err := ParseSignatures(text)
	if err != nil {
		return nil, err
	}
	others, err := ParseSignatures(more)
	if err != nil {
		others = nil // the existing file is damaged and is replaced
	}
	var out []byte
	seen := map[string]bool{}
	for _, s := range append(list, others...) {
		t := string(s.Text())
		if slices.Contains(digests, s.Digest) && !seen[t] {
			seen[t] = true
			out = append(out, t...)
		}
	}
	return out, nil
}

// signers returns the sorted owners of keys that have signed an adapter, or an error that says why there are
// none.
func (k *Keys) signers(digest, name string, text []byte) ([]string, error) {
	if k.revoked[digest] {
		return nil, errors.New("its digest is revoked in the list of keys")
	}
	if digest == "" {
		return nil, errors.New("it is no native adapter file, which alone can be signed")
	}
	if text == nil {
		return nil, fmt.Errorf("it is not signed: there is no file %s beside it", Extension)
	}
	list, err := ParseSignatures(text)
	if err != nil {
		return nil, fmt.Errorf("its signature file: %w", err)
	}
	var signers []string
	why := errors.New("its signature file is about other adapters")
	for i := range list {
		s := &list[i]
		if s.Digest != digest {
			continue
		}
		owner, err := k.owner(s)
		switch {
		case err != nil:
			why = err
		case name != "" && s.Name != "" && s.Name != name:
			why = fmt.Errorf("it is signed by %s under another name than %.80q", owner, name)
		default:
			signers = append(signers, owner)
		}
	}
	if len(signers) == 0 {
		return nil, why
	}
	slices.Sort(signers)
	return slices.Compact(signers), nil
}

// owner returns the owner of the key that made a signature.
func (k *Keys) owner(s *Signature) (string, error) {
	keys := k.byID[s.KeyID]
	if len(keys) == 0 {
		return "", fmt.Errorf("it is signed by the key %s, which is not trusted", s.KeyID)
	}
	for _, key := range keys {
		if s.By(key) {
			return key.Name, nil
		}
	}
	return "", fmt.Errorf("the signature that says that it is of %s does not verify: it, or what it states, was changed", keys[0].Name)
}

// Verdict is the result of checking one signature.
type Verdict struct {
	Signature
	Signer string // owner of the key; empty if the signature is not valid
	Reason string // why it is not valid; empty if it is
}

// Look checks each signature in a text for the adapter with that digest. keys may be nil.
func Look(digest string, keys *Keys, text []byte) ([]Verdict, error) {
	list, err := ParseSignatures(text)
	if err != nil {
		return nil, err
	}
	out := make([]Verdict, len(list))
	for i, s := range list {
		v := &out[i]
		v.Signature = s
		switch {
		case s.Digest != digest:
			v.Reason = "it is about another adapter"
		case keys == nil:
			v.Reason = "no keys were given (--trust)"
		case keys.revoked[digest]:
			v.Reason = "the digest is revoked in the list of keys"
		default:
			var err error
			if v.Signer, err = keys.owner(&list[i]); err != nil {
				v.Reason = err.Error()
			}
		}
	}
	return out, nil
}
