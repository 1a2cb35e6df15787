package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is something that happened.
type Event struct {
	Time    time.Time `json:"time"` // wall clock; the order of events is that of their numbers
	Action  string    `json:"action"`
	Client  string    `json:"client,omitempty"` // name of the principal
	Via     string    `json:"via,omitempty"`    // how it was authenticated
	Role    string    `json:"role,omitempty"`
	Request string    `json:"request,omitempty"` // ID of the request, as in the logs
	Adapter string    `json:"adapter,omitempty"`
	Version string    `json:"version,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Signer  string    `json:"signer,omitempty"`  // trusted signer of the adapter
	Outcome string    `json:"outcome"`           // ok, or the kind of error
	Address string    `json:"address,omitempty"` // of a client that was refused
	// for predictions: whether the image is like the training images, if known
	Detail string `json:"detail,omitempty"`
}

// Entry is an event in the chain.
type Entry struct {
	Seq uint64 `json:"seq"` // counts from 1
	Event
	Prev string `json:"prev"` // hash of the previous entry; zeros for the first
	Hash string `json:"-"`
}

// Head is the end of a chain.
type Head struct {
	Seq  uint64
	Hash string // 64 hexadecimal digits
}

// Start is the head of an empty chain.
var Start = Head{0, strings.Repeat("0", 2*sha256.Size)}

// String formats the head for ParseHead.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Seq, h.Hash) }

// ParseHead reads "SEQ:HASH".
func ParseHead(s string) (Head, error) {
	var h Head
	if n, err := fmt.Sscanf(s, "%d:%64s", &h.Seq, &h.Hash); n != 2 || err != nil || h.String() != s || !isHash(h.Hash) {
		return Head{}, fmt.Errorf("audit: head %.100q, expected a number, a colon and 64 hexadecimal digits", s)
	}
	return h, nil
}

// maxEntry limits a line of the log in bytes.
const maxEntry = 16 << 10

// hashKey separates the hashed bytes from the hash.
const hashKey = `,"hash":"`

// tail is the length of the end of a line that is not hashed, without the line break.
const tail = len(hashKey) + 2*sha256.Size + len(`"}`)

// encode returns the line of the event that follows head, and the new head.
func encode(e Event, head Head) ([]byte, Head, error) {
	e.Time = e.Time.UTC().Round(0)
	for _, s := range []*string{&e.Action, &e.Client, &e.Via, &e.Role, &e.Request, &e.Adapter, &e.Version, &e.Digest, &e.Signer, &e.Outcome, &e.Address} {
		*s = clip(*s, maxField)
	}
	e.Detail = clip(e.Detail, maxDetail)
	body, err := json.Marshal(Entry{Seq: head.Seq + 1, Event: e, Prev: head.Hash})
	if err != nil {
		return nil, head, fmt.Errorf("audit: %w", err)
	}
	body = body[:len(body)-1] // the closing brace comes after the hash
	sum := sha256.Sum256(body)
	next := Head{head.Seq + 1, hex.EncodeToString(sum[:])}
	return append(body, hashKey+next.Hash+"\"}\n"...), next, nil
}

// maxField limits a text field of an event, so that a line stays below maxEntry with any escapes.
const maxField = 128

// maxDetail limits the detail, which lists digests.
const maxDetail = 1 << 10

func clip(s string, longest int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= longest {
		return s
	}
	cut := longest
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// decode parses a line without its line break, and checks its hash. It does not check the link to the previous
// line.
func decode(line []byte) (Entry, error) {
	var e Entry
	if len(line) > maxEntry {
		return e, fmt.Errorf("a line of more than %d bytes", maxEntry)
	}
	if len(line) < tail || !bytes.HasPrefix(line[len(line)-tail:], []byte(hashKey)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return e, errors.New("it does not end in its hash")
	}
	body := line[:len(line)-tail]
	e.Hash = string(line[len(line)-tail+len(hashKey) : len(line)-len(`"}`)])
	sum := sha256.Sum256(body)
	if e.Hash != hex.EncodeToString(sum[:]) {
		return e, errors.New("its hash is not that of its content: it was changed")
	}
	d := json.NewDecoder(io.MultiReader(bytes.NewReader(body), strings.NewReader("}")))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("it is no entry: %w", err)
	}
	if d.More() || e.Seq == 0 || !isHash(e.Prev) {
		return e, errors.New("it is no entry")
	}
	return e, nil
}

func isHash(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*sha256.Size && strings.ToLower(s) == s
}
