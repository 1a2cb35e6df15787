package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"melo.example/melo/internal/regular"
)

// anchor is a file, preferably on another machine's disk, to which the head of the log is appended from time to
// time. It reveals if the end of the log was cut off or the log was rewritten.
type anchor struct {
	path string
	last Head
	at   time.Time
}

// anchorEvery is the interval at which the head is noted, if it has changed.
const anchorEvery = time.Minute

// maxAnchors limits the size of an anchor file that is read: one head per minute for a hundred years.
const maxAnchors = 8 << 30

// Anchored is a noted head.
type Anchored struct {
	Head
	Time  string // RFC 3339, by the server's clock
	Token []byte // time stamp token for Head.String(); nil if there is none
}

// Anchor makes the log note its head in the file at path: now, once a minute, and on Close. The file is
// append-only. If the log does not contain the heads in the file, Anchor returns an error.
func (l *Log) Anchor(path string) error {
	noted, err := ReadAnchors(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(noted); n > 0 {
		if last := noted[n-1].Head; last.Seq > l.head.Seq || last.Seq == l.head.Seq && last != l.head {
			return fmt.Errorf("audit: %s says that the log had the head %v, and %s has %v: its end was cut off, or it is another log", path, last, l.path, l.head)
		}
	}
	l.anchor = &anchor{path: path}
	return l.note()
}

// note appends the head to the anchor file, if it has changed. l.mu must be held.
func (l *Log) note() error {
	a := l.anchor
	if a == nil || a.last == l.head && !a.at.IsZero() {
		return nil
	}
	a.at = l.now()
	if err := a.append(Anchored{Head: l.head, Time: a.at.UTC().Format(time.RFC3339)}); err != nil {
		return err
	}
	a.last = l.head
	return nil
}

// tokenWord precedes a token.
const tokenWord = "rfc3161:"

// append appends a line to the file.
func (a *anchor) append(x Anchored) error {
	info, err := os.Stat(a.path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("audit: anchor %s: %w", a.path, regular.ErrNot)
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
	if err != nil {
		return fmt.Errorf("audit: anchor: %w", err)
	}
	line := x.Time + " " + x.Head.String()
	if x.Token != nil {
		line += " " + tokenWord + base64.StdEncoding.EncodeToString(x.Token)
	}
	_, err = f.WriteString(line + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("audit: anchor: %w", err)
	}
	return nil
}

// maxAnchorLine limits a line of an anchor file, which may contain a token.
const maxAnchorLine = 128 << 10

// ReadAnchors reads an anchor file, in order. An incomplete last line, left by a crash, is ignored. Tokens are
// not verified.
func ReadAnchors(path string) ([]Anchored, error) {
	text, err := regular.ReadFile(path, maxAnchors)
	if err != nil {
		return nil, fmt.Errorf("audit: anchor: %w", err)
	}
	noted, err := parseAnchors(text)
	if err != nil {
		return nil, fmt.Errorf("audit: anchor %s: %w", path, err)
	}
	return noted, nil
}

func parseAnchors(text []byte) (noted []Anchored, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, maxAnchorLine)
	n := 1
	for ; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), " ")
		if len(fields) < 2 || len(fields) > 3 {
			return nil, fmt.Errorf("line %d: expected a time, a head, and perhaps a token", n)
		}
		x := Anchored{Time: fields[0]}
		if x.Head, err = ParseHead(fields[1]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(fields) == 3 {
			encoded, ok := strings.CutPrefix(fields[2], tokenWord)
			if x.Token, err = base64.StdEncoding.DecodeString(encoded); !ok || err != nil || len(x.Token) == 0 {
				return nil, fmt.Errorf("line %d: the third word is no token", n)
			}
		}
		noted = append(noted, x)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return noted, nil
}

// Witness attests that a text existed at a time, with a token that others can verify.
type Witness interface {
	Attest(ctx context.Context, text []byte) (token []byte, err error)
}

// Intervals and timeouts of a witness.
const (
	witnessEvery = 10 * time.Minute
	witnessAgain = time.Minute      // after a failure
	witnessLast  = 10 * time.Second // for the last token, on Close
)

// witnessing holds the state for a witness.
type witnessing struct {
	witness Witness
	report  func(error)

	mu   sync.Mutex
	last Head
	at   time.Time // time of the last token
}

// Witness makes the log request time stamps for its head and note them in the anchor file, which must be set:
// now, every ten minutes if the head has changed, and on Close. report is called for every attempt, with an
// error if it failed; the log continues without a time stamp.
func (l *Log) Witness(w Witness, report func(error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.anchor == nil {
		return errors.New("audit: a witness needs an anchor file to note its answers in")
	}
	if l.witnessing != nil {
		return errors.New("audit: the log has a witness")
	}
	l.witnessing = &witnessing{witness: w, report: report}
	l.witnesses.Go(l.runWitness)
	return nil
}

// Witnessed returns the time of the last token, or zero if there is none.
func (l *Log) Witnessed() time.Time {
	l.mu.Lock()
	w := l.witnessing
	l.mu.Unlock()
	if w == nil {
		return time.Time{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

// runWitness requests time stamps until the log is closed.
func (l *Log) runWitness() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), witnessAgain)
		go func() { // do not wait for a running request when the log is closed
			select {
			case <-l.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		pause := witnessEvery
		if l.attest(ctx) != nil || l.Witnessed().IsZero() { // a log without entries has nothing to attest yet
			pause = witnessAgain
		}
		cancel()
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
	}
}

// attest requests a time stamp for the head, unless it has one, and notes it.
func (l *Log) attest(ctx context.Context) error {
	w := l.witnessing
	head := l.Head()
	w.mu.Lock()
	known := w.last == head
	w.mu.Unlock()
	if known || head == Start {
		return nil
	}
	token, err := w.witness.Attest(ctx, []byte(head.String()))
	if err == nil {
		l.mu.Lock()
		err = l.anchor.append(Anchored{Head: head, Time: l.now().UTC().Format(time.RFC3339), Token: token})
		l.mu.Unlock()
	}
	w.report(err)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.at = head, l.now()
	return nil
}

// lastWitness requests a last time stamp, after everything has been written.
func (l *Log) lastWitness() {
	if l.witnessing == nil {
		return
	}
	l.witnesses.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), witnessLast)
	defer cancel()
	_ = l.attest(ctx) // the error is reported
}
