package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"melo.example/melo/internal/regular"
)

// anchor is a file, best on another machine's disk, that gets the head of the log now and then: with it a log whose end was
// cut off, or that was written anew, is found out.
type anchor struct {
	path string
	last Head
	at   time.Time
}

// anchorEvery is how often the head is noted, if it has changed.
const anchorEvery = time.Minute

// maxAnchors bounds an anchor file that is read: a head a minute for a hundred years.
const maxAnchors = 8 << 30

// Anchor makes the log note its head in the file at path: now, once a minute, and when it is closed. The file is only ever
// appended to. A log that does not contain what the file says is not its own, and refused.
func (l *Log) Anchor(path string) error {
	heads, err := ReadAnchors(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(heads); n > 0 && (heads[n-1].Seq > l.head.Seq || heads[n-1].Seq == l.head.Seq && heads[n-1] != l.head) {
		return fmt.Errorf("audit: %s says that the log had the head %v, and %s has %v: its end was cut off, or it is another log", path, heads[n-1], l.path, l.head)
	}
	l.anchor = &anchor{path: path}
	return l.note()
}

// note appends the head to the anchor file, if it is another than before; l.mu is held.
func (l *Log) note() error {
	a := l.anchor
	if a == nil || a.last == l.head && !a.at.IsZero() {
		return nil
	}
	info, err := os.Stat(a.path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("audit: anchor %s: %w", a.path, regular.ErrNot)
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
	if err != nil {
		return fmt.Errorf("audit: anchor: %w", err)
	}
	a.at = l.now()
	_, err = fmt.Fprintf(f, "%s %v\n", a.at.UTC().Format(time.RFC3339), l.head)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("audit: anchor: %w", err)
	}
	a.last = l.head
	return nil
}

// ReadAnchors reads the heads of an anchor file, in order. A last line that a crash has torn is left out.
func ReadAnchors(path string) ([]Head, error) {
	text, err := regular.ReadFile(path, maxAnchors)
	if err != nil {
		return nil, fmt.Errorf("audit: anchor: %w", err)
	}
	var heads []Head
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	for n := 1; lines.Scan(); n++ {
		_, head, _ := strings.Cut(lines.Text(), " ")
		h, err := ParseHead(head)
		if err != nil {
			return nil, fmt.Errorf("audit: anchor %s: line %d: %w", path, n, err)
		}
		heads = append(heads, h)
	}
	return heads, lines.Err()
}
