package access

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"melo.example/melo/internal/regular"
)

// stamp distinguishes versions of a file without reading it.
type stamp struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
	same     os.FileInfo // for os.SameFile
}

// Watched is a value that is read from files, and again when one of them has changed. A change that cannot be read
// leaves the value as it was, and so does a file that everybody may write: all of them decide who is trusted.
type Watched[T any] struct {
	paths  []string
	limit  int64
	parse  func(contents [][]byte) (T, error)
	report func(err error) // nil error: the value was read again

	mu      sync.Mutex
	value   T
	stamps  []stamp
	checked time.Time
	now     func() time.Time
	failed  string // last reported error, so that it is reported once
}

// checkEvery is the minimum interval between checks of the files.
const checkEvery = time.Second

// Watch reads files of at most limit bytes each into a value. report is called for every change, with an error
// if the old value stays; it may be nil.
func Watch[T any](limit int64, parse func(contents [][]byte) (T, error), report func(error), paths ...string) (*Watched[T], error) {
	w := &Watched[T]{paths: paths, limit: limit, parse: parse, report: report, now: time.Now}
	if w.report == nil {
		w.report = func(error) {}
	}
	stamps, err := w.look()
	if err == nil {
		w.value, err = w.read()
	}
	if err != nil {
		return nil, err
	}
	w.stamps, w.checked = stamps, w.now()
	return w, nil
}

// Get returns the value. It checks the files at most once per second.
func (w *Watched[T]) Get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.checked) >= checkEvery {
		w.checked = now
		w.refresh()
	}
	return w.value
}

// Reload reads the files again, even if they appear unchanged.
func (w *Watched[T]) Reload() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamps, w.checked = nil, w.now()
	w.refresh()
}

// refresh reads the files again if one has changed. w.mu must be held. The stamps are from before reading, so
// that a file that changes meanwhile is read once more. Files that cannot be read or do not match (a
// certificate whose key is still to be written) are tried again each time.
func (w *Watched[T]) refresh() {
	stamps, err := w.look()
	if err == nil {
		if equal(stamps, w.stamps) {
			w.failed = ""
			return
		}
		var value T
		if value, err = w.read(); err == nil {
			w.value, w.stamps, w.failed = value, stamps, ""
			w.report(nil)
			return
		}
	}
	if err.Error() != w.failed {
		w.failed = err.Error()
		w.report(fmt.Errorf("%w: what was read before stays in force", err))
	}
}

func (w *Watched[T]) look() ([]stamp, error) {
	stamps := make([]stamp, len(w.paths))
	for i, p := range w.paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("access: %w", err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("access: %s: not a regular file", p)
		}
		if err := CheckMode(p, info.Mode()); err != nil {
			return nil, err
		}
		stamps[i] = stamp{info.Size(), info.ModTime(), info.Mode(), info}
	}
	return stamps, nil
}

// CheckMode refuses a file that decides who is trusted, and that everybody on this machine may write.
func CheckMode(path string, mode fs.FileMode) error {
	if mode = mode.Perm(); runtime.GOOS != "windows" && mode&0o002 != 0 { // there modes say nothing
		return fmt.Errorf("access: %s: everybody on this machine may write it (%v), and it decides who is trusted: take that away (chmod o-w)", path, mode)
	}
	return nil
}

func (w *Watched[T]) read() (value T, err error) {
	contents := make([][]byte, len(w.paths))
	for i, p := range w.paths {
		if contents[i], err = readFile(p, w.limit); err != nil {
			return value, fmt.Errorf("access: %w", err)
		}
	}
	if value, err = w.parse(contents); err == nil {
		return value, nil
	}
	for _, p := range w.paths {
		if strings.HasPrefix(err.Error(), p+": ") { // the error already names the file
			return value, err
		}
	}
	return value, fmt.Errorf("%s: %w", w.paths[0], err)
}

// readFile reads at most limit bytes of a regular file.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return text, nil
}

func equal(a, b []stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].size != b[i].size || !a[i].modified.Equal(b[i].modified) || a[i].mode != b[i].mode || !os.SameFile(a[i].same, b[i].same) {
			return false
		}
	}
	return true
}
