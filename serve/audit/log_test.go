package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func event(i int) Event {
	return Event{Action: "predict", Client: "ris", Via: "token", Role: "viewer", Request: fmt.Sprint("r", i), Adapter: "busi",
		Version: "0123456789ab", Digest: "sha256:" + strings.Repeat("0", 64), Outcome: "ok"}
}

// filled makes a log of n entries and returns its path and its content.
func filled(t *testing.T, n int) (path string, text []byte, head Head) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := l.Record(event(i)); err != nil {
			t.Fatal(err)
		}
	}
	head = l.Head()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, text, head
}

func TestLog(t *testing.T) {
	path, text, head := filled(t, 3)
	rep, err := Verify(bytes.NewReader(text), nil, head)
	if err != nil || rep.Entries != 3 || rep.First != 1 || rep.Head != head || rep.Torn != 0 || rep.Backwards != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Head() != head {
		t.Errorf("opened at %v, want %v", l.Head(), head)
	}
	if _, err := Open(path); err == nil {
		t.Error("two writers of one log")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				if err := l.Record(event(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(event(0)); err == nil {
		t.Error("a closed log takes entries")
	}
	text, _ = os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), nil, head); err != nil || rep.Entries != 403 {
		t.Errorf("%+v, %v", rep, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != perm {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestTamperingIsFound(t *testing.T) {
	_, text, head := filled(t, 5)
	lines := bytes.SplitAfter(text, []byte("\n"))[:5]
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	// rehashed is a line with changed content and a hash that fits it.
	e, err := decode(bytes.TrimSuffix(lines[2], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	e.Event.Client = "somebody"
	rehashed, _, err := encode(e.Event, Head{2, e.Prev})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		line int
		seq  uint64
	}{
		"changed":           {bytes.Replace(text, []byte(`"request":"r2"`), []byte(`"request":"r9"`), 1), 3, 3},
		"changed, rehashed": {join(lines[0], lines[1], rehashed, lines[3], lines[4]), 4, 4},
		"taken out":         {join(lines[0], lines[1], lines[3], lines[4]), 3, 4},
		"put in":            {join(lines[0], lines[1], lines[1], lines[2]), 3, 2},
		"moved":             {join(lines[0], lines[2], lines[1]), 2, 3},
		"empty line":        {join(lines[0], []byte("\n"), lines[1]), 2, 2},
		"foreign":           {join(lines[0], []byte("hello\n")), 2, 2},
		"long":              {join(lines[0], bytes.Repeat([]byte("x"), 3*maxEntry)), 2, 2},
		"last byte":         {bytes.Replace(text, []byte(head.Hash[60:]+`"}`), []byte(`zzzz"}`), 1), 5, 5},
	} {
		_, err := Verify(bytes.NewReader(c.text), nil)
		var broken *BrokenError
		if !errors.As(err, &broken) || broken.Line != c.line || broken.Seq != c.seq {
			t.Errorf("%s: got %v, want line %d, entry %d", name, err, c.line, c.seq)
		}
	}
	// A log that was cut off at the end is consistent in itself; the head that was noted is not reached.
	rep, err := Verify(bytes.NewReader(join(lines[:3]...)), nil, head)
	if err != nil || rep.Head.Seq >= head.Seq {
		t.Errorf("%+v, %v", rep, err)
	}
	// One that was written anew from some entry on does not have it.
	forged := join(lines[0], lines[1])
	at := Head{2, e.Prev}
	for i := range 3 {
		var line []byte
		if line, at, err = encode(event(90+i), at); err != nil {
			t.Fatal(err)
		}
		forged = append(forged, line...)
	}
	if _, err := Verify(bytes.NewReader(forged), nil); err != nil {
		t.Errorf("without a head: %v", err)
	}
	var broken *BrokenError
	if _, err := Verify(bytes.NewReader(forged), nil, head); !errors.As(err, &broken) || broken.Seq != 5 {
		t.Errorf("with the head: %v", err)
	}
	// The middle of a chain.
	if rep, err := Verify(bytes.NewReader(join(lines[2:]...)), nil); err != nil || rep.First != 3 {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := Verify(bytes.NewReader(join(lines[2:]...)), &Head{2, e.Prev}); err != nil {
		t.Error(err)
	}
	if _, err := Verify(bytes.NewReader(join(lines[2:]...)), &Head{2, head.Hash}); err == nil {
		t.Error("a file that does not follow the one before")
	}
}

// A crash can leave any beginning of the last entry, or zeros in its place.
func TestTornLastEntry(t *testing.T) {
	_, text, _ := filled(t, 3)
	start := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
	for _, cut := range []int{start, start + 1, start + 40, len(text) - 70, len(text) - 1, len(text), 1, 9, 30, 0} {
		path := filepath.Join(t.TempDir(), "audit")
		content := text[:cut]
		if cut == start+40 {
			content = append(bytes.Clone(text[:start]), make([]byte, 100)...)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path)
		if err != nil {
			t.Errorf("cut at %d: %v", cut, err)
			continue
		}
		if err := l.Record(event(7)); err != nil {
			t.Error(err)
		}
		l.Close()
		after, _ := os.ReadFile(path)
		whole := bytes.Count(text[:cut], []byte("\n"))
		want := uint64(whole + 1)
		if torn := cut != 0 && text[cut-1] != '\n'; torn {
			want++ // the entry that says so
			if !bytes.Contains(after, []byte(`"action":"recover"`)) {
				t.Errorf("cut at %d: the log does not say that it was recovered", cut)
			}
		}
		if rep, err := Verify(bytes.NewReader(after), nil); err != nil || rep.Entries != want || rep.Torn != 0 {
			t.Errorf("cut at %d: %+v, %v, want %d entries", cut, rep, err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	_, text, _ := filled(t, 3)
	for name, content := range map[string][]byte{
		"a text":           []byte("my thesis"),
		"lines":            []byte("my\nthesis\n"),
		"broken last line": bytes.Replace(text, []byte(`"r2"`), []byte(`"r9"`), 1),
		"long":             bytes.Repeat([]byte("x"), 5*maxEntry),
		"long torn end":    append(bytes.Clone(text), bytes.Repeat([]byte("x"), maxEntry+1)...),
	} {
		path := filepath.Join(t.TempDir(), "file")
		os.WriteFile(path, content, 0o600)
		if l, err := Open(path); err == nil {
			l.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder is opened")
	}
}

// disk is a file on a disk that can be full.
type disk struct {
	*os.File
	room int // bytes that still fit; negative: no end
}

func (d *disk) Write(p []byte) (int, error) {
	if d.room < 0 || len(p) <= d.room {
		if d.room >= 0 {
			d.room -= len(p)
		}
		return d.File.Write(p)
	}
	n, _ := d.File.Write(p[:d.room])
	d.room = 0
	return n, errors.New("no space left on device")
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	full := &disk{l.f.(*os.File), 700}
	l.f = full
	l.mu.Unlock()
	failed := 0
	for i := range 10 {
		if err := l.Record(event(i)); err != nil {
			failed++
		}
	}
	if failed != 9 || l.Healthy() == nil {
		t.Errorf("%d of 10 failed, healthy: %v", failed, l.Healthy())
	}
	text, _ := os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), nil); err != nil || rep.Entries != 1 || rep.Torn != 0 {
		t.Errorf("while the disk is full: %+v, %v", rep, err)
	}
	l.mu.Lock()
	full.room = -1
	l.mu.Unlock()
	if err := l.Healthy(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	head := l.Head()
	l.Close()
	text, _ = os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), nil); err != nil || rep.Entries != 10 || rep.Head != head {
		t.Errorf("afterwards: %+v, %v", rep, err)
	}
}

func TestPendingIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	full := &disk{l.f.(*os.File), 0}
	l.f, l.pending = full, append(l.pending, make([]byte, maxPending)...)
	l.mu.Unlock()
	for i := range 3 {
		if l.Record(event(i)) == nil {
			t.Error("recorded on a full disk")
		}
	}
	l.mu.Lock()
	if l.lost != 3 || len(l.pending) != maxPending {
		t.Errorf("%d lost, %d bytes pending", l.lost, len(l.pending))
	}
	l.pending, full.room = nil, -1
	l.mu.Unlock()
	if err := l.Record(event(4)); err != nil {
		t.Error(err)
	}
	l.Close()
	text, _ := os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), nil); err != nil || rep.Entries != 2 || !bytes.Contains(text, []byte("3 entries")) {
		t.Errorf("%+v, %v: %s", rep, err, text)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Record(event(1))
	l.Record(event(2))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Skip("a file that is open cannot be moved here:", err)
	}
	l.Record(event(3)) // before it is noticed
	l.tend()
	l.Record(event(4))
	l.Record(event(5))
	old, _ := os.ReadFile(path + ".1")
	rep, err := Verify(bytes.NewReader(old), nil)
	if err != nil || rep.Entries != 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	text, _ := os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), &rep.Head); err != nil || rep.Entries != 2 || rep.First != 4 {
		t.Errorf("%+v, %v", rep, err)
	}
	// Another log in its place is not continued.
	other, _, _ := filled(t, 1)
	os.Rename(path, path+".2")
	os.Rename(other, path)
	l.tend()
	if err := l.Record(event(6)); err == nil || !strings.Contains(err.Error(), "another log") {
		t.Errorf("got %v", err)
	}
	os.Remove(path)
	l.tend()
	if err := l.Record(event(7)); err != nil {
		t.Error(err)
	}
}

// The wall clock may be set; the order of entries is that of their numbers.
func TestClockJumps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for _, jump := range []time.Duration{0, time.Second, -time.Hour, 24 * 365 * time.Hour, -24 * 365 * time.Hour} {
		l.now = func() time.Time { return at.Add(jump) }
		if err := l.Record(event(1)); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	text, _ := os.ReadFile(path)
	if rep, err := Verify(bytes.NewReader(text), nil); err != nil || rep.Entries != 5 || rep.Backwards != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestHead(t *testing.T) {
	h := Head{12, strings.Repeat("ab", 32)}
	if got, err := ParseHead(h.String()); err != nil || got != h {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "12", "12:", "x:" + h.Hash, "12:" + h.Hash + "0", "12:" + strings.ToUpper(h.Hash), "-1:" + h.Hash, " 12:" + h.Hash} {
		if _, err := ParseHead(s); err == nil {
			t.Errorf("%q is taken for a head", s)
		}
	}
}

// The longest texts that an event can have still make a line that can be read.
func TestLongestEntry(t *testing.T) {
	s := strings.Repeat("\x01", 1000)
	line, _, err := encode(Event{Time: time.Now(), Action: s, Client: s, Via: s, Role: s, Request: s, Adapter: s, Version: s, Digest: s, Outcome: s, Detail: s},
		Head{1<<64 - 2, Start.Hash})
	if err != nil || len(line) > maxEntry {
		t.Fatalf("%d bytes, %v", len(line), err)
	}
	if _, err := decode(line[:len(line)-1]); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	line, _, err := encode(event(1), Start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"seq":1,"hash":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := decode(line)
		if err != nil {
			return
		}
		if e.Seq == 0 || !isHash(e.Hash) || !isHash(e.Prev) {
			t.Errorf("%+v came out of %q", e, line)
		}
	})
}

func FuzzVerify(f *testing.F) {
	line, head, _ := encode(event(1), Start)
	second, _, _ := encode(event(2), head)
	f.Add(append(line, second...))
	f.Add(line[:20])
	f.Fuzz(func(t *testing.T, text []byte) {
		rep, err := Verify(bytes.NewReader(text), nil)
		var broken *BrokenError
		if err != nil && !errors.As(err, &broken) {
			t.Errorf("got %v", err)
		}
		if int(rep.Entries) > bytes.Count(text, []byte("\n")) {
			t.Errorf("%d entries in %q", rep.Entries, text)
		}
		ending(bytes.NewReader(text), int64(len(text)))
	})
}

// An anchor file finds out what the chain alone cannot: a log that was cut off at its end.
func TestAnchor(t *testing.T) {
	dir := t.TempDir()
	path, at := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "anchor")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Anchor(at); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Record(Event{Action: "x", Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	heads, err := ReadAnchors(at)
	if err != nil || len(heads) != 2 || heads[0].Head != Start || heads[1].Seq != 3 {
		t.Fatalf("%v, %v", heads, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]
	if err := os.WriteFile(path, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Anchor(at); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v", err)
	}
}

// attestor is a witness that fails as long as it is told to.
type attestor struct {
	mu    sync.Mutex
	fails bool
	about []string
}

// Attest notes what it was asked about.
func (a *attestor) Attest(_ context.Context, text []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails {
		return nil, errors.New("nobody is there")
	}
	a.about = append(a.about, string(text))
	return append([]byte("attested "), text...), nil
}

// TestWitness lets a witness attest the log when it begins and when it is closed.
func TestWitness(t *testing.T) {
	for _, fails := range []bool{false, true} {
		dir := t.TempDir()
		path, at := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "anchor")
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		w := &attestor{fails: fails}
		reports := make(chan error, 10)
		if err := l.Witness(w, nil); err == nil {
			t.Error("a witness without an anchor")
		}
		if err := errors.Join(l.Record(Event{Action: "x", Outcome: "ok"}), l.Anchor(at), l.Witness(w, func(err error) { reports <- err })); err != nil {
			t.Fatal(err)
		}
		if err := <-reports; (err != nil) != fails {
			t.Errorf("the report is %v", err)
		}
		if l.Witnessed().IsZero() != fails {
			t.Errorf("witnessed at %v", l.Witnessed())
		}
		if err := l.Record(Event{Action: "y", Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		noted, err := ReadAnchors(at)
		if err != nil {
			t.Fatal(err)
		}
		var attested []uint64
		for _, x := range noted {
			if x.Token != nil {
				attested = append(attested, x.Seq)
				if string(x.Token) != "attested "+x.Head.String() {
					t.Errorf("token %q of %v", x.Token, x.Head)
				}
			}
		}
		if want := map[bool]int{false: 2, true: 0}[fails]; len(attested) != want || noted[len(noted)-1].Seq != 2 {
			t.Errorf("attested %v of %+v", attested, noted)
		}
	}
}

func FuzzAnchors(f *testing.F) {
	f.Add([]byte("2026-11-28T10:50:00Z 0:" + Start.Hash + "\n2026-11-28T10:51:00Z 0:" + Start.Hash + " rfc3161:AAAA\n2026"))
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = parseAnchors(text) })
}
