package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// file lists the operations that a Log needs, so that tests can make each of them fail.
type file interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
	Stat() (os.FileInfo, error)
}

// Log is a log being written, by one process at a time. It is safe for use by several goroutines.
type Log struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	f       file
	size    int64 // bytes of the entries in f
	head    Head  // of the last entry, including pending ones
	pending []byte
	waiting uint64 // entries in pending
	lost    uint64 // entries dropped because pending was full
	dirty   bool   // there are unsynced writes
	err     error  // error of the last attempt to write
	// why written entries may be lost: the file was moved and cannot be created again, or does not sync
	trouble error
	closed  bool
	anchor  *anchor // nil: none

	witnessing *witnessing // nil: none
	witnesses  sync.WaitGroup

	stop, done chan struct{}
}

// Limits and intervals.
const (
	maxPending = 4 << 20            // bytes that wait for disk space
	syncEvery  = time.Second        // how much a power failure can lose; a crash of the process loses nothing
	perm       = os.FileMode(0o600) // the log is confidential
)

// Open opens or creates the log at path. An incomplete last line, left by a crash, is cut off, and the log
// records that. If the last entry is invalid Open returns an error, because later entries would prove nothing.
func Open(path string) (*Log, error) {
	f, size, head, torn, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	l := &Log{path: path, now: time.Now, f: f, size: size, head: head, stop: make(chan struct{}), done: make(chan struct{})}
	if len(torn) > 0 {
		err = l.Record(Event{Action: "recover", Outcome: "ok",
			Detail: fmt.Sprintf("%d bytes of a torn entry were cut off, SHA-256 %x", len(torn), sha256.Sum256(torn))})
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	go l.run()
	return l, nil
}

// open locks the file at path and finds its head. An incomplete last line is cut off and returned.
func open(path string) (f *os.File, size int64, head Head, torn []byte, err error) {
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, perm); err != nil {
		return nil, 0, head, nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, head, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, head, nil, errors.New("not a regular file")
	}
	if err = lock(f); err != nil {
		return nil, 0, head, nil, err
	}
	size, head, torn, err = ending(f, info.Size())
	if err == nil && len(torn) > 0 {
		err = f.Truncate(size)
	}
	return f, size, head, torn, err
}

// ending finds the last complete entry of a log of size bytes. end is its end, torn what follows it.
func ending(r io.ReaderAt, size int64) (end int64, head Head, torn []byte, err error) {
	from := max(0, size-2*(maxEntry+1)) // space for one entry and an incomplete one
	text := make([]byte, size-from)
	if _, err := r.ReadAt(text, from); err != nil {
		return 0, head, nil, err
	}
	n := bytes.LastIndexByte(text, '\n') + 1
	torn = text[n:]
	if n == 0 && from == 0 {
		if !begins(torn) {
			return 0, head, nil, errors.New("there is something in it that is no audit log")
		}
		return 0, Start, torn, nil
	}
	last := text[:max(n-1, 0)]
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	e, err := decode(last)
	if err != nil || len(torn) > maxEntry {
		return 0, head, nil, errors.New("its last entry is broken, so that it cannot be continued: run \"melo audit verify\" and begin a new file")
	}
	return from + int64(n), Head{e.Seq, e.Hash}, torn, nil
}

// begins reports whether text may be a first entry left incomplete by a crash: its beginning, or only zeros.
func begins(text []byte) bool {
	const first = `{"seq":1,`
	return len(text) <= maxEntry && (len(bytes.Trim(text, "\x00")) == 0 ||
		bytes.HasPrefix(text, []byte(first)) || bytes.HasPrefix([]byte(first), text))
}

// Record appends an event. If it returns nil, the entry survives a crash of the process; a power failure may
// lose the last second. If the disk does not accept it, the entry is kept in memory until it does, at its place
// in the chain, and the error says so: the server should stop answering.
func (l *Log) Record(e Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("audit: the log is closed")
	}
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	if len(l.pending) >= maxPending {
		if l.flush(); len(l.pending) >= maxPending {
			l.lost++
			return l.failure()
		}
	}
	line, head, err := encode(e, l.head)
	if err != nil {
		return err
	}
	l.pending, l.head = append(l.pending, line...), head
	l.waiting++
	l.flush()
	return l.failure()
}

// flush writes pending entries. l.mu must be held.
func (l *Log) flush() {
	if len(l.pending) == 0 {
		l.err = nil
		return
	}
	if l.err != nil {
		// Part of an entry may have been written.
		if err := l.f.Truncate(l.size); err != nil {
			l.err = err
			return
		}
	}
	n, err := l.f.Write(l.pending)
	if err == nil && n < len(l.pending) {
		err = io.ErrShortWrite
	}
	l.dirty = l.dirty || n > 0
	if err != nil {
		l.err = err
		_ = l.f.Truncate(l.size) // otherwise it is done before the next attempt
		return
	}
	l.size += int64(n)
	l.pending, l.waiting, l.err = l.pending[:0], 0, nil
	if l.lost > 0 {
		lost := l.lost
		l.lost = 0
		if line, head, err := encode(Event{Time: l.now(), Action: "lost", Outcome: "failed",
			Detail: fmt.Sprintf("%d entries for which there was no room", lost)}, l.head); err == nil {
			l.pending, l.head, l.waiting = append(l.pending, line...), head, 1
			l.flush()
		}
	}
}

// failure describes l.err. l.mu must be held.
func (l *Log) failure() error {
	if l.err == nil && l.trouble == nil {
		return nil
	}
	if l.err == nil {
		return fmt.Errorf("audit: %s: %w", l.path, l.trouble)
	}
	return fmt.Errorf("audit: %s: %d entries wait to be written: %w", l.path, l.waiting, l.err)
}

// Healthy makes another attempt to write and returns why entries cannot be written, or nil.
func (l *Log) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("audit: the log is closed")
	}
	if l.err != nil {
		l.flush()
	}
	return l.failure()
}

// Head returns the number and the hash of the last entry.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// run syncs, retries failed writes, and notices if the file has been moved.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.tend()
		}
	}
}

// tend does the work that is due once a second.
func (l *Log) tend() {
	l.mu.Lock()
	if l.err != nil {
		l.flush()
	}
	l.reopen()
	if l.anchor != nil && l.now().Sub(l.anchor.at) >= anchorEvery {
		if err := l.note(); err != nil {
			l.trouble = err
		}
	}
	f, dirty := l.f, l.dirty
	l.dirty = false
	l.mu.Unlock()
	if !dirty {
		return
	}
	if err := f.Sync(); err != nil { // without the lock, so that requests need not wait for the disk
		l.mu.Lock()
		l.dirty, l.trouble = true, err
		l.mu.Unlock()
	}
}

// reopen creates a new file that continues the chain if the log has been moved, as programs that rotate logs
// do. l.mu must be held. The moved file remains complete.
func (l *Log) reopen() {
	if l.err != nil || len(l.pending) > 0 {
		return
	}
	l.trouble = nil
	mine, err := l.f.Stat()
	if err != nil {
		return
	}
	if there, err := os.Stat(l.path); err == nil && os.SameFile(mine, there) || err != nil && !os.IsNotExist(err) {
		return
	}
	f, size, head, _, err := open(l.path)
	if err != nil {
		l.trouble = fmt.Errorf("it was moved away, and no new one can be made: %w", err)
		return
	}
	if head != Start {
		f.Close()
		l.trouble = errors.New("it was moved away, and there is another log in its place")
		return
	}
	_ = l.f.Sync()
	_ = l.f.Close()
	l.f, l.size = f, size
}

// Close writes and syncs the remaining entries and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	if l.err != nil {
		l.flush()
	}
	l.closed = true
	err := errors.Join(l.failure(), l.note())
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	l.lastWitness()
	return errors.Join(err, l.f.Sync(), l.f.Close())
}
