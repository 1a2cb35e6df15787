package access

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tokenPrefix lets scanners for leaked secrets recognise a token.
const tokenPrefix = "melo_"

// tokenBytes is the number of random bytes in a token. 256 bits cannot be guessed, so a single pass of SHA-256
// is sufficient for storage; slow hashes are for passwords.
const tokenBytes = 32

// NewToken generates a token and returns it with its hash for the token file. The token itself is not stored.
func NewToken() (token, hash string) {
	var b [tokenBytes]byte
	rand.Read(b[:]) // documented never to fail
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token)
}

// HashToken returns "sha256:" and 64 hexadecimal digits.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hashPrefix + hex.EncodeToString(sum[:])
}

const hashPrefix = "sha256:"

// Limits of a token file.
const (
	maxTokenFile  = 4 << 20
	maxTokenLine  = 8 << 10
	maxClientName = 100
)

// Tokens maps hashes of tokens to the clients of a token file.
type Tokens map[[sha256.Size]byte]Token

// Token is one line of a token file.
type Token struct {
	Name    string
	Role    Role
	Expires time.Time // zero: never
	Limits  Limits
	// Adapters are the adapters that the client may use; nil: all. Only viewers can have such a list.
	Adapters *Names
}

// ParseTokens parses a token file, with one client per line:
//
//	NAME ROLE sha256:HASH [expires=2027-01-31T00:00:00Z] [rate=20] [burst=40] [concurrent=8] [body=8388608] [adapters=a,b*]
//
// Empty lines and lines that start with # are ignored. Errors give the line and what was expected; they never
// quote hashes.
func ParseTokens(text []byte) (Tokens, error) {
	if len(text) > maxTokenFile {
		return nil, fmt.Errorf("access: token file of %d bytes, at most %d are read", len(text), maxTokenFile)
	}
	tokens, names := Tokens{}, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxTokenLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		hash, t, err := parseToken(line)
		if err != nil {
			return nil, fmt.Errorf("access: line %d: %w", n, err)
		}
		if first, ok := names[t.Name]; ok {
			return nil, fmt.Errorf("access: line %d: client %q stands in line %d, too", n, t.Name, first)
		}
		if other, ok := tokens[hash]; ok {
			return nil, fmt.Errorf("access: line %d: client %q has the token of %q", n, t.Name, other.Name)
		}
		tokens[hash], names[t.Name] = t, n
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("access: line %d: longer than %d bytes", n+1, maxTokenLine)
	}
	return tokens, nil
}

func parseToken(line string) (hash [sha256.Size]byte, t Token, err error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return hash, t, fmt.Errorf("%d fields, expected NAME ROLE sha256:HASH", len(fields))
	}
	t.Name = fields[0]
	if err := CheckName(t.Name); err != nil {
		return hash, t, err
	}
	if t.Role, err = ParseRole(fields[1]); err != nil {
		return hash, t, err
	}
	digits, ok := strings.CutPrefix(fields[2], hashPrefix)
	if n, err := hex.Decode(hash[:], []byte(digits[:min(len(digits), 2*len(hash))])); !ok || err != nil || n != len(hash) || len(digits) != 2*len(hash) {
		return hash, t, fmt.Errorf("client %q: the third field is not sha256: and 64 hexadecimal digits", t.Name)
	}
	seen := map[string]bool{}
	for _, field := range fields[3:] {
		key, value, _ := strings.Cut(field, "=")
		if seen[key] {
			return hash, t, fmt.Errorf("client %q: %.20q twice", t.Name, key)
		}
		seen[key] = true
		if err := t.set(key, value); err != nil {
			return hash, t, fmt.Errorf("client %q: %w", t.Name, err)
		}
	}
	if t.Adapters != nil && t.Role != Viewer {
		return hash, t, fmt.Errorf("client %q: adapters= is for viewers: who may change adapters sees them all", t.Name)
	}
	return hash, t, nil
}

// set parses one optional field.
func (t *Token) set(key, value string) (err error) {
	switch key {
	case "expires":
		t.Expires, err = time.Parse(time.RFC3339, value)
	case "rate":
		t.Limits.Rate, err = strconv.ParseFloat(value, 64)
	case "burst":
		t.Limits.Burst, err = strconv.Atoi(value)
	case "concurrent":
		t.Limits.Concurrent, err = strconv.Atoi(value)
	case "body":
		t.Limits.Body, err = strconv.ParseInt(value, 10, 64)
	case "adapters":
		t.Adapters, err = ParseNames(value)
	default:
		return fmt.Errorf("unknown field %.20q, expected expires, rate, burst, concurrent, body or adapters", key)
	}
	if err == nil {
		err = t.Limits.check()
	}
	if err != nil {
		return fmt.Errorf("%s=%.40q cannot be", key, value)
	}
	return nil
}

// CheckName returns an error if s cannot be the name of a client, which appears unquoted in logs.
func CheckName(s string) error {
	if s == "" || len(s) > maxClientName || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' }) {
		return fmt.Errorf("client name %.40q, expected 1 to %d printable characters without spaces", s, maxClientName)
	}
	return nil
}

// Find returns the principal with this token. A token that has expired at time now is unknown.
func (t Tokens) Find(token string, now time.Time) (Principal, bool) {
	found, ok := t[sha256.Sum256([]byte(token))]
	if !ok || !found.Expires.IsZero() && !now.Before(found.Expires) {
		return Principal{}, false
	}
	return Principal{Name: found.Name, Role: found.Role, Via: "token", Limits: found.Limits, Adapters: found.Adapters}, true
}

// WatchTokens reads the token file at path, and again whenever it changes; see Watch.
func WatchTokens(path string, report func(error)) (*Watched[Tokens], error) {
	return Watch(maxTokenFile, func(c [][]byte) (Tokens, error) { return ParseTokens(c[0]) }, report, path)
}
