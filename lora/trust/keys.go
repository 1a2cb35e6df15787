package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// PublicKey verifies signatures.
type PublicKey struct {
	Name string // owner, as named by whoever trusts the key
	Key  ed25519.PublicKey
}

// ID returns a short form of the key: the first 16 hexadecimal digits of its SHA-256.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.Key)
	return hex.EncodeToString(sum[:8])
}

const keyPrefix = "ed25519:"

// String returns the key as a line of a list of keys.
func (k PublicKey) String() string {
	return k.Name + " " + keyPrefix + base64.StdEncoding.EncodeToString(k.Key)
}

// Keys holds the keys whose signatures are trusted, and the digests of adapters that are revoked whoever signed
// them.
type Keys struct {
	byID    map[string][]PublicKey
	revoked map[string]bool
	list    []PublicKey
}

// List returns the keys in the order of their file.
func (k *Keys) List() []PublicKey { return k.list }

// maxName limits the length of the name of a key's owner.
const maxName = 100

// revoke precedes a digest that is no longer trusted.
const revoke = "revoke"

// CheckName returns an error if s cannot be the name of a key's owner, which appears unquoted in files and
// logs.
func CheckName(s string) error {
	if s == "" || len(s) > maxName || s == revoke || s[0] == '#' || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' || r == ',' }) {
		return fmt.Errorf("name %.40q, expected 1 to %d printable characters without spaces and commas", s, maxName)
	}
	return nil
}

// ParseKeys reads a list of keys with lines of these forms:
//
//	NAME ed25519:BASE64
//	revoke sha256:DIGEST
//
// Empty lines and lines that begin with # are ignored. A list without a key trusts nothing.
func ParseKeys(text []byte) (*Keys, error) {
	k := &Keys{byID: map[string][]PublicKey{}, revoked: map[string]bool{}}
	names := map[string]bool{}
	err := eachLine(text, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("%d words, expected NAME ed25519:KEY or revoke sha256:DIGEST", len(fields))
		}
		if fields[0] == revoke {
			digest, err := parseDigest(fields[1])
			k.revoked[digest] = true
			return err
		}
		key, err := parseKey(fields[0], fields[1])
		if err != nil {
			return err
		}
		if names[key.Name] {
			return fmt.Errorf("%q has a key in another line", key.Name)
		}
		names[key.Name] = true
		for _, other := range k.byID[key.ID()] {
			if key.Key.Equal(other.Key) {
				return fmt.Errorf("%q has the key of %q", key.Name, other.Name)
			}
		}
		k.byID[key.ID()] = append(k.byID[key.ID()], key)
		k.list = append(k.list, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

func parseKey(name, text string) (PublicKey, error) {
	if err := CheckName(name); err != nil {
		return PublicKey{}, err
	}
	encoded, ok := strings.CutPrefix(text, keyPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("the key of %q is not ed25519: and %d bytes of base64", name, ed25519.PublicKeySize)
	}
	return PublicKey{name, raw}, nil
}

// SecretKey makes signatures.
type SecretKey struct{ key ed25519.PrivateKey }

// NewKey generates a key.
func NewKey() (*SecretKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return &SecretKey{key}, nil
}

// Public returns the public half of the key, owned by name.
func (s *SecretKey) Public(name string) PublicKey {
	return PublicKey{name, s.key.Public().(ed25519.PublicKey)}
}

// Encoding of a secret key: PKCS #8 in PEM, which other programs can read.
const (
	pemType   = "PRIVATE KEY"
	maxSecret = 16 << 10
)

// Write writes the key to a new file at path that only its owner may read. It does not overwrite an existing
// file.
func (s *SecretKey) Write(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("trust: %s: there is a file already, which a new key would replace", path)
	}
	return atomicfile.Write(path, 0o600, func(w io.Writer) error {
		return pem.Encode(w, &pem.Block{Type: pemType, Bytes: der})
	})
}

// ReadSecretKey reads a key. It refuses a file that others may read, because any reader can sign.
func ReadSecretKey(path string) (*SecretKey, error) {
	fail := func(format string, args ...any) (*SecretKey, error) {
		return nil, fmt.Errorf("trust: %s: "+format, append([]any{path}, args...)...)
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fail("others than its owner may read it (%v): take that away (chmod 600) or make a new key", mode)
	}
	text, err := regular.ReadAll(f, path, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	key, err := parseSecret(text)
	if err != nil {
		return fail("%w", err)
	}
	return key, nil
}

func parseSecret(text []byte) (*SecretKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("expected one PRIVATE KEY in PEM, as melo sign --new-key writes it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the key cannot be read")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of another kind (%T), expected Ed25519", parsed)
	}
	return &SecretKey{key}, nil
}
